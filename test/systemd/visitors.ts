// A program of its own for a machine's network: an echo server, and visitors who come at a steady rate through a forward to
// it. Each says a word and wants it back. Ends when its stdin does, or when it is told to, and prints what became of them.
import { connect, createServer } from "node:net";

const EVERY_MS = 20; // 50 a second
const PATIENCE_MS = 25_000;

const [echoPort = "0", forwardPort = "0"] = process.argv.slice(2);
const counts = { served: 0, refused: 0, reset: 0, late: 0 };
let longestMs = 0;

function visit(): Promise<void> {
  const began = performance.now();
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port: Number(forwardPort) });
    const end = (how: keyof typeof counts) => {
      counts[how]++;
      socket.destroy();
      resolve();
    };
    const word = `visitor ${began}`;
    let heard = "";
    socket.setTimeout(PATIENCE_MS, () => end("late"));
    socket.once("connect", () => socket.write(word));
    socket.on("data", (chunk: Buffer) => {
      heard += chunk.toString();
      if (heard !== word) return;
      longestMs = Math.max(longestMs, performance.now() - began);
      socket.removeAllListeners();
      end("served");
    });
    socket.once("error", (error: NodeJS.ErrnoException) =>
      end(error.code === "ECONNREFUSED" ? "refused" : "reset"),
    );
    socket.once("end", () => end("reset"));
  });
}

const echo = createServer((socket) => {
  socket.on("error", () => undefined);
  socket.pipe(socket);
});
echo.listen(Number(echoPort), "127.0.0.1", () => console.log("listening"));

const visits: Promise<void>[] = [];
let timer: NodeJS.Timeout | undefined;
// SIGUSR2 opens the doors, SIGTERM closes them.
process.once("SIGUSR2", () => {
  timer = setInterval(() => visits.push(visit()), EVERY_MS);
});
process.once("SIGTERM", () => {
  clearInterval(timer);
  void Promise.all(visits).then(() => {
    console.log(JSON.stringify({ ...counts, longestMs: Math.round(longestMs) }));
    process.exit(0);
  });
});
