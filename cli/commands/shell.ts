import {
  type ForwardKind,
  formatDestination,
  parseForwardPattern,
  parseForwardSpec,
} from "../../shared/forward-spec.ts";
import { messageOf, TundError } from "../../shared/errors.ts";
import type { Command, Invocation } from "../command.ts";
import { expandEnvironment } from "../environment.ts";
import { canonical } from "../forward-options.ts";
import { hostOrOnly } from "../host.ts";
import { answer } from "../print.ts";
import { servicePorts } from "../services.ts";

const kinds: ReadonlyMap<string, ForwardKind> = new Map([
  ["L", "local"],
  ["R", "remote"],
  ["D", "dynamic"],
]);

const COMMANDS = `Commands:
      -L[bind_address:]port:host:hostport    Request local forward
      -R[bind_address:]port:host:hostport    Request remote forward
      -D[bind_address:]port                  Request dynamic forward
      -KL[bind_address:]port                 Cancel local forward
      -KR[bind_address:]port                 Cancel remote forward
      -KD[bind_address:]port                 Cancel dynamic forward`;

/** The ~C command line of ssh(1). */
export const shell: Command = {
  name: "shell",
  summary: "the ~C command line of ssh, for forwards",
  usage: "[HOST]",
  options: [],
  most: 1,
  takes: ["masters"],
  help: `Reads a command a line, with or without the dash: -L, -R, -D SPEC, and -KL, -KR, -KD with the bind part.
'?' lists them. Answers in ssh's words, on stdout. Ends at end of file, 'exit' or 'quit'. From a script
it exits 1 if any command failed.

Example:
  printf '%s\\n' '-L 8080:intranet:80' '-KL 9090' | tunctl shell db`,

  async run(invocation) {
    const { stdin, stdout } = invocation.context;
    const host = await hostOrOnly(invocation, invocation.positionals[0]);
    await invocation.call("getMaster", { params: { host } });
    const isPerson = stdin.isTTY === true;
    // Loaded here, since it would slow every verb down.
    const { createInterface } = await import("node:readline");
    // The prompt is for a person, and so is its line editing.
    const output = isPerson ? (stdout as unknown as NodeJS.WritableStream) : undefined;
    const lines = createInterface({
      input: stdin,
      ...(output && { output }),
      terminal: isPerson,
      prompt: "ssh> ",
    });
    let failed = false;
    if (isPerson) lines.prompt();
    for await (const line of lines) {
      if (/^\s*(exit|quit)\s*$/.test(line)) break;
      failed = !(await perform(line.trim(), host, invocation)) || failed;
      if (isPerson) lines.prompt();
    }
    lines.close();
    return failed && !isPerson ? 1 : 0;
  },
};

/** Performs one line. False when it failed. */
async function perform(line: string, host: string, invocation: Invocation): Promise<boolean> {
  if (line === "" || line.startsWith("#")) return true;
  if (/^-?(h|help|\?)$/i.test(line)) return said(invocation, COMMANDS, true);
  const [, cancel, letter = "", text = ""] = /^-?(K?)([LRD])\s*(.*)$/.exec(line) ?? [];
  const kind = kinds.get(letter);
  if (kind === undefined) return said(invocation, "Invalid command.", false);
  const run = cancel === "" ? forward : cancelBind;
  try {
    const spec = expandEnvironment(text, invocation.context.env);
    return said(invocation, await run(invocation, { host, kind, spec }), true);
  } catch (error) {
    return said(invocation, complaint(error, cancel !== ""), false);
  }
}

function said(invocation: Invocation, text: string, isDone: boolean): boolean {
  answer(invocation, text);
  return isDone;
}

interface Asked {
  host: string;
  kind: ForwardKind;
  spec: string;
}

async function forward(invocation: Invocation, { host, kind, spec }: Asked): Promise<string> {
  const { readServices, cwd } = invocation.context;
  const wanted = canonical(parseForwardSpec(kind, spec, servicePorts(readServices)), cwd);
  const { forwards } = await invocation.call("openForwards", {
    body: { host, forwards: [{ kind, spec: wanted }] },
  });
  const [made] = forwards;
  const port = made?.allocatedPort;
  if (port === null || port === undefined) return "Forwarding port.";
  return `Allocated port ${port} for remote forward to ${formatDestination(made?.destination ?? null)}`;
}

async function cancelBind(invocation: Invocation, { host, kind, spec }: Asked): Promise<string> {
  const { readServices, cwd } = invocation.context;
  const pattern = parseForwardPattern(kind, spec, servicePorts(readServices));
  const bind = canonical(pattern, cwd);
  await invocation.call("cancelForwards", { body: { host, forwards: [{ kind, spec: bind }] } });
  return "Canceled forwarding.";
}

function complaint(error: unknown, isCancel: boolean): string {
  if (!(error instanceof TundError)) throw error;
  if (error.code === "DAEMON_UNREACHABLE") throw error;
  if (error.code === "INVALID_REQUEST") return `Bad forwarding specification: ${messageOf(error)}`;
  if (isCancel && error.code === "NOT_FOUND") return "Unknown port forwarding.";
  return `${isCancel ? "Cancel" : "Port forwarding"} failed: ${messageOf(error)}`;
}
