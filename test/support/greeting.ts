// Whether an SSH server is on a loopback port.
import { connect } from "node:net";

/** Connects and waits for the version exchange (RFC 4253 section 4.2). @throws Error with what was said instead */
export function greeting(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    let said = "";
    socket.on("data", (chunk: Buffer) => {
      said += chunk.toString("latin1");
      if (said.startsWith("SSH-")) resolve();
      if (said.length >= 4) socket.destroy();
    });
    socket.once("error", reject);
    socket.once("close", () => reject(new Error(`no SSH server on port ${port}: '${said}'`)));
  });
}
