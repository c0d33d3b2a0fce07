// What is put to the test: tund, and OpenSSH's own ssh beside it, each as a master to which forwards are added.
import { join } from "node:path";
import { startInBackground } from "../support/background.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { run } from "../support/run.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";

export const subjectNames = ["tund", "OpenSSH"] as const;
export type SubjectName = (typeof subjectNames)[number];

/** A program under test, with one master over an sshd of its own. */
export interface Subject {
  name: SubjectName;
  /** the process that carries the forwards */
  pid: number;
  sshd: Sshd;
  /** its daemon, and the way to ask it; null for OpenSSH */
  tund: Tund | null;
  /** Sets forwards up by ssh's own flags; settles when they stand, with what each `-R 0` got. @throws Error */
  forward(flags: readonly string[]): Promise<number[]>;
  stop(): Promise<void>;
}

/** Starts one, with an sshd. Who starts it stops it. @throws Error with what it said when it does not come up */
export async function startSubject(name: SubjectName): Promise<Subject> {
  // One family: where sshd chooses a port for -R 0, it says nothing if the other family's is somebody else's already.
  const sshd = await startSshd({ config: ["AddressFamily inet"] });
  try {
    return name === "tund" ? await tundOver(sshd) : await opensshOver(sshd);
  } catch (error) {
    await sshd.stop();
    throw error;
  }
}

async function tundOver(sshd: Sshd): Promise<Subject> {
  const tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig } });
  return {
    name: "tund",
    pid: tund.pid,
    sshd,
    tund,
    forward: async (flags) => {
      const { code, stdout, stderr } = await tund.tunctl(["forward", "--json", ...flags, "testhost"]);
      if (code !== 0) throw new Error(`tunctl forward: ${stderr}`);
      const { forwards } = JSON.parse(stdout) as { forwards: { allocatedPort: number | null }[] };
      return forwards.flatMap(({ allocatedPort }) => allocatedPort ?? []);
    },
    stop: async () => {
      await tund.stop();
      await sshd.stop();
    },
  };
}

// A ControlMaster: what `ssh -N -L` does with its forwards, and forwards can still be added.
async function opensshOver(sshd: Sshd): Promise<Subject> {
  const mux = join(sshd.directory, "mux");
  const base = ["-F", sshd.sshConfig, "-S", mux, "-o", "BatchMode=yes"];
  const ask = (...args: string[]) => run("ssh", [...base, "-o", "ControlMaster=no", ...args, "testhost"]);
  const master = await startInBackground("ssh", [...base, "-M", "-N", "testhost"], {
    env: process.env,
    cwd: sshd.directory,
  });
  const stop = async () => {
    master.kill("SIGKILL"); // it may have been stopped, and it leaves nothing behind
    await master.end;
    await sshd.stop();
  };
  try {
    await eventually(async () => master.ended() || (await ask("-O", "check")).code === 0);
    if (master.ended()) throw new Error("it ended");
  } catch (error) {
    await stop();
    throw new Error(`ssh did not come up: ${master.log()}`, { cause: error });
  }
  return {
    name: "OpenSSH",
    pid: master.pid,
    sshd,
    tund: null,
    forward: async (flags) => {
      const { code, stdout, stderr } = await ask("-O", "forward", ...flags);
      if (code !== 0) throw new Error(`ssh -O forward: ${stderr}`);
      return stdout.split("\n").flatMap((line) => (line === "" ? [] : Number(line)));
    },
    stop,
  };
}
