// The control API: HTTP ↔ registry. Knows fastify, and nothing of ssh.
import type { Socket } from "node:net";
import { Readable } from "node:stream";
import Fastify, { type FastifyInstance } from "fastify";
import type { ValidateFunction } from "ajv";
import { contract } from "../../shared/contract.ts";
import { TundError } from "../../shared/errors.ts";
import type { Log } from "../../shared/log.ts";
import { routes, VERSION_HEADER, type Verb } from "../../shared/routes.ts";
import { makeRoom } from "./doorway.ts";
import { jsonInSlices } from "../slices.ts";
import type { Turns } from "../turns.ts";
import type { Transaction } from "../masters/transaction.ts";
import { transactionOf } from "./answering.ts";
import { type Behind, type Handlers, handlersOf } from "./handlers.ts";
import { renderError } from "./problem.ts";
import { dropForeignEnvironment } from "./own-environment.ts";
import { requestChecks } from "./request-checks.ts";
import { serveUpgrades } from "./upgrades.ts";

export interface ServerOptions extends Behind {
  log: Log;
  /** settles when there is something to answer from; requests wait for it */
  restored: Promise<unknown>;
  /** whether a control connection that has just come has one of the last descriptors */
  isLast: (socket: Socket) => boolean;
  /** whether a control connection is of tund's own uid: the environment of others does not count */
  isOwn: (socket: Socket) => boolean;
}

const BODY_LIMIT = 64 * 1024;
const MOST_AT_ONCE = 100;
const JSON_TYPE = "application/json; charset=utf-8";
const REQUEST_DEADLINE_MS = 10_000; // half a request must not hold a connection for ever

/** Builds the server; the caller listens. Nothing is coerced and nothing dropped: what does not fit is refused. */
export function buildServer({ log, restored, isLast, isOwn, ...behind }: ServerOptions): FastifyInstance {
  const { version } = behind.daemon();
  const app = Fastify({
    bodyLimit: BODY_LIMIT,
    requestTimeout: REQUEST_DEADLINE_MS,
    routerOptions: { maxParamLength: 1024 },
    // Told of none, fastify would load its own.
    schemaController: { compilersFactory: { buildValidator: noCompiler, buildSerializer: noCompiler } },
  });
  // A server that closes waits for all of them: streams without an end, and clients that do not hang up (stopped with ^Z).
  const sockets = new Set<Socket>();
  // accept() can fail (EMFILE), and the server outlives that.
  app.server.on("error", (error) => log.warn({ err: error }, "the control socket"));
  app.server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  app.addHook("preClose", async () => sockets.forEach((socket) => socket.destroy()));
  app.setErrorHandler((error, _request, reply) => renderError(error, reply, log));
  app.setNotFoundHandler((request) => {
    throw new TundError("NOT_FOUND", `there is no ${request.method} ${request.url.split("?")[0]}`);
  });
  app.addHook("onRequest", async (request, reply) => {
    reply.header(VERSION_HEADER, version);
    // A browser sends it, and no browser has business here: whatever page made it do so means no good.
    if (request.headers.origin !== undefined)
      throw new TundError("FORBIDDEN", "requests with an Origin header are refused");
    await restored;
  });
  app.addHook("onError", async (request, _reply, error) => {
    log.debug({ method: request.method, url: request.url, error: error.message }, "request refused");
  });
  addRoutes(app, handlersOf(behind), behind.slices, isOwn);
  serveUpgrades(app.server, behind.registry, behind.clock);
  makeRoom(app.server, isLast, behind.clock);
  return app;
}

const noCompiler = () => () => {
  throw new Error("every route has its own checks");
};

/** Registers every route of the contract. */
export function addRoutes(
  app: FastifyInstance,
  handlers: Handlers,
  slices: Turns,
  isOwn: ServerOptions["isOwn"],
): void {
  for (const verb of Object.keys(routes) as Verb[]) {
    const { method, url } = routes[verb];
    const handle = handlers[verb] as (input: unknown, transaction: Transaction) => Promise<unknown>;
    app.route({
      method,
      url,
      schema: { operationId: verb, ...contract[verb] },
      validatorCompiler: ({ httpPart }) => checkOf(verb, httpPart),
      // Answers are typed where they are made, and written as they are.
      serializerCompiler: () => (answer) => JSON.stringify(answer),
      handler: async ({ params, query, body, raw }, reply) => {
        dropForeignEnvironment(body, () => isOwn(raw.socket));
        const answer = await handle({ params, querystring: query, body }, transactionOf(reply.raw));
        reply.type(produces(verb) ?? JSON_TYPE);
        return isLong(answer) ? jsonInSlices(slices, answer) : answer;
      },
    });
  }
}

// One with more in it than can be written out in one turn of the event loop.
const isLong = (answer: unknown): answer is object =>
  typeof answer === "object" &&
  answer !== null &&
  !(answer instanceof Readable) &&
  Object.values(answer).some((value) => Array.isArray(value) && value.length > MOST_AT_ONCE);

function checkOf(verb: Verb, part: string | undefined): ValidateFunction {
  const check = requestChecks[`${verb} ${part}`];
  if (check === undefined) throw new Error(`there is no check of the ${part} of ${verb}`);
  return check;
}

const produces = (verb: Verb): string | undefined =>
  (contract[verb] as { produces?: [string] }).produces?.[0];
