// What `tund --help` says, the settings by their own schema.
import { version } from "../shared/version.ts";
import { variables } from "./settings.ts";

const WIDTH = 100;

function filled(text: string, width: number): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines.at(-1) ?? "";
    if (last !== "" && last.length + word.length >= width) lines.push(word);
    else lines[lines.length - 1] = last === "" ? word : `${last} ${word}`;
  }
  return lines;
}

const column = Math.max(...variables.map(({ name }) => name.length)) + 4;
const lines = variables.flatMap(({ name, means }) =>
  filled(means, WIDTH - column).map((line, index) => (index === 0 ? `  ${name}` : "").padEnd(column) + line),
);

/** What `tund --help` prints. */
export const helpText = `tund ${version}: holds one SSH connection per host, and the forwards that tunctl asks for.
It takes no arguments and stays in the foreground. Settings are environment variables:
${lines.join("\n")}
SIGHUP dials hosts that have no link anew, as ssh_config is now. SIGTERM and SIGINT end it: listeners close,
connections have 5 s; a second signal ends it at once.
`;
