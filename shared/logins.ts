// What the API tells of logins, as schemas: whom they may turn to, what they ask, host keys, and what stands in the way.
// Whoever imports this for its values pays for loading TypeBox: tunctl imports types only.
import { type Static, Type } from "typebox";
import { noNul } from "./no-nul.ts";
import { ConnectionOptions, Host } from "./records.ts";

const strict = { additionalProperties: false } as const;
const nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

export const CallerNote = Type.Object(
  {
    conversation: Type.Optional(
      Type.String({ minLength: 1, maxLength: 64, description: "the id of an open one: its holder is asked" }),
    ),
    agent: Type.Optional(
      Type.String({
        pattern: "^/[^\\u0000]*$",
        maxLength: 4096,
        description: "the caller's own authentication agent, for a host that has no other",
      }),
    ),
    environment: Type.Optional(
      Type.Array(Type.String({ minLength: 2, maxLength: 32_768, ...noNul }), {
        maxItems: 4096,
        description:
          "the caller's environment, NAME=VALUE each, for ssh -G, Match exec, ProxyCommand and KnownHostsCommand: of a " +
          "caller of tund's own uid, 32 KiB at most. It is kept in memory alone, and the newer one counts",
      }),
    ),
    remember: Type.Optional(
      Type.Boolean({ description: "keep answers in memory, for when the link is lost; never on disk" }),
    ),
  },
  { ...strict, $id: "Caller", description: "whoever asks, as far as a login may turn to them" },
);

export const ConversationLine = Type.Union(
  [
    Type.Object(
      { type: Type.Literal("opened"), id: Type.String() },
      { ...strict, description: "the first line: what to name the conversation by" },
    ),
    Type.Object(
      {
        type: Type.Literal("prompt"),
        id: Type.Integer({ description: "to answer it by" }),
        host: Type.String(),
        kind: Type.Enum(["passphrase", "password", "new-password", "keyboard-interactive", "host-key"]),
        instructions: nullable(Type.String({ description: "to be shown before" })),
        text: Type.String({ description: "what stands before the answer" }),
        echo: Type.Boolean({ description: "whether the answer may be seen while it is typed" }),
      },
      strict,
    ),
    Type.Object(
      { type: Type.Literal("notice"), text: Type.String() },
      { ...strict, description: "something to be shown: the server's banner, a key to be touched" },
    ),
  ],
  { $id: "ConversationLine" },
);

export const ScanRequest = Type.Object(
  { host: Host, connection: Type.Optional(ConnectionOptions), caller: Type.Optional(CallerNote) },
  { ...strict, $id: "ScanRequest" },
);

export const HostKeys = Type.Object(
  {
    host: Type.String(),
    name: Type.String({ description: "what known_hosts has it by" }),
    keys: Type.Array(
      Type.Object(
        {
          type: Type.String({ description: "ED25519, ECDSA, RSA" }),
          fingerprint: Type.String({ description: "SHA256:..." }),
          publicKey: Type.String({ description: "TYPE BASE64" }),
          verdict: Type.Enum(["known", "unknown", "changed", "revoked"]),
        },
        strict,
      ),
    ),
  },
  { ...strict, $id: "HostKeys" },
);

export const TrustRequest = Type.Object(
  {
    host: Host,
    connection: Type.Optional(ConnectionOptions),
    publicKeys: Type.Array(Type.String({ minLength: 1, maxLength: 16_384, ...noNul }), {
      minItems: 1,
      maxItems: 16,
    }),
  },
  { ...strict, $id: "TrustRequest" },
);
export const Trusted = Type.Object({ host: Type.String(), file: Type.String() }, strict);

export const DiagnoseRequest = Type.Object(
  {
    host: Type.Optional(Host),
    connection: Type.Optional(ConnectionOptions),
    caller: Type.Optional(CallerNote),
  },
  { ...strict, $id: "DiagnoseRequest" },
);
export const Finding = Type.Object(
  {
    subject: Type.String(),
    level: Type.Enum(["ok", "note", "problem"]),
    message: Type.String(),
    next: Type.Union([Type.String(), Type.Null()], { description: "what to do about it" }),
  },
  { ...strict, $id: "Finding" },
);
export const Findings = Type.Object({ findings: Type.Array(Finding) }, strict);

export const Answer = Type.Object(
  {
    prompt: Type.Integer({ minimum: 1 }),
    answer: Type.Union([Type.String({ maxLength: 4096 }), Type.Null()], {
      description: "null: none is given",
    }),
  },
  { ...strict, $id: "Answer" },
);
export type CallerNote = Static<typeof CallerNote>;
export type ConversationLine = Static<typeof ConversationLine>;
export type ScanRequest = Static<typeof ScanRequest>;
export type TrustRequest = Static<typeof TrustRequest>;
export type DiagnoseRequest = Static<typeof DiagnoseRequest>;
export type HostKeys = Static<typeof HostKeys>;
export type Finding = Static<typeof Finding>;
