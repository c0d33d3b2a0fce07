// What a start of tund would refuse here, where none answers that could say so.
import { lstatSync } from "node:fs";
import { dirname, join } from "node:path";
import { note } from "../shared/finding.ts";
import type { Finding } from "../shared/logins.ts";
import { fileFindings, findingOf, socketPlace, statePlace } from "../shared/places.ts";
import { socketPaths, stateDirectory } from "../shared/socket-path.ts";
import { judge } from "../shared/trusted-path.ts";
import type { Context } from "./command.ts";

/** Looks at the places that a tund with this environment would have. Never throws. */
export function lookHere({ env, home }: Context): Finding[] {
  const passedOver: Finding[] = [];
  const [socket] = socketPaths(env, home, (message) =>
    passedOver.push(note("runtime", message, "unset it, or set it to your own")),
  );
  const [directory, state] = [dirname(socket), stateDirectory(env, home)];
  return [
    ...passedOver,
    findingOf(socketPlace, directory, judge(directory, "private"), true),
    findingOf(statePlace, state, judge(state, "private"), true),
    ...stateFile(join(state, "state.json")),
  ];
}

function stateFile(path: string): Finding[] {
  try {
    return fileFindings(path, lstatSync(path));
  } catch {
    return []; // there is none, or what it lies in was judged already
  }
}
