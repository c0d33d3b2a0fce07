// The control API, once: from these schemas come validation, handler types, the client's types and openapi.json.
// Whoever imports this for its values pays for loading TypeBox: tunctl imports types only.
import { type Static, Type } from "typebox";
import { errors, type ErrorCode } from "./errors.ts";
import type { Verb } from "./routes.ts";

const strict = { additionalProperties: false } as const;
const nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const Moment = Type.String({ format: "date-time" });
const Port = Type.Integer({ minimum: 0, maximum: 65_535 });
const Host = Type.String({
  minLength: 1,
  maxLength: 1024,
  description: "[user@]host, an ssh_config alias, or ssh://[user@]host[:port]",
});
const Kind = Type.Enum(["local", "remote", "dynamic"]);

export const ConnectionOptions = Type.Object(
  {
    configFile: Type.Optional(Type.String({ minLength: 1, description: "-F" })),
    options: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), { maxItems: 256, description: "-o, KEY=VALUE each" }),
    ),
    port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535, description: "-p" })),
    user: Type.Optional(Type.String({ minLength: 1, description: "-l" })),
    identityFiles: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), { maxItems: 64, description: "-i" }),
    ),
    jump: Type.Optional(Type.String({ minLength: 1, description: "-J" })),
    addressFamily: Type.Optional(Type.Enum(["inet", "inet6"], { description: "-4, -6" })),
  },
  { ...strict, $id: "ConnectionOptions" },
);

export const Failure = Type.Object(
  {
    code: Type.Enum(Object.keys(errors) as [ErrorCode, ...ErrorCode[]]),
    message: Type.String(),
    at: Moment,
  },
  { ...strict, $id: "Failure" },
);

export const Problem = Type.Object(
  {
    code: Type.Enum(Object.keys(errors) as [ErrorCode, ...ErrorCode[]]),
    message: Type.String(),
    details: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  },
  { ...strict, $id: "Problem", description: "Why a request failed" },
);

const UnixEnd = Type.Object({ path: Type.String() }, strict);

export const Forward = Type.Object(
  {
    id: Type.String(),
    name: nullable(Type.String()),
    host: Type.String({ description: "the name that its user gave" }),
    kind: Kind,
    spec: Type.String(),
    bind: Type.Union([Type.Object({ address: Type.String(), port: Port }, strict), UnixEnd]),
    destination: nullable(Type.Union([Type.Object({ host: Type.String(), port: Port }, strict), UnixEnd])),
    allocatedPort: nullable(Type.Integer({ description: "the port that the server chose for -R 0" })),
    boundTo: Type.Array(Type.String(), { description: "the addresses and paths that listen" }),
    state: Type.Enum(["pending", "active", "failed", "closing", "closed"]),
    since: Moment,
    failure: nullable(Failure),
    warnings: Type.Array(Type.String()),
    persistent: Type.Boolean(),
    channels: Type.Object({ open: Type.Integer(), total: Type.Integer(), failed: Type.Integer() }, strict),
    bytes: Type.Object(
      {
        in: Type.Integer({ description: "from the network to whoever connected here" }),
        out: Type.Integer({ description: "from whoever connected here to the network" }),
      },
      strict,
    ),
  },
  { ...strict, $id: "Forward" },
);

export const Master = Type.Object(
  {
    host: Type.String({ description: "the name that it was first connected by" }),
    names: Type.Array(Type.String(), { description: "every name that shares this master" }),
    user: Type.String(),
    hostname: Type.String(),
    port: Port,
    address: nullable(Type.String({ description: "what hostname resolved to, with the port" })),
    state: Type.Enum(["connecting", "ready", "waiting", "blocked", "failed", "closing", "closed"]),
    since: Moment,
    server: nullable(Type.String({ description: "the server's software version (RFC 4253 section 4.2)" })),
    pid: Type.Integer(),
    roundTripMs: nullable(Type.Number()),
    reconnects: Type.Integer(),
    failure: nullable(Failure),
    retryAt: nullable(Moment),
    via: Type.Array(Type.String(), { description: "jump hosts, nearest first" }),
    muxSocket: nullable(Type.String()),
    warnings: Type.Array(Type.String(), { description: "forwards of ssh_config that could not be set up" }),
    forwards: Type.Integer(),
    channels: Type.Integer({ description: "open channels, those of cancelled forwards included" }),
  },
  { ...strict, $id: "Master" },
);

const MasterList = Type.Object({ masters: Type.Array(Master) }, strict);
const ForwardList = Type.Object({ forwards: Type.Array(Forward) }, strict);

export const Status = Type.Object(
  {
    daemon: Type.Object(
      {
        version: Type.String(),
        pid: Type.Integer(),
        since: Moment,
        socket: Type.String(),
        node: Type.String(),
        nativeCrypto: Type.Boolean({ description: "whether ssh2's compiled ciphers are in use" }),
      },
      strict,
    ),
    masters: Type.Array(Master),
  },
  { ...strict, $id: "Status" },
);

export const Check = Type.Object(
  { host: Type.String(), pid: Type.Integer(), roundTripMs: Type.Number() },
  { ...strict, $id: "Check" },
);

const SpecText = Type.String({ minLength: 1, maxLength: 4096, description: "as -L, -R or -D takes it" });
const KindAndSpec = Type.Object({ kind: Kind, spec: SpecText }, strict);
const HostParams = Type.Object({ host: Host }, strict);
const IdParams = Type.Object({ id: Type.String({ minLength: 1, maxLength: 64 }) }, strict);
const HostQuery = Type.Object({ host: Type.Optional(Host) }, strict);

const ConnectRequest = Type.Object(
  { connection: Type.Optional(ConnectionOptions) },
  { ...strict, $id: "ConnectRequest" },
);

export const OpenRequest = Type.Object(
  {
    host: Host,
    connection: Type.Optional(ConnectionOptions),
    forwards: Type.Array(KindAndSpec, { minItems: 1, maxItems: 256 }),
    gatewayPorts: Type.Optional(Type.Boolean({ description: "-g: without a bind address, the wildcard" })),
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
    clearAllForwardings: Type.Boolean(),
    exitOnForwardFailure: Type.Boolean(),
  },
  { ...strict, $id: "Resolved" },
);

const StdioRequest = Type.Object(
  {
    host: Host,
    connection: Type.Optional(ConnectionOptions),
    destination: Type.String({ minLength: 1, maxLength: 1200, description: "host:port, [v6]:port or /path" }),
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

interface RouteSchema {
  summary: string;
  params?: Type.TObject;
  querystring?: Type.TObject;
  body?: Type.TObject;
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
  stopMaster: {
    summary: "Cancel all forwards of a master; it ends when its last channel has",
    params: HostParams,
    response: answers(Master),
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
  openStdio: {
    summary: "Open a channel for the caller's own stdin and stdout (ssh -W); answers when it is open",
    body: StdioRequest,
    response: answers(Stdio),
  },
} as const satisfies Record<Verb, RouteSchema>;

export type ConnectionOptions = Static<typeof ConnectionOptions>;
export type Failure = Static<typeof Failure>;
export type Problem = Static<typeof Problem>;
export type Forward = Static<typeof Forward>;
export type Master = Static<typeof Master>;
export type Status = Static<typeof Status>;
export type Check = Static<typeof Check>;
export type OpenRequest = Static<typeof OpenRequest>;
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
