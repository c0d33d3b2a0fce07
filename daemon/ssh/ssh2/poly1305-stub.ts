// ssh2 compiles a WebAssembly module for Poly1305 as it is loaded, and uses it only where its compiled ciphers are missing:
// with them it stays away. V8's compiler of it alone is 3 MiB resident. Imported before anything that loads ssh2.
import { Module } from "node:module";

const DIRECTORY = "ssh2/lib/protocol/crypto";

function hasCiphers(): boolean {
  try {
    require(`${DIRECTORY}/build/Release/sshcrypto.node`);
    return true;
  } catch {
    return false;
  }
}

const unused = (): never => {
  throw new Error("ssh2 was to use its compiled Poly1305");
};

if (hasCiphers()) {
  const path = require.resolve(`${DIRECTORY}/poly1305.js`);
  const standIn = new Module(path);
  // What ssh2 asks of it at once: room for a result, and the function.
  standIn.exports = async () => ({ _malloc: () => 0, cwrap: () => unused });
  standIn.loaded = true;
  require.cache[path] = standIn;
}
