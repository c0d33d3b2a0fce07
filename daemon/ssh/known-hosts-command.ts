// KnownHostsCommand of ssh_config(5): a program that prints lines of known_hosts.
import { isAbsolute } from "node:path";
import { messageOf, TundError } from "../../shared/errors.ts";
import { fingerprint, keyType } from "./host-key.ts";
import type { HostKeyFiles } from "./host-key-files.ts";
import type { HostName, KnownHost } from "./known-hosts.ts";
import { plainKeyOf } from "./public-key.ts";
import { inLine } from "./said.ts";
import { expandVariables } from "./tokens.ts";
import { runTool, type ToolOptions } from "./tool.ts";

const DEADLINE_MS = 20_000;
const MOST_PRINTED_BYTES = 1 << 22;
const SOURCE = "KnownHostsCommand";

/**
 * What it is asked for: the order of host key algorithms, or whether this key is the host's, or its address's; `key` is what
 * the server shows, which may be a certificate.
 */
export type Purpose = { kind: "ORDER" } | { kind: "HOSTNAME" | "ADDRESS"; key: Buffer };

export interface KnownHostsCommand {
  /** as it was written */
  command: string;
  /** the tokens of the connection */
  tokens: Readonly<Record<string, string>>;
  /** what `${NAME}` stands for in it */
  variables: Readonly<Record<string, string>>;
  /** the name that is looked up: `host`, `[host]:port`, or the alias */
  name: string;
  /** whose lines are wanted of what it prints */
  host: HostName;
}

type Running = Pick<ToolOptions, "children" | "clock" | "signal" | "env"> & { files: HostKeyFiles };

/**
 * Runs it, without a shell as ssh does, within 20 s, and picks the lines that name the host.
 * @throws TundError HOST_CONFIG_FAILED when it fails: ssh ends the connection then
 */
export async function askKnownHostsCommand(
  { command, tokens, variables, name, host }: KnownHostsCommand,
  purpose: Purpose,
  { files, ...running }: Running,
): Promise<KnownHost[]> {
  const key = purpose.kind === "ORDER" ? null : purpose.key;
  const all = {
    ...tokens,
    H: name,
    I: purpose.kind,
    K: key?.toString("base64") ?? "NONE",
    f: key === null ? "NONE" : fingerprint(plainKeyOf(key)),
    t: (key && keyType(key)) ?? "NONE",
  };
  const [program = "", ...args] = words(command).map((word) => expandVariables(word, all, variables));
  if (program === "")
    throw new TundError("HOST_CONFIG_FAILED", `KnownHostsCommand '${command}' names no program`);
  // As ssh: a relative one would be looked for where tund was started, or on its PATH.
  if (!isAbsolute(program))
    throw new TundError(
      "HOST_CONFIG_FAILED",
      `KnownHostsCommand '${command}': ${program} is no absolute path: write it with the directory that it is in`,
    );
  const limits = { what: program, deadlineMs: DEADLINE_MS, mostPrinted: MOST_PRINTED_BYTES };
  try {
    const { code, stdout, stderr } = await runTool(program, args, { ...limits, ...running });
    if (code === 0)
      return (await files.findPrinted(SOURCE, stdout, host)).map((line) => ({ ...line, isPrinted: true }));
    const said = inLine(stderr);
    throw new Error(`${program}: it ended with exit code ${code}${said === "" ? "" : `: ${said}`}`);
  } catch (error) {
    throw new TundError("HOST_CONFIG_FAILED", `KnownHostsCommand failed: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

// Told apart by their first characters, so that no part is looked at twice.
const PARTS = /\\["'\\ ]?|["']|[ \t]+|[^\\"' \t]+/g;

/**
 * Splits a command into words: quotes keep spaces together, and a backslash takes a quote, itself, or a space outside of
 * quotes as it is (misc.c, argv_split).
 * @throws TundError HOST_CONFIG_FAILED for a quote that is not closed
 */
export function words(command: string): string[] {
  const all: string[] = [];
  let word: string | undefined;
  let quote = "";
  for (const [part] of command.matchAll(PARTS)) {
    const isQuote = part === "'" || part === '"';
    if (quote === "" && /^[ \t]/.test(part)) {
      if (word !== undefined) all.push(word);
      word = undefined;
    } else if (isQuote && (quote === "" || quote === part)) {
      word ??= "";
      quote = quote === "" ? part : "";
    } else word = (word ?? "") + unescaped(part, quote !== "");
  }
  if (quote !== "")
    throw new TundError(
      "HOST_CONFIG_FAILED",
      `KnownHostsCommand '${command}' has a quote that is not closed`,
    );
  return word === undefined ? all : [...all, word];
}

const unescaped = (part: string, isQuoted: boolean): string =>
  part.length === 2 && part.startsWith("\\") && !(isQuoted && part === "\\ ") ? part.slice(1) : part;
