// What may keep us waiting, and is shared by all hosts: files that somebody named, names that a resolver is asked for, and
// programs, and long work, here or in a process of its own.
import type { Clock } from "../../shared/clock.ts";
import { Files } from "../files.ts";
import { Resolver } from "../resolver.ts";
import { Turns } from "../turns.ts";
import type { Children } from "./children.ts";
import { HostKeyFiles } from "./host-key-files.ts";
import { HostKeyMemory } from "./host-key-memory.ts";
import type { Kems } from "./kex/kems.ts";
import { LoginMemory } from "./login-memory.ts";

export interface Outside {
  children: Children;
  files: Files;
  hostKeyFiles: HostKeyFiles;
  hostKeyMemory: HostKeyMemory;
  loginMemory: LoginMemory;
  resolver: Resolver;
  slices: Turns;
  kems: Kems;
}

/** Makes it, once for a daemon. @param threads how many there are for all calls that block */
export function makeOutside(
  { children, kems }: Pick<Outside, "children" | "kems">,
  clock: Clock,
  threads: number,
): Outside {
  const files = new Files(clock);
  const slices = new Turns(clock);
  // libuv gives half of its threads to look-ups at most.
  const resolver = new Resolver({ clock, files, threads: threads / 2 });
  const hostKeyFiles = new HostKeyFiles({ files, children, slices, clock });
  const hostKeyMemory = new HostKeyMemory(clock);
  const loginMemory = new LoginMemory();
  return { children, files, resolver, slices, hostKeyFiles, hostKeyMemory, loginMemory, kems };
}

/** Whether a call is out that may never come back: Node waits for it when the process is to end. */
export const isKeptWaiting = ({ files, resolver }: Outside): boolean => files.isBusy || resolver.isBusy;
