// Where masters can be driven by ssh itself: mux sockets, by their paths and by the hosts that they are for.
import type { Socket } from "node:net";
import { isAbsolute } from "node:path";
import { TundError } from "../../shared/errors.ts";
import type { Log } from "../../shared/log.ts";
import { type MuxClient, MuxSocket } from "./mux-socket.ts";

/** Serves a connection to the mux socket of a host. */
export type ServeMux = (socket: Socket, host: string) => MuxClient;

export class MuxSockets {
  readonly #serve: ServeMux;
  readonly #log: Log;
  readonly #byPath = new Map<string, MuxSocket>();
  readonly #byHost = new Map<string, MuxSocket>();
  readonly #troubles = new Map<string, TundError>();

  constructor(serve: ServeMux, log: Log) {
    this.#serve = serve;
    this.#log = log;
  }

  /** Where a master can be driven, and why some of its names have no socket, unless another master has it by right. */
  toldOf(hosts: readonly string[]): { muxSocket: string | null; warnings: string[] } {
    const sockets = hosts.flatMap((host) => this.#byHost.get(host) ?? []);
    return {
      muxSocket: sockets.find(({ isPlaced }) => isPlaced)?.path ?? null,
      warnings: hosts.flatMap((host) => {
        const trouble = this.#troubles.get(host);
        return trouble === undefined || trouble.details?.["holder"] !== undefined ? [] : trouble.message;
      }),
    };
  }

  /** Why a host has none although it should. */
  troubleOf(host: string): TundError | undefined {
    return this.#troubles.get(host);
  }

  /**
   * Has a host's master listen at a path, and nowhere else; null: nowhere. Settles when it does, or is known not to.
   * @param isSame whether another host stands for the same master, and may share the path
   */
  async place(host: string, path: string | null, isSame: (other: string) => boolean): Promise<void> {
    const before = this.#troubles.get(host)?.message;
    if (this.#byHost.get(host)?.path !== path) this.release(host);
    this.#troubles.delete(host);
    if (path === null) return;
    const socket = this.#byHost.get(host) ?? this.#share(host, path, isSame);
    const failure = socket instanceof TundError ? socket : await socket.placing;
    const isCurrent = socket instanceof TundError || this.#byHost.get(host) === socket;
    if (failure === undefined || !isCurrent) return;
    this.release(host);
    if (failure.message !== before) this.#log.warn({ host }, failure.message);
    this.#troubles.set(host, failure);
  }

  /** A host has no master any more: its socket is gone when this returns. */
  release(host: string): void {
    this.#troubles.delete(host);
    const socket = this.#byHost.get(host);
    if (socket === undefined) return;
    this.#byHost.delete(host);
    socket.hosts.delete(host);
    if (socket.hosts.size > 0) return;
    this.#byPath.delete(socket.path);
    socket.close();
  }

  #share(host: string, path: string, isSame: (other: string) => boolean): MuxSocket | TundError {
    if (!isAbsolute(path))
      return new TundError("BIND_FAILED", `no mux socket: ${path} is not absolute, and tund is elsewhere`);
    const standing = this.#byPath.get(path);
    const [holder] = standing?.hosts ?? [];
    if (holder !== undefined && !isSame(holder))
      return new TundError("BIND_IN_USE", `no mux socket: ${path} is that of ${holder}`, {
        details: { holder },
      });
    const socket = standing ?? new MuxSocket(path, this.#serve);
    socket.hosts.add(host);
    this.#byPath.set(path, socket);
    this.#byHost.set(host, socket);
    return socket;
  }
}
