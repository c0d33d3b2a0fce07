// Runs a case for each subject and each kind of forward, and notes what each did.
import { join } from "node:path";
import type { Socket } from "node:net";
import { afterAll, beforeAll, describe, it } from "vitest";
import { type FarEnd, startFarEnd } from "../support/far-end.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";
import { type Destinations, type Kind, kinds, layAll, type Way } from "./kinds.ts";
import { note } from "./notes.ts";
import { startSubject, type Subject, type SubjectName, subjectNames } from "./subjects.ts";

/** A forward that leads to a destination in the test's hands. */
export type OpenWay = Way<FarEnd>;

/** What a file's cases run on: both subjects, with a forward of every kind each, to the same two destinations. */
export interface Plumbing {
  far(): Destinations<FarEnd>;
  subject(name: SubjectName): Subject;
  way(name: SubjectName, kind: Kind): OpenWay;
}

/** Sets it up before the file's first test, and takes it down behind the last. */
export function plumbing(): Plumbing {
  const subjects = new Map<SubjectName, Subject>();
  const ways = new Map<SubjectName, Map<string, OpenWay>>();
  let directory: TempDir | undefined;
  let far: Destinations<FarEnd> | undefined;
  beforeAll(async () => {
    directory = await tempDir();
    const ends = { tcp: await startFarEnd(), unix: await startFarEnd(join(directory.path, "far")) };
    far = ends;
    await Promise.all(
      subjectNames.map(async (name) => {
        const subject = await startSubject(name);
        subjects.set(name, subject);
        ways.set(name, await layAll(subject, ends));
      }),
    );
  });
  afterAll(async () => {
    for (const subject of subjects.values()) await subject.stop();
    await far?.tcp.close();
    await far?.unix.close();
    await directory?.remove();
  });
  return {
    far: () => there(far),
    subject: (name) => there(subjects.get(name)),
    way: (name, kind) => there(ways.get(name)?.get(kind.name)),
  };
}

/**
 * Registers a case for every subject and kind. What `body` gives is what that subject was seen to do: it goes into the
 * table of docs/plumbing.md.
 */
export function everyWay(
  on: Plumbing,
  title: string,
  body: (way: OpenWay) => Promise<string>,
  timeoutMs?: number,
): void {
  describe.each(subjectNames)("%s", (name) => {
    it.each(kinds.map((kind) => [kind.name, kind] as const))(
      `%s: ${title}`,
      async (_, kind) => {
        note({ title, subject: name, kind: kind.name, did: await body(on.way(name, kind)) });
      },
      timeoutMs,
    );
  });
}

/** One connection, both ends of it. */
export interface Pair {
  near: Socket;
  far: Socket;
}

/** Connects, and waits until the destination has the connection too. @throws Error when it does not get there */
export async function pairOf(way: OpenWay): Promise<Pair> {
  const near = await way.connect();
  return { near, far: await way.far.next() };
}

function there<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("not set up yet");
  return value;
}
