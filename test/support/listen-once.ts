// A program of its own for a network namespace: binds a forward's listener on localhost, prints what came of it, and ends.
import { listenTcp } from "../../daemon/forwards/listener.ts";
import { Files } from "../../daemon/files.ts";
import { Resolver } from "../../daemon/resolver.ts";
import { systemClock as clock } from "../../shared/clock.ts";

const [address = "localhost", port = "0"] = process.argv.slice(2);
const listening = await listenTcp({ address, port: Number(port) }, (socket) => socket.destroy(), {
  resolver: new Resolver({ clock, files: new Files(clock), threads: 2 }),
});
console.log(JSON.stringify({ boundTo: listening.boundTo, warnings: listening.warnings }));
await listening.close();
