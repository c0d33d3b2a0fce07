// What a request changes counts once its answer is written, and is taken back if its client is gone by then.
import type { ServerResponse } from "node:http";
import { Transaction, unheard } from "../masters/transaction.ts";

/** Begins the transaction of a request, which ends with its response. */
export function transactionOf(response: ServerResponse): Transaction {
  const transaction = new Transaction();
  const { socket } = response;
  const gone = () => transaction.abort(unheard());
  // A client that has ended its side reads no answer either (net.Server, allowHalfOpen): 'close' would tell that later.
  socket?.once("end", gone);
  response.once("finish", () => transaction.commit());
  response.once("close", () => {
    socket?.off("end", gone);
    gone(); // which is nothing after 'finish'
  });
  if (socket === null || socket.destroyed || socket.readableEnded) gone();
  return transaction;
}
