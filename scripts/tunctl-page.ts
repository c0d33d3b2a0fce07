// The parts of tunctl(1) that are the verbs' own data.
import { namesOf, type Option } from "../cli/args.ts";
import type { Command } from "../cli/command.ts";
import { connectionOptions } from "../cli/connection-options.ts";
import { controlOptions } from "../cli/dash-o.ts";
import { masterOptions } from "../cli/dash-m.ts";
import { forwardOptions } from "../cli/forward-options.ts";
import { globalOptions, version } from "../cli/global-options.ts";
import { exitCodes, sshSpellings, synopsis } from "../cli/help-text.ts";
import { verbs } from "../cli/verbs.ts";
import { bold, commands, definition, filled, literal, paragraph, plainProse, usage } from "./roff.ts";

/** The parts, by the names that the page's text has for them. */
export const tunctlParts: Readonly<Record<string, readonly string[]>> = {
  synopsis: synopsisLines(),
  "global options": [...globalOptions, version].flatMap(described),
  verbs: verbs.flatMap(verbSection),
  "connection options": connectionOptions.flatMap(described),
  "options of -O": controlOptions.filter(isSpelling).flatMap(described),
  "options of -M": masterOptions.filter(isSpelling).flatMap(described),
  "ssh's spelling": sshSpellings.flatMap((one) => definition(invocation(one.usage), ended(one.help))),
  "exit status": exitCodes.flatMap(([code, meaning]) => definition(bold(code), ended(meaning))),
};

function synopsisLines(): string[] {
  return [synopsis, ...sshSpellings.map((one) => one.usage)].flatMap((one, index) => [
    ...(index === 0 ? [] : [".br"]),
    ...filled(invocation(one)),
  ]);
}

function invocation(text: string): string {
  return `${bold("tunctl")} ${usage(text)}`;
}

/** Ends with a full stop, in roff; help texts leave it out where they are one line. */
function ended(text: string): string {
  const roff = plainProse(text.replaceAll("\n", " "));
  return /[.:]$/.test(roff) ? roff : `${roff}.`;
}

function described(option: Option): string[] {
  const names = namesOf(option).map(bold).join(", ");
  return definition(
    option.value === undefined ? names : `${names} ${usage(option.value)}`,
    ended(option.help),
  );
}

function isOwn(option: Option): boolean {
  return !connectionOptions.includes(option);
}

function isSpelling(option: Option): boolean {
  return isOwn(option) && !forwardOptions.includes(option);
}

function verbSection({ name, summary, usage: text, options, help }: Command): string[] {
  const [about = "", examples = ""] = help.split(/^(?=Examples?:$)/m);
  const own = options.filter(isOwn);
  return [
    `.SS ${name}`,
    ...filled(invocation(`${name} ${text}`).trimEnd()),
    ...paragraph(ended(summary.replace(/^./, (first) => first.toUpperCase()))),
    ...about.split("\n\n").flatMap(helpBlock),
    ...own.flatMap(described),
    ...(own.length === options.length
      ? []
      : paragraph(`It takes the ${bold("connection options")} below too.`)),
    ...helpBlock(examples.trim()),
  ];
}

function helpBlock(block: string): string[] {
  const lines = block.split("\n").filter((line) => line !== "");
  if (lines.length === 0) return [];
  if (/^Examples?:$/.test(lines[0] ?? ""))
    return [...paragraph(block.slice(0, block.indexOf(":") + 1)), ...commands(dedented(lines.slice(1)))];
  return lines.every((line) => line.startsWith("  "))
    ? literal(dedented(lines))
    : paragraph(plainProse(lines.join(" ")));
}

function dedented(lines: readonly string[]): string[] {
  return lines.map((line) => line.replace(/^ {2}/, ""));
}
