// Whoever runs tunctl, as far as a login may turn to them: their agent, and a person at a terminal or an askpass program.
import { passedOn } from "../shared/caller-environment.ts";
import type { CallerNote } from "../shared/logins.ts";
import { type Given, has, type Option } from "./args.ts";
import type { Context, Invocation } from "./command.ts";
import { isOwnSocket } from "./control-socket.ts";
import { warn } from "./fail.ts";

export const remember: Option = {
  long: "remember",
  help: "keep answers in tund's memory for when the link is lost; never on disk",
};

/** How a person is asked. */
export type Means = { kind: "terminal"; descriptor: number } | { kind: "askpass"; program: string };

const ASKPASS = "/usr/bin/ssh-askpass";

/** Chooses as ssh does (readpass.c): SSH_ASKPASS_REQUIRE, the terminal, then SSH_ASKPASS where there is a display. */
function meansOf({ env, openTerminal }: Pick<Context, "env" | "openTerminal">): Means | null {
  const { SSH_ASKPASS_REQUIRE: require, SSH_ASKPASS, DISPLAY, WAYLAND_DISPLAY } = env;
  const askpass: Means = { kind: "askpass", program: SSH_ASKPASS || ASKPASS };
  const hasDisplay = Boolean(DISPLAY || WAYLAND_DISPLAY);
  if (require === "force" || (require === "prefer" && hasDisplay)) return askpass;
  const descriptor = openTerminal();
  if (descriptor !== null) return { kind: "terminal", descriptor };
  return hasDisplay && require !== "never" ? askpass : null;
}

/** What of a request's body tells the daemon whom a login may turn to. */
interface Asked {
  caller?: CallerNote;
}

/** Makes a request that may need a login: `run` is given what belongs into its body. */
export async function withCaller<T>(invocation: Invocation, run: (asked: Asked) => Promise<T>): Promise<T> {
  const { context, given } = invocation;
  const note: CallerNote = {
    ...agentOf(context),
    ...remembering(given),
    ...(await environmentOf(invocation)),
  };
  const means = meansOf(context);
  if (means === null) return run(Object.keys(note).length === 0 ? {} : { caller: note });
  // Loaded here: most runs have nobody to ask.
  const { converse } = await import("./conversation.ts");
  return converse(invocation, means, (conversation) => run({ caller: { ...note, conversation } }));
}

/** Asks a person here. Gives undefined when there is nobody to ask, null when they do not answer. */
export async function askHere(
  { context }: Invocation,
  question: { instructions: string; text: string; echo: boolean },
): Promise<string | null | undefined> {
  const means = meansOf(context);
  if (means === null) return undefined;
  if (means.kind === "askpass") {
    const { askProgram } = await import("./askpass.ts");
    return askProgram(means.program, question, context.env);
  }
  const { Terminal } = await import("./terminal.ts");
  const terminal = new Terminal(means.descriptor);
  try {
    return await terminal.ask(question);
  } finally {
    terminal.end();
  }
}

// For programs that ssh_config names. Nobody else's daemon is given it: it may have secrets.
async function environmentOf(invocation: Invocation): Promise<CallerNote> {
  const { context } = invocation;
  const { path } = await invocation.daemon();
  if (!isOwnSocket(path)) return {};
  const { variables, leftOut } = passedOn(Object.entries(context.env));
  if (leftOut.length > 0)
    warn(invocation, `not passed on of the environment, for want of room in 32 KiB: ${leftOut.join(", ")}`);
  return variables.length === 0 ? {} : { environment: variables.map(([name, value]) => `${name}=${value}`) };
}

const agentOf = ({ env }: Context): CallerNote => {
  const agent = env["SSH_AUTH_SOCK"] ?? "";
  return agent.startsWith("/") ? { agent } : {};
};

const remembering = (given: readonly Given[]): CallerNote => (has(given, remember) ? { remember: true } : {});
