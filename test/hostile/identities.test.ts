// Identities, certificates and agents that are not what they should be.
import { makeOutside } from "../support/outside.ts";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { chmod, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Agent } from "../../daemon/ssh/agent.ts";
import { isSignedBy, parseCertificate } from "../../daemon/ssh/certificate.ts";
import { readKeyFile } from "../../daemon/ssh/private-key.ts";
import { sshString, uint32 } from "../../daemon/wire-format.ts";
import { systemClock } from "../../shared/clock.ts";
import { run as runProgram } from "../support/run.ts";
import { makeKey } from "../support/ssh-key.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";
import { CAMPAIGN_MS, run } from "./campaign.ts";
import { mutate } from "./mutate.ts";
import { newHostKey } from "./peer.ts";
import type { Random } from "./random.ts";

let place: TempDir;
const at = (...names: string[]): string => join(place.path, ...names);

beforeAll(async () => {
  place = await tempDir();
});
afterAll(() => place?.remove());

describe("An identity", () => {
  const texts: Buffer[] = [];
  const certificates: Buffer[] = [];

  beforeAll(async () => {
    for (const type of ["ed25519", "ecdsa", "rsa"] as const) {
      const key = await makeKey(at(`id_${type}`), type);
      texts.push(readFileSync(key.path), readFileSync(`${key.path}.pub`));
      await runProgram("ssh-keygen", [
        "-q",
        "-s",
        at("id_ed25519"),
        "-I",
        "me",
        "-n",
        "me,root",
        "-O",
        "force-command=x",
        `${key.path}.pub`,
      ]);
      certificates.push(
        Buffer.from(readFileSync(`${key.path}-cert.pub`, "utf8").split(" ")[1] ?? "", "base64"),
      );
    }
    const locked = await makeKey(at("locked"), "ed25519", "secret");
    await runProgram("ssh-keygen", ["-q", "-t", "rsa", "-m", "PEM", "-N", "", "-f", at("pem")]);
    texts.push(readFileSync(locked.path), readFileSync(at("pem")));
  });

  it("is a key, or a problem in words, whatever is in its file", { timeout: CAMPAIGN_MS }, async () => {
    await run({
      kind: "identities",
      inputs: 1000,
      part: async (random) => {
        const path = at("identity");
        const text = random.pick(texts);
        const spoilt = random.oneIn(2) ? mutate(text, random) : innerSpoilt(text, random);
        await expectTold(path, spoilt);
        return 1;
      },
    });
  });

  // Found by the campaign.
  it.each([
    [
      "a public key of RSA without a modulus",
      () => publicKey("ssh-rsa", Buffer.from([1, 0, 1]), Buffer.alloc(0)),
    ],
    ["an OpenSSH key that holds none", () => pem("OPENSSH PRIVATE KEY", noKey)],
    [
      "a key of RSA that is cut short",
      () => pem("RSA PRIVATE KEY", innerOf(readFileSync(at("pem"))).subarray(0, -100)),
    ],
  ])("that is %s is told as a problem, in a line", async (_what, text) => {
    const path = at("found");
    await writeFile(path, text());
    await chmod(path, 0o600);
    const file = await readKeyFile(path, makeOutside().files);
    expect(file?.problem).toMatch(/^[^\n]+$/);
  });

  it("has a certificate, or none, whatever that is", { timeout: CAMPAIGN_MS }, async () => {
    await run({
      kind: "certificates",
      inputs: 5000,
      part: (random) => {
        for (let left = 20; left > 0; left--) {
          const certificate = parseCertificate(mutate(random.pick(certificates), random));
          if (certificate !== null)
            isSignedBy(certificate.authority, certificate.signed, certificate.signature);
        }
        return 20;
      },
    });
  });
});

const fields = (...all: readonly (Buffer | string)[]): Buffer =>
  Buffer.concat(all.map((one) => sshString(one)));

const publicKey = (type: string, ...all: readonly Buffer[]): Buffer =>
  Buffer.from(`${type} ${fields(type, ...all).toString("base64")}\n`);

const pem = (label: string, bytes: Buffer): Buffer =>
  Buffer.from(
    `-----BEGIN ${label}-----\n${bytes.toString("base64").replaceAll(/(.{70})/g, "$1\n")}\n-----END ${label}-----\n`,
  );

const innerOf = (text: Buffer): Buffer =>
  Buffer.from(text.toString().replaceAll(/-----[^\n]*\n/g, ""), "base64");

// PROTOCOL.key: the magic, cipher, KDF and its options, the number of keys; the rest does not matter.
const noKey = Buffer.concat([
  Buffer.from("openssh-key-v1\0"),
  fields("none", "none", ""),
  uint32(0),
  fields(Buffer.alloc(51), Buffer.alloc(136)),
]);

const { files } = makeOutside();

/** Whether a file of that text is read. The keys are others each time, so that the seed alone does not bring it again. */
async function expectTold(path: string, text: Buffer): Promise<void> {
  await writeFile(path, text);
  await chmod(path, 0o600);
  try {
    if ((await readKeyFile(path, files)) === null) throw new Error("it was not seen");
  } catch (error) {
    if (error instanceof Error) error.stack += `\nthe file: ${text.toString("base64")}`;
    throw error;
  }
}

/** Spoils what stands between the lines of dashes, so that it is still base64. */
function innerSpoilt(text: Buffer, random: Random): Buffer {
  const [whole, begin, inner, end] =
    /^(-----BEGIN[^\n]*\n)([\s\S]*?)(-----END[\s\S]*)$/.exec(text.toString()) ?? [];
  if (whole === undefined) return mutate(text, random);
  const bytes = mutate(Buffer.from(inner ?? "", "base64"), random);
  return Buffer.from(`${begin}${bytes.toString("base64").replaceAll(/(.{70})/g, "$1\n")}\n${end}`);
}

describe("An agent", () => {
  let server: Server;
  let answer: Buffer = Buffer.alloc(0);

  beforeAll(async () => {
    server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.on("data", () => void socket.end(answer));
    });
    server.listen(at("agent.sock"));
    await once(server, "listening");
  });
  afterAll(() => server?.close());

  it("is told to have no sense, or believed, whatever it answers", { timeout: CAMPAIGN_MS }, async () => {
    const { blob } = newHostKey();
    const answers = [
      sshString(
        Buffer.concat([
          Buffer.from([12]),
          uint32(2),
          sshString(blob),
          sshString("one"),
          sshString(blob),
          sshString("two"),
        ]),
      ),
      sshString(
        Buffer.concat([
          Buffer.from([14]),
          sshString(Buffer.concat([sshString("ssh-ed25519"), sshString(Buffer.alloc(64))])),
        ]),
      ),
      sshString(Buffer.from([5])),
    ];
    await run({
      kind: "agents",
      inputs: 1000,
      part: async (random) => {
        answer = mutate(random.pick(answers), random);
        const agent = new Agent(at("agent.sock"), systemClock);
        await agent.keys().catch(expectError);
        await agent.sign(blob, blob, "ssh-ed25519").catch(expectError);
        agent.close();
        return 1;
      },
    });
  });
});

const expectError = (error: unknown): void => expect(error).toBeInstanceOf(Error);
