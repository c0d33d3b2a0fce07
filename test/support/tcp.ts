// A client's side of a connection, for tests.
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { eventually } from "./eventually.ts";

/** Connects to a loopback port; half-open, so that an end is passed on as an end. @throws the socket's error */
export async function dialLoopback(port: number, host = "127.0.0.1"): Promise<Socket> {
  const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
  await once(socket, "connect");
  socket.on("error", () => undefined); // whoever reads is told as well
  return socket;
}

/** Connects to a Unix socket, as dialLoopback does. @throws the socket's error */
export async function dialPath(path: string): Promise<Socket> {
  // Where TCP waits for a place in the listener's queue, a Unix socket that does not block is told to try again.
  const socket = await eventually(async () => {
    const dialled = await dialPathOnce(path);
    return "code" in dialled && dialled.code === "EAGAIN" ? false : dialled;
  });
  if (socket instanceof Error) throw socket;
  return socket.on("error", () => undefined);
}

async function dialPathOnce(path: string): Promise<Socket | NodeJS.ErrnoException> {
  const socket = connect({ path, allowHalfOpen: true });
  try {
    await once(socket, "connect");
    return socket;
  } catch (error) {
    return error as NodeJS.ErrnoException;
  }
}

/** All that arrives until the other side ends. @throws the socket's error */
export async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  // Not `for await`: before Node 24 that destroys the socket at its end, and its other direction with it.
  socket.on("data", (chunk: Buffer) => chunks.push(chunk)).resume();
  if (!socket.readableEnded) await once(socket, "end");
  return Buffer.concat(chunks);
}

/** How a connection came to its end, all data thrown away. */
export async function endOf(socket: Socket): Promise<"end" | "reset"> {
  try {
    await readAll(socket);
    return "end";
  } catch {
    return "reset";
  }
}

/** Whether a loopback port refuses connections. */
export async function refuses(port: number, host = "127.0.0.1"): Promise<boolean> {
  try {
    (await dialLoopback(port, host)).destroy();
    return false;
  } catch {
    return true;
  }
}

/** Connects to a forward of an echo server, and sees that it carries bytes. @throws Error when it does not */
export async function works(port: number): Promise<void> {
  const socket = await dialLoopback(port);
  const got = await echoed(socket, "works");
  socket.destroy();
  if (got !== "works") throw new Error(`'${got}' came back`);
}

/** Sends a text and reads until as much has come back. @throws Error when the other side ends before that */
export async function echoed(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  let got = "";
  const over = new AbortController();
  const gone = () => over.abort(new Error(`the connection ended after '${got}'`));
  socket.once("end", gone).once("close", gone);
  try {
    while (got.length < text.length) {
      const [chunk] = (await once(socket, "data", { signal: over.signal })) as [Buffer];
      got += chunk.toString();
    }
  } finally {
    socket.off("end", gone).off("close", gone);
  }
  return got;
}
