// The control API, once: from these schemas come validation, handler types, the client's types and openapi.json.
// Whoever imports this for its values pays for loading TypeBox: tunctl imports types only.
import { type Static, Type } from "typebox";
import { HandOver, Held, HoldRequest } from "./holds.ts";
import {
  Answer,
  CallerNote,
  ConversationLine,
  DiagnoseRequest,
  Findings,
  HostKeys,
  ScanRequest,
  Trusted,
  TrustRequest,
} from "./logins.ts";
import { noNul } from "./no-nul.ts";
import {
  Check,
  ConnectionOptions,
  Event,
  Forward,
  Host,
  KindAndSpec,
  Master,
  Port,
  Problem,
  Status,
} from "./records.ts";
import type { Verb } from "./routes.ts";

const strict = { additionalProperties: false } as const;
const MasterList = Type.Object({ masters: Type.Array(Master) }, strict);
const ForwardList = Type.Object({ forwards: Type.Array(Forward) }, strict);

const Name = Type.String({
  pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
  description: "stands for the forward's id; for one forward only",
});
const HostParams = Type.Object({ host: Host }, strict);
const IdParams = Type.Object({ id: Type.String({ minLength: 1, maxLength: 64 }) }, strict);
const HostQuery = Type.Object({ host: Type.Optional(Host) }, strict);

const TimeoutSeconds = Type.Optional(
  Type.Integer({ minimum: 1, maximum: 86_400, description: "give up, and leave none, after that long" }),
);

export const ConnectRequest = Type.Object(
  {
    connection: Type.Optional(ConnectionOptions),
    caller: Type.Optional(CallerNote),
    timeoutSeconds: TimeoutSeconds,
  },
  { ...strict, $id: "ConnectRequest" },
);

export const OpenRequest = Type.Object(
  {
    host: Host,
    connection: Type.Optional(ConnectionOptions),
    caller: Type.Optional(CallerNote),
    forwards: Type.Array(KindAndSpec, { minItems: 1, maxItems: 256 }),
    gatewayPorts: Type.Optional(Type.Boolean({ description: "-g: without a bind address, the wildcard" })),
    name: Type.Optional(Name),
    ephemeral: Type.Optional(Type.Boolean({ description: "forget them when the daemon ends" })),
    wait: Type.Optional(
      Type.Boolean({ description: "false: answer when they are recorded; the daemon keeps trying" }),
    ),
    timeoutSeconds: TimeoutSeconds,
    onDemand: Type.Optional(
      Type.Boolean({ description: "listen now, and dial the master when the first connection comes" }),
    ),
    idleSeconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 604_800,
        description: "with onDemand: close the master after that long without channels",
      }),
    ),
  },
  { ...strict, $id: "OpenRequest" },
);

export const CancelRequest = Type.Object(
  {
    host: Type.Optional(Host),
    forwards: Type.Optional(
      Type.Array(KindAndSpec, { maxItems: 256, description: "whole specs or bind parts alone" }),
    ),
    ids: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 64 }), { maxItems: 256 })),
    all: Type.Optional(Type.Boolean()),
    drainSeconds: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 86_400,
        description: "end established channels after that long; left out, they live on",
      }),
    ),
  },
  { ...strict, $id: "CancelRequest" },
);

const ResolveRequest = Type.Object(
  { host: Host, connection: Type.Optional(ConnectionOptions) },
  { ...strict, $id: "ResolveRequest" },
);

export const Resolved = Type.Object(
  {
    host: Type.String(),
    hostname: Type.String(),
    user: Type.String(),
    port: Port,
    forwards: Type.Array(KindAndSpec, {
      description: "LocalForward, RemoteForward, DynamicForward of ssh_config",
    }),
    controlPath: Type.Union([Type.String(), Type.Null()], {
      description: "where ssh can drive its master, or is to be able to",
    }),
    clearAllForwardings: Type.Boolean(),
    exitOnForwardFailure: Type.Boolean(),
  },
  { ...strict, $id: "Resolved" },
);

const StdioRequest = Type.Object(
  {
    host: Host,
    connection: Type.Optional(ConnectionOptions),
    caller: Type.Optional(CallerNote),
    destination: Type.String({
      minLength: 1,
      maxLength: 1200,
      ...noNul,
      description: "host:port, [v6]:port or /path",
    }),
  },
  { ...strict, $id: "StdioRequest" },
);

const Stdio = Type.Object(
  {
    ticket: Type.String({
      description: "good for 10 s and one connection: GET /v1/stdio/TICKET with Upgrade: tund-stdio",
    }),
  },
  { ...strict, $id: "Stdio" },
);

const HoldParams = Type.Object({ id: Type.String({ minLength: 1, maxLength: 64 }) }, strict);
const ConversationParams = Type.Object({ id: Type.String({ minLength: 1, maxLength: 64 }) }, strict);

interface RouteSchema {
  summary: string;
  params?: Type.TObject;
  querystring?: Type.TObject;
  body?: Type.TObject;
  /** what its answer is, where that is not one JSON value */
  produces?: [string];
  response: { 200: Type.TSchema; default: Type.TSchema };
}

const answers = <T extends Type.TSchema>(schema: T) => ({ 200: schema, default: Problem });

export const contract = {
  getStatus: { summary: "The daemon and its masters", response: answers(Status) },
  listMasters: { summary: "Every master", response: answers(MasterList) },
  connectMaster: {
    summary: "Connect a host's master and keep it connected; answers when it is ready",
    params: HostParams,
    body: ConnectRequest,
    response: answers(Master),
  },
  getMaster: { summary: "One master", params: HostParams, response: answers(Master) },
  exitMaster: {
    summary: "End a master at once, with all its forwards",
    params: HostParams,
    response: answers(Master),
  },
  checkMaster: {
    summary: "Probe the link and measure its round trip",
    params: HostParams,
    response: answers(Check),
  },
  reconnectMaster: {
    summary: "Drop the link and dial now, without waiting for the backoff; answers when it is ready",
    params: HostParams,
    response: answers(Master),
  },
  stopMaster: {
    summary: "Cancel all forwards of a master; it ends when its last channel has",
    params: HostParams,
    response: answers(Master),
  },
  holdMaster: {
    summary: "Make a master of the caller's own, as ssh -M has it: it ends with its link, or with the hold",
    params: HostParams,
    body: HoldRequest,
    response: answers(Held),
  },
  handOverHold: {
    summary: "Another process holds it from now on",
    params: HoldParams,
    body: HandOver,
    response: answers(Type.Object({}, strict)),
  },
  listForwards: {
    summary: "Every forward, or those of one master",
    querystring: HostQuery,
    response: answers(ForwardList),
  },
  openForwards: {
    summary: "Connect the master if it is not, then set up forwards: all of them or none",
    body: OpenRequest,
    response: answers(ForwardList),
  },
  getForward: { summary: "One forward", params: IdParams, response: answers(Forward) },
  cancelForward: {
    summary: "Cancel one forward; established channels live on",
    params: IdParams,
    response: answers(Forward),
  },
  cancelForwards: {
    summary: "Cancel the forwards that are named; established channels live on",
    body: CancelRequest,
    response: answers(ForwardList),
  },
  resolveHost: {
    summary: "What ssh_config means for a host, its forwards included; nothing is dialled",
    body: ResolveRequest,
    response: answers(Resolved),
  },
  getMetrics: {
    summary: "Prometheus metrics, in the text format",
    produces: ["text/plain; version=0.0.4; charset=utf-8"],
    response: answers(Type.String()),
  },
  watchEvents: {
    summary:
      "How everything is, then every change as it happens: a JSON object a line, until one side ends it",
    querystring: HostQuery,
    produces: ["application/x-ndjson"],
    response: answers(Event),
  },
  scanHostKeys: {
    summary: "The keys that a host shows, and what known hosts say of them; nothing is recorded",
    body: ScanRequest,
    response: answers(HostKeys),
  },
  trustHostKeys: {
    summary: "Record keys of a host in the user's known_hosts",
    body: TrustRequest,
    response: answers(Trusted),
  },
  diagnose: {
    summary: "What would happen and why, of the daemon and of a host; no secret is sent and nothing changed",
    body: DiagnoseRequest,
    response: answers(Findings),
  },
  openConversation: {
    summary:
      "Be asked what logins need: name the conversation in a request; it ends with this stream of JSON lines",
    produces: ["application/x-ndjson"],
    response: answers(ConversationLine),
  },
  answerPrompt: {
    summary: "Answer a question of a conversation",
    params: ConversationParams,
    body: Answer,
    response: answers(Type.Object({}, strict)),
  },
  openStdio: {
    summary: "Open a channel for the caller's own stdin and stdout (ssh -W); answers when it is open",
    body: StdioRequest,
    response: answers(Stdio),
  },
} as const satisfies Record<Verb, RouteSchema>;

export type ConnectRequest = Static<typeof ConnectRequest>;
export type OpenRequest = Static<typeof OpenRequest>;
export type StdioRequest = Static<typeof StdioRequest>;
export type Resolved = Static<typeof Resolved>;
export type CancelRequest = Static<typeof CancelRequest>;

type Part<V extends Verb, P extends "params" | "querystring" | "body"> =
  (typeof contract)[V] extends Record<P, infer S extends Type.TSchema> ? Static<S> : undefined;

/** What a verb of the API takes: `{ params, querystring, body }`, those that it has. */
export type Input<V extends Verb> = {
  [P in "params" | "querystring" | "body" as Part<V, P> extends undefined ? never : P]: Part<V, P>;
};

/** What a verb of the API answers with when it succeeds. */
export type Output<V extends Verb> = Static<(typeof contract)[V]["response"][200]>;
