// A real ssh-agent with keys of the test's choice.
import { join } from "node:path";
import { startInBackground } from "./background.ts";
import { eventually } from "./eventually.ts";
import { run } from "./run.ts";
import { tempDir } from "./temp-dir.ts";

export interface Agent {
  /** what SSH_AUTH_SOCK is to be */
  socket: string;
  /** Adds a private key. */
  add(identity: string): Promise<void>;
  stop(): Promise<void>;
}

/** Starts an agent of its own. Who starts it stops it. @throws Error when it does not answer */
export async function startAgent(): Promise<Agent> {
  const directory = await tempDir();
  const socket = join(directory.path, "agent");
  const env = { PATH: process.env["PATH"], SSH_AUTH_SOCK: socket };
  const agent = await startInBackground("ssh-agent", ["-D", "-a", socket], { env, cwd: directory.path });
  const ask = (args: string[]) => run("ssh-add", args, { env });
  await eventually(async () => (await ask(["-l"])).code === 1); // it answers, and holds no key
  return {
    socket,
    add: async (identity) => {
      const { code, stderr } = await ask(["-q", identity]);
      if (code !== 0) throw new Error(`ssh-add ${identity}: ${stderr}`);
    },
    stop: async () => {
      agent.kill("SIGTERM");
      await agent.end;
      await directory.remove();
    },
  };
}
