// The daemon's settings, which are environment variables, as a schema.
import { type Static, Type } from "typebox";

// Each description is what --help and the man page say of it.
export const Environment = Type.Object({
  TUND_SOCKET: Type.Optional(
    Type.String({
      description:
        "the control socket, in a directory of its own (default: tund.sock in $RUNTIME_DIRECTORY or $XDG_RUNTIME_DIR/tund, " +
        "where that is ours and others cannot write in it, else run/tund.sock in the state directory)",
    }),
  ),
  TUND_STATE_DIR: Type.Optional(
    Type.String({
      description:
        "the state directory, closed to others: mode 0700 (default: $STATE_DIRECTORY, else ~/.local/state/tund)",
    }),
  ),
  TUND_SSH_CONFIG: Type.Optional(
    Type.String({ description: "the -F for every host (default: as ssh does)" }),
  ),
  TUND_CONNECT: Type.Optional(
    Type.String({ description: "hosts to connect at start, with spaces between them" }),
  ),
  TUND_CONTROL_PATH: Type.Optional(
    Type.String({
      pattern: "^(none$|ssh_config$|/|~|%d|\\$\\{)",
      description:
        "where ssh -S can drive each master: a ControlPath, none, or ssh_config for what that says (default: mux/%C " +
        "beside the control socket)",
    }),
  ),
  TUND_MUX_FORWARDS: Type.Optional(
    Type.Enum(["ephemeral", "persistent"], {
      description: "ephemeral or persistent: whether forwards by ssh -O outlive tund (default: ephemeral)",
    }),
  ),
  TUND_PARK_SECONDS: Type.Optional(
    Type.String({
      pattern: "^[0-9]{1,5}$",
      description: "how long a new connection waits for a link that is away; 0: not at all (default: 30)",
    }),
  ),
  TUND_PARK_MAX: Type.Optional(
    Type.String({ pattern: "^[0-9]{1,5}$", description: "how many do, for each forward (default: 256)" }),
  ),
  TUND_METRICS_LISTEN: Type.Optional(
    Type.String({
      description: "[ADDRESS:]PORT on loopback for Prometheus (default: the control socket alone)",
    }),
  ),
  TUND_LOG_LEVEL: Type.Optional(
    Type.Enum(["debug", "info", "warn", "error"], {
      description: "debug, info, warn or error (default: info)",
    }),
  ),
  TUND_LOG_FORMAT: Type.Optional(
    Type.Enum(["json", "pretty", "journal"], {
      description: "json, pretty or journal (default: pretty on a terminal, else json)",
    }),
  ),
});

/** Every setting's variable, and what it means. */
export const variables: readonly { readonly name: string; readonly means: string }[] = Object.entries(
  Environment.properties as Record<string, { description?: string }>,
).map(([name, { description = "" }]) => ({ name, means: description }));

/** Every setting that is there; its variable has a value that the schema allows. */
export type Settings = Static<typeof Environment>;
