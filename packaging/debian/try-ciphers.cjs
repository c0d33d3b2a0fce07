// Run by the Node that a compiled file is for: it encrypts a packet (RFC 5647 section 7.2) as Node's own cipher does.
const { createCipheriv } = require("node:crypto");
const { AESGCMCipher } = require(process.argv[2]);

const [key, iv] = [Buffer.alloc(32, 1), Buffer.alloc(12, 2)];
// The length, what is encrypted, and room for the tag.
const packet = Buffer.alloc(4 + 16 + 16, 3);
const plain = createCipheriv("aes-256-gcm", key, iv).setAAD(packet.subarray(0, 4));
const expected = Buffer.concat([packet.subarray(0, 4), plain.update(packet.subarray(4, 20)), plain.final()]);
new AESGCMCipher("aes-256-gcm", key, iv).encrypt(packet);
if (!packet.equals(Buffer.concat([expected, plain.getAuthTag()]))) throw new Error("it encrypts wrongly");
