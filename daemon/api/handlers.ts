// What each verb of the API does: the registry's methods, in the contract's shapes.
import type { Input, Output } from "../../shared/contract.ts";
import type { Status } from "../../shared/records.ts";
import type { Verb } from "../../shared/routes.ts";
import type { Registry } from "../masters/registry.ts";

export type Handlers = { [V in Verb]: (input: Input<V>) => Promise<Output<V>> };

/** The handlers over a registry. They take validated input, and throw TundError. */
export const handlersOf = (registry: Registry, daemon: Status["daemon"]): Handlers => ({
  getStatus: async () => ({ daemon, masters: await registry.masters() }),
  listMasters: async () => ({ masters: await registry.masters() }),
  connectMaster: ({ params, body }) => registry.connect(params.host, body.connection),
  getMaster: ({ params }) => registry.master(params.host),
  exitMaster: ({ params }) => registry.exit(params.host),
  checkMaster: ({ params }) => registry.check(params.host),
  reconnectMaster: ({ params }) => registry.reconnect(params.host),
  stopMaster: ({ params }) => registry.stop(params.host),
  listForwards: async ({ querystring }) => ({ forwards: await registry.forwards(querystring.host) }),
  openForwards: async ({ body }) => ({ forwards: await registry.openForwards(body) }),
  getForward: ({ params }) => registry.forward(params.id),
  cancelForward: async ({ params }) => {
    const [cancelled] = await registry.cancel({ ids: [params.id] });
    return cancelled ?? registry.forward(params.id);
  },
  resolveHost: ({ body }) => registry.resolve(body.host, body.connection),
  openStdio: async ({ body }) => ({
    ticket: await registry.openStdio(body.host, body.destination, body.connection),
  }),
  cancelForwards: async ({ body }) => ({ forwards: await registry.cancel(body) }),
});
