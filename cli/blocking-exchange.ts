// One question to the daemon and its answer, while nothing else goes on: loading node:net takes longer than all of it.
import { closeSync, readSync, writeSync } from "node:fs";
import { getSystemErrorName } from "node:util";
import type { Native } from "../shared/native/load.ts";
import { type ControlSocket, refuseForeignPeer, refuseForeignSocket } from "./control-socket.ts";
import { Answer, type Question, type Reply, requestOf } from "./http-answer.ts";

const PIECE = 65_536;

/** Asks, on a connection of its own made by the compiled file, and blocks meanwhile. @throws Error as exchange() */
export function blockingExchange(native: Native, control: ControlSocket, question: Question): Reply {
  const { path } = control;
  refuseForeignSocket(path);
  const fd = native.connectUnix(path);
  if (fd < 0) {
    const code = getSystemErrorName(fd);
    throw Object.assign(new Error(`connect ${code} ${path}`), { code });
  }
  try {
    refuseForeignPeer(control, fd);
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
