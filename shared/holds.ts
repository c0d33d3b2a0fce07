// Masters as `ssh -M` has them, as schemas: what is asked for, what came of it.
// Whoever imports this for its values pays for loading TypeBox: tunctl imports types only.
import { type Static, Type } from "typebox";
import { CallerNote } from "./logins.ts";
import { ConnectionOptions, Kind, KindAndSpec, Master, Port } from "./records.ts";

const strict = { additionalProperties: false } as const;

export const HoldRequest = Type.Object(
  {
    hold: Type.String({
      minLength: 1,
      maxLength: 64,
      description: "the id of an open one, which has no master yet: GET /v1/hold with Upgrade: tund-hold",
    }),
    pid: Type.Integer({
      minimum: 1,
      description: "the process that holds it, for whoever checks the master",
    }),
    connection: Type.Optional(ConnectionOptions),
    caller: Type.Optional(CallerNote),
    forwards: Type.Optional(Type.Array(KindAndSpec, { maxItems: 256 })),
  },
  { ...strict, $id: "HoldRequest" },
);

export const Held = Type.Object(
  {
    master: Master,
    forwards: Type.Array(
      Type.Object(
        { kind: Kind, spec: Type.String(), allocatedPort: Type.Union([Port, Type.Null()]) },
        { ...strict, description: "what was set up, and the ports that the server chose" },
      ),
    ),
    refused: Type.Array(
      Type.Object(
        { kind: Kind, spec: Type.String(), code: Type.String(), message: Type.String() },
        { ...strict, description: "what could not be set up, where ExitOnForwardFailure is not said" },
      ),
    ),
    background: Type.Boolean({
      description: "its holder is to go to the background: ControlPersist or ForkAfterAuthentication",
    }),
  },
  { ...strict, $id: "Held" },
);

export const HandOver = Type.Object({ pid: Type.Integer({ minimum: 1 }) }, { ...strict, $id: "HandOver" });

export type HoldRequest = Static<typeof HoldRequest>;
export type Held = Static<typeof Held>;
export type HandOver = Static<typeof HandOver>;
