// Bare HTTP to the control socket: what a client sends is what it is told to, and what it hears is left as it is.
import { once } from "node:events";
import { request } from "node:http";
import { connect, type Socket } from "node:net";

/** A request as its bytes. */
export function httpBytes(method: string, path: string, body?: unknown): Buffer {
  const text = body === undefined ? "" : JSON.stringify(body);
  const about =
    body === undefined
      ? ""
      : `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n`;
  return Buffer.from(`${method} ${path} HTTP/1.1\r\nHost: tund\r\n${about}\r\n${text}`);
}

/** An answer's status and body. @throws Error when there is none within 30 s */
export function call(
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { "content-type": "application/json" };
    const asked = request({ socketPath, method, path, headers, agent: false, timeout: 30_000 }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      answer.once("end", () => resolve({ status: answer.statusCode ?? 0, text }));
      answer.once("error", reject);
    });
    asked.once("timeout", () => asked.destroy(new Error(`no answer to ${method} ${path} within 30 s`)));
    asked.once("error", reject);
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** Opens a conversation whose reader stops after its id. */
export async function deafConversation(socketPath: string): Promise<{ id: string; socket: Socket }> {
  const socket = connect(socketPath);
  socket.on("error", () => undefined);
  socket.write(httpBytes("POST", "/v1/conversations"));
  for (let text = ""; ;) {
    const [chunk] = (await once(socket, "data")) as [Buffer];
    text += chunk.toString();
    const id = /"id":"([^"]+)"/.exec(text)?.[1];
    if (id === undefined) continue;
    socket.pause();
    return { id, socket };
  }
}

/** Opens a conversation whose reader gives the same answer to whatever it is asked, until its socket is ended. */
export async function obligingConversation(
  socketPath: string,
  answer: string,
): Promise<{ id: string; socket: Socket }> {
  const socket = connect(socketPath);
  socket.on("error", () => undefined);
  socket.write(httpBytes("POST", "/v1/conversations"));
  const opened = new Promise<string>((resolve) => {
    let text = "";
    let id: string | undefined;
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      id ??= /"id":"([^"]+)"/.exec(text)?.[1];
      if (id !== undefined) resolve(id);
      const asked = /"type":"prompt","id":(\d+)/.exec(text);
      if (asked === null) return;
      text = text.slice(asked.index + asked[0].length);
      const body = { prompt: Number(asked[1]), answer };
      call(socketPath, "POST", `/v1/conversations/${id}/answers`, body).catch(() => undefined);
    });
  });
  return { id: await opened, socket };
}
