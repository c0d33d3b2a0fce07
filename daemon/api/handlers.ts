// What each verb of the API does: the registry's methods, in the contract's shapes.
import type { Readable } from "node:stream";
import type { Input, Output } from "../../shared/contract.ts";
import type { Finding } from "../../shared/logins.ts";
import type { Status } from "../../shared/records.ts";
import type { Clock } from "../../shared/clock.ts";
import type { Verb } from "../../shared/routes.ts";
import type { Registry } from "../masters/registry.ts";
import type { Transaction } from "../masters/transaction.ts";
import type { Metrics } from "../metrics.ts";
import type { Turns } from "../turns.ts";
import { conversationStream } from "./conversation.ts";
import { eventStream } from "./events.ts";

/** What a handler answers with: the verb's own shape, or a stream of it. */
type Answer<V extends Verb> = V extends "watchEvents" | "openConversation" ? Readable : Output<V>;

/** @param transaction ends with the answer: committed when that is written, and aborted when it cannot be */
export type Handlers = { [V in Verb]: (input: Input<V>, transaction: Transaction) => Promise<Answer<V>> };

/** What they are made of. */
export interface Behind {
  registry: Registry;
  /** how the daemon is itself */
  daemon: () => Status["daemon"];
  /** long work of whichever kind */
  slices: Turns;
  clock: Clock;
  metrics: () => Promise<Metrics>;
  /** what the daemon finds of itself */
  selfCheck: () => Promise<Finding[]>;
}

/** The handlers over a registry. They take validated input, and throw TundError. */
export const handlersOf = ({ registry, daemon, slices, clock, metrics, selfCheck }: Behind): Handlers => ({
  getStatus: async () => ({ daemon: daemon(), masters: await registry.masters() }),
  listMasters: async () => ({ masters: await registry.masters() }),
  connectMaster: ({ params, body }, transaction) => registry.connect(params.host, body, transaction),
  getMaster: ({ params }) => registry.master(params.host),
  exitMaster: ({ params }) => registry.exit(params.host),
  checkMaster: ({ params }) => registry.check(params.host),
  reconnectMaster: ({ params }, transaction) => registry.reconnect(params.host, transaction),
  stopMaster: ({ params }) => registry.stop(params.host),
  holdMaster: ({ params, body }, transaction) => registry.hold(params.host, body, transaction),
  handOverHold: async ({ params, body }) => {
    registry.holding.handOver(params.id, body);
    return {};
  },
  listForwards: async ({ querystring }) => ({ forwards: await registry.forwards(querystring.host) }),
  openForwards: async ({ body }, transaction) => ({
    forwards: await registry.openForwards(body, transaction),
  }),
  getForward: ({ params }) => registry.forward(params.id),
  cancelForward: async ({ params }) => {
    const [cancelled] = await registry.cancel({ ids: [params.id] });
    return cancelled ?? registry.forward(params.id);
  },
  resolveHost: ({ body }) => registry.resolve(body.host, body.connection),
  getMetrics: async () => (await metrics()).text(),
  watchEvents: ({ querystring }) => eventStream(registry, { slices, clock }, querystring.host),
  scanHostKeys: ({ body }, transaction) => registry.inspection.scan(body, transaction),
  trustHostKeys: ({ body }, transaction) => registry.inspection.trust(body, transaction),
  diagnose: async ({ body }, transaction) => ({
    findings: [...(await selfCheck()), ...(await registry.inspection.diagnose(body, transaction))],
  }),
  openConversation: async () => conversationStream(registry),
  answerPrompt: async ({ params, body }) => {
    registry.conversations.answer(params.id, body.prompt, body.answer);
    return {};
  },
  openStdio: async ({ body }, transaction) => ({
    ticket: await registry.openStdio(body, transaction),
  }),
  cancelForwards: async ({ body }) => ({ forwards: await registry.cancel(body) }),
});
