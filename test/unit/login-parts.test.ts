// The pure parts of a login: what is read from files, agents and servers must never break it.
import { createServer } from "node:net";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it, onTestFinished } from "vitest";
import { Agent } from "../../daemon/ssh/agent.ts";
import { isSignedBy, parseCertificate } from "../../daemon/ssh/certificate.ts";
import { words } from "../../daemon/ssh/known-hosts-command.ts";
import { algorithmFor } from "../../daemon/ssh/offer.ts";
import { mpint, Reader, sshString } from "../../daemon/wire-format.ts";
import { systemClock } from "../../shared/clock.ts";
import { tempDir } from "../support/temp-dir.ts";

describe("a command without a shell", () => {
  it.each([
    ["/bin/x a b", ["/bin/x", "a", "b"]],
    [`/bin/x "a b" 'c "d"' e\\ f`, ["/bin/x", "a b", 'c "d"', "e f"]],
    [`/bin/x a"b c"d  ""`, ["/bin/x", "ab cd", ""]],
    [String.raw`/bin/x "a\"b" \"`, ["/bin/x", 'a"b', '"']],
    ["  ", []],
  ])("%s is split as ssh splits it", (command, wanted) => {
    expect(words(command)).toEqual(wanted);
  });
});

describe("data from the wire", () => {
  it("reads what was written, and says when there is not enough", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array()), fc.uint8Array(), (strings, rest) => {
        const reader = new Reader(
          Buffer.concat([...strings.map((each) => sshString(Buffer.from(each))), rest]),
        );
        for (const each of strings) expect(reader.string().equals(Buffer.from(each))).toBe(true);
        expect(reader.left).toBe(rest.length);
        expect(() => reader.bytes(rest.length + 1)).toThrow(RangeError);
      }),
    );
  });

  it("has positive integers without leading zeros, and with one where the sign would be", () => {
    expect(mpint(Buffer.from("00000080", "hex")).toString("hex")).toBe("000000020080");
    expect(mpint(Buffer.from("007f", "hex")).toString("hex")).toBe("000000017f");
    expect(mpint(Buffer.alloc(3)).toString("hex")).toBe("00000000");
  });

  it("that is no certificate, or no signature, is neither, whatever it is", () => {
    const types = ["ssh-ed25519-cert-v01@openssh.com", "ssh-rsa-cert-v01@openssh.com", "ssh-ed25519"];
    fc.assert(
      fc.property(fc.constantFrom(...types), fc.uint8Array({ maxLength: 400 }), (type, bytes) => {
        const blob = Buffer.concat([sshString(type), Buffer.from(bytes)]);
        expect(parseCertificate(blob)).toBeNull();
        expect(isSignedBy(blob, Buffer.from(bytes), blob)).toBe(false);
      }),
    );
  });
});

describe("the algorithm that a key is offered with", () => {
  const rsa = sshString("ssh-rsa");
  const all = ["ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"];
  it.each([
    [all, ["rsa-sha2-256", "rsa-sha2-512"], "rsa-sha2-512"],
    [["rsa-sha2-256", "rsa-sha2-512"], ["rsa-sha2-256", "rsa-sha2-512"], "rsa-sha2-256"],
    [all, ["rsa-sha2-256"], "rsa-sha2-256"],
    [all, ["ssh-ed25519"], null],
    [all, null, null], // a server that says nothing takes SHA-1 alone, and the user does not
    [[...all, "ssh-rsa"], null, "ssh-rsa"],
  ])("is for RSA, where the user accepts %j and the server %j, %s", (accepted, server, wanted) => {
    expect(algorithmFor(rsa, accepted, server)).toBe(wanted);
  });

  it("is otherwise the key's own", () => {
    expect(algorithmFor(sshString("ssh-ed25519"), all, ["rsa-sha2-256"])).toBe("ssh-ed25519");
    expect(algorithmFor(sshString("ecdsa-sha2-nistp256"), all, null)).toBeNull();
  });
});

describe("an agent", () => {
  async function agentThat(
    answer: (write: (bytes: Buffer) => void, end: () => void) => void,
  ): Promise<Agent> {
    const directory = await tempDir();
    const path = join(directory.path, "agent");
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.on("data", () =>
        answer(
          (bytes) => socket.write(bytes),
          () => socket.destroy(),
        ),
      );
    });
    await new Promise<void>((listens) => server.listen(path, listens));
    const agent = new Agent(path, systemClock);
    onTestFinished(async () => {
      agent.close();
      server.close();
      await directory.remove();
    });
    return agent;
  }

  it.each<[string, Parameters<typeof agentThat>[0], RegExp]>([
    ["goes away", (_, end) => end(), /closed the connection/],
    ["answers nothing but an end of a frame", (write) => write(Buffer.alloc(4)), /makes no sense/],
    [
      "promises more than anybody holds",
      (write) => write(Buffer.from("7fffffff00", "hex")),
      /makes no sense/,
    ],
    [
      "counts more keys than it has",
      (write) => write(sshString(Buffer.from("0c00000003", "hex"))),
      /in the middle of a field/,
    ],
    ["refuses", (write) => write(sshString(Buffer.from([5]))), /gives no list of its keys/],
  ])("that %s is an error, and no more", async (_, answer, message) => {
    const agent = await agentThat(answer);
    await expect(agent.keys()).rejects.toThrow(message);
  });

  it("that is not there is an error", async () => {
    await expect(new Agent("/nonexistent/agent", systemClock).keys()).rejects.toThrow(/ENOENT/);
  });

  it("that answers in pieces is heard", async () => {
    const bytes = sshString(
      Buffer.concat([Buffer.from("0c00000001", "hex"), sshString("blob"), sshString("me")]),
    );
    const agent = await agentThat((write) => {
      for (const byte of bytes) write(Buffer.from([byte]));
    });
    expect(await agent.keys()).toEqual([{ blob: Buffer.from("blob"), comment: "me" }]);
  });
});
