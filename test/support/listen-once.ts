// A program of its own for a network namespace: binds a forward's listener on localhost, prints what came of it, and ends.
import { listenTcp } from "../../daemon/forwards/tcp-listener.ts";

const [address = "localhost", port = "0"] = process.argv.slice(2);
const { boundTo, warnings, close } = await listenTcp({ address, port: Number(port) }, (socket) =>
  socket.destroy(),
);
console.log(JSON.stringify({ boundTo, warnings }));
close();
