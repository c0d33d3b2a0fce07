// One question to the daemon and its answer, while other things go on.
import { connectControl } from "./connect-control.ts";
import type { ControlSocket } from "./control-socket.ts";
import { Answer, type Question, type Reply, requestOf } from "./http-answer.ts";

/**
 * Asks, on a connection of its own.
 * @param signal ends it
 * @throws Error as connectControl(); with ECONNRESET for an answer that is cut short, and without a code for one that is no HTTP
 */
export async function exchange(
  control: ControlSocket,
  question: Question,
  signal?: AbortSignal,
): Promise<Reply> {
  const socket = await connectControl(control, { signal });
  return new Promise((resolve, reject) => {
    const answer = new Answer();
    socket.setEncoding("latin1");
    socket.on("data", (piece: string) => {
      try {
        const reply = answer.take(piece);
        if (reply === undefined) return;
        resolve(reply);
        socket.unref(); // it ends with the daemon's end, which is not worth waiting for
      } catch (error) {
        socket.destroy(error as Error);
      }
    });
    socket.on("end", () => {
      try {
        resolve(answer.end());
      } catch (error) {
        reject(error);
      }
    });
    socket.on("error", reject);
    socket.write(requestOf(question));
  });
}
