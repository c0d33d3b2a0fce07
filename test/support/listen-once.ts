// A program of its own for a network namespace: binds a forward's listener on localhost, prints what came of it, and ends.
import { listenTcp } from "../../daemon/forwards/listener.ts";
import { makeOutside } from "./outside.ts";

const [address = "localhost", port = "0"] = process.argv.slice(2);
const listening = await listenTcp(
  { address, port: Number(port) },
  (socket) => socket.destroy(),
  makeOutside(),
);
console.log(JSON.stringify({ boundTo: listening.boundTo, warnings: listening.warnings }));
await listening.close();
