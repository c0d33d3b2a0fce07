// Servers that are started for each connection, as inetd does it, with the socket as their stdin and stdout.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";

/** Starts such a program for everyone who connects to a loopback port of the system's choice. */
export async function startPerConnection([file = "", ...args]: readonly string[]): Promise<{
  port: number;
  log(): string;
  stop(): Promise<void>;
}> {
  const children = new Set<ChildProcess>();
  const chunks: Buffer[] = [];
  // Nothing is read of it here: what the client says is the program's.
  const listener = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
    socket.on("error", () => undefined);
    const { remoteAddress: TCPREMOTEIP, remotePort } = socket;
    const env = { ...process.env, TCPREMOTEIP, TCPREMOTEPORT: String(remotePort) };
    const child = spawn(file, args, { env, stdio: [socket, socket, "pipe"] });
    children.add(child);
    child.on("error", (error) => chunks.push(Buffer.from(`${error.message}\n`)));
    child.once("exit", () => children.delete(child));
    child.stderr?.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.destroy(); // ours alone
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const killAll = () => {
    for (const child of children) child.kill("SIGKILL");
  };
  process.once("exit", killAll);
  return {
    port: (listener.address() as AddressInfo).port,
    log: () => Buffer.concat(chunks).toString(),
    stop: async () => {
      listener.close();
      killAll();
      await Promise.all([...children].map((child) => once(child, "exit")));
      process.off("exit", killAll);
    },
  };
}
