// An SSH server of ssh2's that asks what sshd without PAM cannot: passwords, expired ones, and questions in several rounds.
import { once } from "node:events";
import { type AddressInfo } from "node:net";
import ssh2, { type AuthContext, type KeyboardAuthContext, type Prompt } from "ssh2";
import { makeHostKey } from "./ssh-server.ts";
import { loopbackConfig } from "./ssh-config.ts";
import { tempDir } from "./temp-dir.ts";

export interface Round {
  name?: string;
  instructions?: string;
  prompts: Prompt[];
  answers: string[];
}

export interface LoginServerOptions {
  /** what must succeed, one after the other */
  factors: ("publickey" | "password" | "keyboard-interactive")[];
  password?: string;
  /** a password that is right, and has to be changed to this one */
  expired?: { message: string; fresh: string };
  rounds?: Round[];
  banner?: string;
}

export interface LoginServer {
  directory: string;
  sshConfig: string;
  knownHosts: string;
  /** `[127.0.0.1]:PORT TYPE BASE64` */
  hostKeyLine: string;
  /** the methods that were tried, in order; `none` left out */
  tried: string[];
  /** what must succeed: may be changed */
  factors: LoginServerOptions["factors"];
  /** logins that succeeded */
  logins: () => number;
  addHost(name: string, settings?: Readonly<Record<string, string | number>>): Promise<void>;
  /** ends every connection */
  drop(): void;
  stop(): Promise<void>;
}

/** Starts it on loopback; `asking` is its name in the ssh_config. */
export async function startLoginServer(options: LoginServerOptions): Promise<LoginServer> {
  const place = await tempDir();
  const directory = place.path;
  const hostKey = makeHostKey();
  const tried: string[] = [];
  const clients = new Set<ssh2.Connection>();
  let logins = 0;
  const settings = { hostKeys: [hostKey.private], ...(options.banner && { banner: options.banner }) };
  const server = new ssh2.Server(settings, (client) => {
    let done = 0;
    clients.add(client);
    client.on("error", () => undefined);
    client.on("close", () => clients.delete(client));
    client.on("ready", () => logins++);
    const judge = async (context: AuthContext): Promise<void> => {
      const factor = options.factors[done];
      const isProof = context.method !== "publickey" || context.signature !== undefined;
      if (context.method !== "none" && isProof) tried.push(context.method);
      const isGood = context.method === factor && (await check(context, options));
      if (isGood && isProof) done++;
      const left = options.factors.slice(done, done + 1);
      if (isGood && (!isProof || left.length === 0)) context.accept();
      else context.reject(left, isGood);
    };
    client.on("authentication", (context) => void judge(context));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const { config, knownHosts, hostKeyLine } = await loopbackConfig(directory, port, hostKey.blob);
  await config.add("asking", {});
  return {
    directory,
    sshConfig: config.path,
    knownHosts,
    hostKeyLine,
    tried,
    factors: options.factors,
    logins: () => logins,
    addHost: (name, more = {}) => config.add(name, more),
    drop: () => clients.forEach((client) => client.end()),
    stop: async () => {
      for (const client of clients) client.end();
      server.close();
      await place.remove();
    },
  };
}

async function check(
  context: AuthContext,
  { password, expired, rounds = [] }: LoginServerOptions,
): Promise<boolean> {
  if (context.method === "keyboard-interactive") return allRounds(context, rounds);
  if (context.method !== "password") return context.method === "publickey";
  if (context.password !== password) return false;
  if (expired === undefined) return true;
  return new Promise((resolve) =>
    context.requestChange(expired.message, (fresh) => resolve(fresh === expired.fresh)),
  );
}

async function allRounds(context: KeyboardAuthContext, rounds: readonly Round[]): Promise<boolean> {
  for (const { prompts, name = "", instructions = "", answers } of rounds) {
    const given = await new Promise<string[]>((resolve) =>
      context.prompt(prompts, name, instructions, resolve as (answers: string[]) => void),
    );
    if (JSON.stringify(given) !== JSON.stringify(answers)) return false;
  }
  return true;
}
