// A daemon that answers byte by byte as it is told, HTTP or not.
import { createServer } from "node:net";
import { listening } from "./canned-daemon.ts";

/** It takes a question and says `parts`, each in a packet of its own, then ends or goes on for ever; until the test is over. */
export async function answering(parts: readonly (string | Buffer)[], ends = true) {
  const questions: string[] = [];
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    socket.once("data", (bytes) => {
      questions.push(bytes.toString());
      const say = (at: number): void => {
        const part = parts[at];
        if (part === undefined) return void (ends && socket.end());
        socket.write(part, () => setImmediate(say, at + 1));
      };
      say(0);
    });
  });
  return { path: await listening(server), questions };
}
