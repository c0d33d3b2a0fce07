// What tund makes and reads itself of SSH's packets, for each of its ciphers and through real key exchanges: what is read into
// memory that is used again must be what its reader gets, however late that reader is.
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { digestOf } from "../plumbing/pump.ts";
import { startTund } from "../support/daemon.ts";
import { pseudoRandom, sinkServer, sourceServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { startSshd } from "../support/sshd.ts";
import { standsStill } from "../support/stands-still.ts";
import { dialLoopback, readAll } from "../support/tcp.ts";
import { closing } from "../support/tunnel.ts";

const MB = 1_000_000;
const SIZE = 8 * MB;
const LATE = 3;
const UPLOADS = 6;

const SUITES = [
  { Ciphers: "aes128-gcm@openssh.com" },
  { Ciphers: "aes256-gcm@openssh.com" },
  { Ciphers: "chacha20-poly1305@openssh.com" },
  { Ciphers: "aes128-ctr", MACs: "hmac-sha2-256-etm@openssh.com" },
  { Ciphers: "aes192-ctr", MACs: "hmac-sha2-512" },
  { Ciphers: "aes256-ctr", MACs: "hmac-sha1-etm@openssh.com", Compression: "yes" },
];

describe.each(SUITES)("$Ciphers", (suite) => {
  it("loses and mixes up nothing, while keys change, whoever reads late", async () => {
    const sshd = await startSshd({ config: ["RekeyLimit 3M", "Compression yes"] });
    await sshd.addHost("suite", suite);
    const tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig } });
    onTestFinished(async () => {
      await tund.stop();
      await sshd.stop();
    });
    const source = closing(await sourceServer(SIZE));
    const sink = closing(await sinkServer());
    const [down, up] = [await freePort(), await freePort()];
    const forwards = [`${down}:127.0.0.1:${source.port}`, `${up}:127.0.0.1:${sink.port}`];
    const { code, stderr } = await tund.tunctl([
      "forward",
      ...forwards.flatMap((spec) => ["-L", spec]),
      "suite",
    ]);
    expect({ code, stderr }).toMatchObject({ code: 0 });

    // These read nothing until the others have all: what came for them is kept meanwhile.
    const late = await Promise.all(Array.from({ length: LATE }, () => dialLoopback(down)));
    await eventually(() => expect(source.connections().open).toBe(LATE));
    // More than the windows of these let through waits before a server that stands still.
    const uploading = await Promise.all(Array.from({ length: UPLOADS }, () => dialLoopback(up)));
    await eventually(() => expect(sink.connections().open).toBe(UPLOADS));
    sshd.freeze();
    const uploaded = uploading.map((one) => pipeline(Readable.from(pseudoRandom(SIZE)), one));
    await standsStill(() => uploading.reduce((sum, one) => sum + one.bytesWritten, 0));
    sshd.thaw();
    const prompt = [await dialLoopback(down), await dialLoopback(down)].map(digestOf);
    expect(await Promise.all(prompt)).toEqual([source.sha256, source.sha256]);
    expect(await Promise.all(late.map(digestOf))).toEqual(late.map(() => source.sha256));
    await Promise.all(uploaded);
    await Promise.all(uploading.map(readAll));
    expect(sink.received()).toEqual(uploading.map(() => ({ bytes: SIZE, sha256: source.sha256 })));
    expect(tund.log()).not.toContain("lost");
  });
});
