// What state.json holds, as a schema.
import { type Static, Type } from "typebox";
import { ConnectionOptions } from "../shared/records.ts";

/** of the file's form; a file that says more is not read */
export const VERSION = 1;

const SavedForward = Type.Object({
  id: Type.String(),
  name: Type.Union([Type.String(), Type.Null()]),
  kind: Type.Enum(["local", "remote", "dynamic"]),
  spec: Type.String({ description: "as -L, -R or -D takes it" }),
  gatewayPorts: Type.Boolean({ description: "-g" }),
  onDemand: Type.Boolean(),
  idleSeconds: Type.Union([Type.Integer(), Type.Null()]),
  allocatedPort: Type.Union([Type.Integer(), Type.Null()]),
});

const SavedHost = Type.Object({
  host: Type.String(),
  kept: Type.Boolean({ description: "whether it was asked to be kept connected" }),
  connection: Type.Union([ConnectionOptions, Type.Null()]),
  hadEnvironment: Type.Optional(
    Type.Boolean({
      description: "it was asked for with another environment than tund's own, which is not saved",
    }),
  ),
  goodLogin: Type.Optional(
    // Checked by itself: one that makes no sense is not to have the rest set aside.
    Type.Unknown({ description: "its last login, if that was accepted by a key alone" }),
  ),
  forwards: Type.Array(SavedForward),
});

export const State = Type.Object({ version: Type.Literal(VERSION), hosts: Type.Array(SavedHost) });

export type SavedForward = Static<typeof SavedForward>;
/** A host that was asked for: with which options, and with which forwards. */
export type SavedHost = Static<typeof SavedHost>;
export type State = Static<typeof State>;
