// Masters as `ssh -M` has them: each its holder's alone, for as long as a stream of the holder's is open, and gone with its link.
import { randomBytes } from "node:crypto";
import type { HandOver, Held, HoldRequest } from "../../shared/holds.ts";
import { failureOf, TundError } from "../../shared/errors.ts";
import type { ForwardKind } from "../../shared/forward-spec.ts";
import { somebody } from "../ssh/dial-queue.ts";
import type { HostConfig } from "../ssh/host-config.ts";
import type { Conversations } from "./conversations.ts";
import type { House } from "./house.ts";
import type { Master } from "./master.ts";
import type { Held as Holder } from "./master-options.ts";
import type { Named } from "./names.ts";
import { openForwards } from "./opening.ts";
import { specsOf } from "./request.ts";
import type { RosterOptions } from "./roster-options.ts";
import type { Transaction } from "./transaction.ts";

/** Told once when the master has ended: why, if that was nobody's wish. */
export type OnOver = (why: string | null) => void;

interface Hold {
  onOver: OnOver;
  master?: Master;
  holder?: Holder;
}

interface HoldingOptions {
  house: House;
  conversations: Conversations;
  resolve: RosterOptions["resolve"];
}

export class Holding {
  readonly #options: HoldingOptions;
  readonly #holds = new Map<string, Hold>();

  constructor(options: HoldingOptions) {
    this.#options = options;
  }

  /** Whom there are masters for: others once a host was wanted by anybody else than its holder. */
  get occupants(): "others" | "holders" | "nobody" {
    const { claims, masters } = this.#options.house.roster;
    if (claims.isUsed) return "others";
    return masters.length > 0 ? "holders" : "nobody";
  }

  /** Opens a hold, on which one master may be made. When it is let go of, its master ends. */
  open(onOver: OnOver): { id: string; letGo: () => void } {
    const id = randomBytes(18).toString("base64url");
    const hold: Hold = { onOver };
    this.#holds.set(id, hold);
    const letGo = () => {
      this.#holds.delete(id);
      if (hold.master === undefined) onOver(null);
      else hold.master.exit();
    };
    return { id, letGo };
  }

  /**
   * Makes a master of a host on a hold, with its forwards and its mux socket, by which it is named too.
   * @throws TundError why not; nothing is left of it then
   */
  async hold(host: string, request: HoldRequest, transaction: Transaction): Promise<Held> {
    const { house, conversations, resolve } = this.#options;
    const { signal } = transaction;
    const member = conversations.member(request.caller, host, signal);
    const asking = { ...somebody, signal, environment: member.environment };
    const config = await transaction.wait(resolve(host, request.connection, asking));
    const hold = this.#unused(request.hold);
    const path = config.controlPath;
    if (path === null)
      throw new TundError("INVALID_REQUEST", `no ControlPath says where ${host} can be driven`);
    const holder = { pid: request.pid, persistSeconds: secondsOf(config) };
    const named = house.roster.hold(path, config, holder);
    const { master } = named;
    Object.assign(hold, { master, holder });
    void master.ended.then(() => hold.onOver(master.snapshot().failure?.message ?? null));
    house.roster.claims.claim(named, transaction);
    transaction.enlist({ rollback: () => master.exit() });
    await master.whenReady({ member, signal });
    const forwards = await this.#openForwards(named, request, transaction);
    await transaction.wait(house.roster.names.demandMux(named, path));
    const background = config.controlPersist !== "no" || config.forkAfterAuthentication;
    return { master: master.snapshot(), ...forwards, background };
  }

  /** Another process holds it from now on, by the same stream. @throws TundError NOT_FOUND */
  handOver(id: string, { pid }: HandOver): void {
    const { holder } = this.#known(id);
    if (holder !== undefined) holder.pid = pid;
  }

  // As ssh: those that cannot be are told and left out, unless ExitOnForwardFailure makes them everybody's failure.
  async #openForwards(
    named: Named,
    { forwards: own = [] }: HoldRequest,
    transaction: Transaction,
  ): Promise<Pick<Held, "forwards" | "refused">> {
    const { configured, clearAll, exitOnFailure } = named.forwarding;
    const wishes = { gatewayPorts: false, onDemand: false, idleSeconds: null };
    const wanted = { wishes, name: null, isPersistent: false, isAwaited: true };
    const made: Pick<Held, "forwards" | "refused"> = { forwards: [], refused: [] };
    for (const one of clearAll ? [] : inOrder([...configured, ...own]))
      try {
        const opened = await transaction.nested((part) =>
          openForwards(named, { ...wanted, specs: specsOf([one]) }, this.#options.house, part),
        );
        made.forwards.push(...opened.map(({ allocatedPort }) => ({ ...one, allocatedPort })));
      } catch (error) {
        transaction.check(); // it may be the failure of all
        const { code, message } = failureOf(error, this.#options.house.log);
        if (exitOnFailure) throw new TundError(code, message, { cause: error, details: { ...one } });
        made.refused.push({ ...one, code, message });
      }
    return made;
  }

  #unused(id: string): Hold {
    const hold = this.#known(id);
    if (hold.master !== undefined) throw new TundError("INVALID_REQUEST", "this hold has its master already");
    return hold;
  }

  #known(id: string): Hold {
    const hold = this.#holds.get(id);
    if (hold === undefined) throw new TundError("NOT_FOUND", "there is no such hold (any more)");
    return hold;
  }
}

const secondsOf = ({ controlPersist }: HostConfig): number | null =>
  typeof controlPersist === "number" ? controlPersist : null;

// Those that listen here before the server's.
const inOrder = <F extends { kind: ForwardKind }>(forwards: readonly F[]): F[] => [
  ...forwards.filter(({ kind }) => kind !== "remote"),
  ...forwards.filter(({ kind }) => kind === "remote"),
];
