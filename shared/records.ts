// What the API tells of, as schemas: a forward, a master, the daemon, and why something failed.
// Whoever imports this for its values pays for loading TypeBox: tunctl imports types only.
import { type Static, Type } from "typebox";
import { errors, type ErrorCode } from "./errors.ts";
import { noNul } from "./no-nul.ts";

const strict = { additionalProperties: false } as const;
const nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const Word = (description: string) => Type.String({ minLength: 1, ...noNul, description });
const Moment = Type.String({ format: "date-time" });
export const Host = Type.String({
  minLength: 1,
  maxLength: 1024,
  ...noNul,
  description: "[user@]host, an ssh_config alias, or ssh://[user@]host[:port]",
});
export const Port = Type.Integer({ minimum: 0, maximum: 65_535 });
export const Kind = Type.Enum(["local", "remote", "dynamic"]);
const SpecText = Type.String({
  minLength: 1,
  maxLength: 4096,
  ...noNul,
  description: "as -L, -R or -D takes it",
});
export const KindAndSpec = Type.Object({ kind: Kind, spec: SpecText }, strict);

export const ConnectionOptions = Type.Object(
  {
    configFile: Type.Optional(Word("-F")),
    options: Type.Optional(
      Type.Array(Word("KEY=VALUE"), { maxItems: 256, description: "-o, KEY=VALUE each" }),
    ),
    port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535, description: "-p" })),
    user: Type.Optional(Word("-l")),
    identityFiles: Type.Optional(Type.Array(Word("a path"), { maxItems: 64, description: "-i" })),
    jump: Type.Optional(Word("-J")),
    controlPath: Type.Optional(Word("-S: where ssh can drive its master, or none")),
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

const ForwardState = Type.Enum(["pending", "active", "failed", "closing", "closed"]);
const MasterState = Type.Enum([
  "idle",
  "connecting",
  "ready",
  "waiting",
  "blocked",
  "failed",
  "closing",
  "closed",
]);

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
    state: ForwardState,
    since: Moment,
    failure: nullable(Failure),
    retryAt: nullable(Moment),
    warnings: Type.Array(Type.String()),
    persistent: Type.Boolean({ description: "whether it comes back when the daemon does" }),
    onDemand: Type.Boolean({ description: "whether its first connection is what dials its master" }),
    idleSeconds: nullable(
      Type.Integer({
        description: "after so long without channels its master is closed, if all are on demand",
      }),
    ),
    channels: Type.Object(
      {
        open: Type.Integer(),
        total: Type.Integer(),
        failed: Type.Integer(),
        parked: Type.Integer({ description: "connections that wait for the link" }),
      },
      strict,
    ),
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
    state: MasterState,
    since: Moment,
    kept: Type.Boolean({ description: "whether it was asked to be kept connected" }),
    server: nullable(Type.String({ description: "the server's software version (RFC 4253 section 4.2)" })),
    keyExchange: nullable(
      Type.Object(
        {
          algorithm: Type.String({ description: "as it is negotiated (RFC 4253 section 7.1)" }),
          postQuantum: Type.Boolean({
            description: "whether what is recorded of the link stays secret from a quantum computer",
          }),
          warned: Type.Boolean({
            description:
              "whether it is to be told that it is not, which WarnWeakCrypto of ssh_config can forbid",
          }),
        },
        { ...strict, description: "how the keys of the link were exchanged, the last time" },
      ),
    ),
    pid: Type.Integer(),
    roundTripMs: nullable(Type.Number()),
    reconnects: Type.Integer(),
    failure: nullable(Failure),
    retryAt: nullable(Moment),
    via: Type.Array(Type.String(), { description: "jump hosts, nearest first" }),
    muxSocket: nullable(Type.String({ description: "where ssh -S can drive it" })),
    warnings: Type.Array(Type.String(), {
      description:
        "forwards of ssh_config that could not be set up, host keys that could not be recorded, and a mux socket that could not be made",
    }),
    forwards: Type.Integer(),
    channels: Type.Integer({ description: "open channels, those of cancelled forwards included" }),
  },
  { ...strict, $id: "Master" },
);

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
        log: Type.Object(
          {
            lost: Type.Integer({ description: "lines that could not be written" }),
            failure: nullable(Type.String({ description: "why not, while that lasts" })),
          },
          strict,
        ),
        descriptors: Type.Object(
          {
            limit: nullable(Type.Integer({ description: "how many there may be; null: not known" })),
            refused: Type.Integer({
              description: "connections that were refused because there were too many",
            }),
          },
          strict,
        ),
      },
      strict,
    ),
    masters: Type.Array(Master),
  },
  { ...strict, $id: "Status" },
);

export const Check = Type.Object(
  {
    host: Type.String(),
    pid: Type.Integer(),
    roundTripMs: nullable(
      Type.Number({ description: "null: the server lives and answers nothing that would measure it" }),
    ),
  },
  { ...strict, $id: "Check" },
);

const inStream = {
  seq: Type.Integer({ description: "0, 1, 2, ... within the stream: none is left out" }),
  at: Moment,
};

export const Event = Type.Union(
  [
    Type.Object(
      {
        type: Type.Literal("snapshot"),
        ...inStream,
        masters: Type.Array(Master),
        forwards: Type.Array(Forward),
      },
      { ...strict, description: "the first line: how everything is" },
    ),
    Type.Object(
      { type: Type.Literal("master"), ...inStream, master: Master },
      { ...strict, description: "how a master is now; the last one of it has the state closed" },
    ),
    Type.Object(
      { type: Type.Literal("forward"), ...inStream, forward: Forward },
      { ...strict, description: "how a forward is now; the last one of it has the state closed" },
    ),
    Type.Object(
      { type: Type.Literal("overrun"), ...inStream },
      { ...strict, description: "the last line to a reader that was too slow: what follows is lost to it" },
    ),
  ],
  { $id: "Event" },
);

export type ConnectionOptions = Static<typeof ConnectionOptions>;
export type Failure = Static<typeof Failure>;
export type Problem = Static<typeof Problem>;
export type Forward = Static<typeof Forward>;
export type Master = Static<typeof Master>;
export type Status = Static<typeof Status>;
export type Check = Static<typeof Check>;
export type Event = Static<typeof Event>;
/** A change as it happens, before it has its place in a stream. */
export type Change =
  | { type: "master"; at: string; master: Master }
  | { type: "forward"; at: string; forward: Forward };
