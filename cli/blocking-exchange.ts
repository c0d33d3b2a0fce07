// One question to the daemon and its answer, while nothing else goes on: loading node:net takes longer than all of it.
import { closeSync, readSync, writeSync } from "node:fs";
import { getSystemErrorName } from "node:util";
import { Answer, type Question, type Reply, requestOf } from "./http-answer.ts";

/** Who connects (the compiled file): gives a descriptor that blocks, or an errno below 0. */
export interface Connector {
  connectUnix(path: string): number;
}

const PIECE = 65_536;

/** Asks, on a connection of its own, and blocks meanwhile. @throws Error as exchange() */
export function blockingExchange(connector: Connector, socketPath: string, question: Question): Reply {
  const fd = connector.connectUnix(socketPath);
  if (fd < 0) {
    const code = getSystemErrorName(fd);
    throw Object.assign(new Error(`connect ${code} ${socketPath}`), { code });
  }
  try {
    const request = requestOf(question);
    for (let sent = 0; sent < request.length;) sent += writeSync(fd, request, sent);
    return answerFrom(fd);
  } finally {
    closeSync(fd);
  }
}

function answerFrom(fd: number): Reply {
  const answer = new Answer();
  const piece = Buffer.allocUnsafe(PIECE);
  for (;;) {
    const length = readSync(fd, piece);
    if (length === 0) return answer.end();
    const reply = answer.take(piece.toString("latin1", 0, length));
    if (reply !== undefined) return reply;
  }
}
