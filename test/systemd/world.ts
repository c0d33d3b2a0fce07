// A machine with tund installed, an sshd in its network, and a way to send visitors through a forward.
import { readFile } from "node:fs/promises";
import { type Background } from "../support/background.ts";
import { eventually } from "../support/eventually.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { bootMachine, install, type Machine } from "./machine.ts";

const visitors = new URL("visitors.ts", import.meta.url).pathname;

export interface Visits {
  served: number;
  refused: number;
  reset: number;
  late: number;
  longestMs: number;
}

export interface World {
  machine: Machine;
  sshd: Sshd;
  /** Gives a user of the machine the way to `testhost`. */
  letIn(user: string): Promise<void>;
  /** Has an echo server at `echoPort`; `open` lets visitors come, 50 a second, and `close` tells what became of them. */
  expectVisitors(echoPort: number, forwardPort: number): Promise<{ open(): void; close(): Promise<Visits> }>;
  stop(): Promise<void>;
}

/** @param prepare puts tund there */
export async function makeWorld(prepare: (machine: Machine) => Promise<void> = install): Promise<World> {
  const machine = await bootMachine();
  let sshd: Sshd | undefined;
  const programs: Background[] = [];
  const stop = async () => {
    for (const program of programs) program.kill("SIGKILL");
    await sshd?.stop();
    await machine.stop();
  };
  try {
    await prepare(machine);
    sshd = await startSshd({ network: { within: machine.network, address: "127.0.0.1" } });
  } catch (error) {
    await stop();
    throw error;
  }
  const server = sshd;
  return {
    machine,
    sshd,
    letIn: (user) => letIn(user, machine, server),
    async expectVisitors(echoPort, forwardPort) {
      const program = await machine.startInNetwork(visitors, [String(echoPort), String(forwardPort)]);
      programs.push(program);
      await eventually(() => program.log().includes("listening"));
      return {
        open: () => program.kill("SIGUSR2"),
        async close() {
          program.kill("SIGTERM");
          await program.end;
          return JSON.parse(program.log().trim().split("\n").at(-1) ?? "") as Visits;
        },
      };
    },
    stop,
  };
}

async function letIn(user: string, machine: Machine, sshd: Sshd): Promise<void> {
  const [identity, knownHosts] = await Promise.all([
    readFile(sshd.identity, "utf8"),
    readFile(sshd.knownHosts, "utf8"),
  ]);
  const config = `Host testhost
  HostName 127.0.0.1
  Port ${sshd.port}
  User ${sshd.user}
  IdentityFile ~/.ssh/id_test
  IdentitiesOnly yes
`;
  await machine.sh(`
    home=$(getent passwd ${user} | cut -d: -f6)
    install -d -o ${user} -g $(id -gn ${user}) -m 700 $home $home/.ssh
    cd $home/.ssh
    cat >config <<'END'\n${config}END\n
    cat >id_test <<'END'\n${identity}END\n
    cat >known_hosts <<'END'\n${knownHosts}END\n
    chmod 600 *
    chown ${user}: *`);
}
