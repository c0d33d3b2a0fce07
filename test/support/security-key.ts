// A security key in software, in an agent of its own: what a FIDO token does, without the token.
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { createServer, type Socket } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { Reader, sshString, uint32 } from "../../daemon/wire-format.ts";
import { tempDir } from "./temp-dir.ts";

const TYPE = "sk-ssh-ed25519@openssh.com";
const APPLICATION = "ssh:";

export interface SecurityKey {
  /** what SSH_AUTH_SOCK is to be */
  socket: string;
  /** its line for authorized_keys */
  publicKey: string;
  stop(): Promise<void>;
}

/** Starts an agent that holds one (PROTOCOL.u2f; draft-ietf-sshm-ssh-agent). */
export async function startSecurityKey(): Promise<SecurityKey> {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const point = Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url");
  const blob = Buffer.concat([sshString(TYPE), sshString(point), sshString(APPLICATION)]);
  let counter = 0;
  const sha256 = (data: Buffer | string) => createHash("sha256").update(data).digest();
  const answer = (request: Buffer): Buffer => {
    const reader = new Reader(request);
    const type = reader.byte();
    if (type === 11)
      return Buffer.concat([Buffer.from([12]), uint32(1), sshString(blob), sshString("token")]);
    if (type !== 13 || !reader.string().equals(blob)) return Buffer.from([5]);
    const presence = Buffer.concat([Buffer.from([1]), uint32(++counter)]); // it was touched
    const data = Buffer.concat([sha256(APPLICATION), presence, sha256(reader.string())]);
    const signature = Buffer.concat([sshString(TYPE), sshString(sign(null, data, privateKey)), presence]);
    return Buffer.concat([Buffer.from([14]), sshString(signature)]);
  };
  const directory = await tempDir();
  const path = join(directory.path, "agent");
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    let received = Buffer.alloc(0);
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 4 && received.length >= 4 + received.readUInt32BE()) {
        const end = 4 + received.readUInt32BE();
        socket.write(sshString(answer(received.subarray(4, end))));
        received = received.subarray(end);
      }
    });
  });
  server.listen(path);
  await once(server, "listening");
  return {
    socket: path,
    publicKey: `${TYPE} ${blob.toString("base64")}`,
    stop: async () => {
      server.close();
      for (const socket of open) socket.destroy();
      await directory.remove();
    },
  };
}
