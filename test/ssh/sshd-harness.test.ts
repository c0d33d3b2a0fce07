import { createHash } from "node:crypto";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import {
  deafServer,
  echoServer,
  type LoopbackServer,
  pseudoRandom,
  resettingServer,
  sinkServer,
  sourceServer,
} from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { living } from "../support/process-tree.ts";
import { run } from "../support/run.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";

const ssh = (sshd: Sshd, ...args: string[]) =>
  run("ssh", ["-F", sshd.sshConfig, "-o", "BatchMode=yes", ...args]);

describe("a real sshd for the tests", () => {
  let sshd: Sshd;
  beforeAll(async () => {
    sshd = await startSshd();
  });
  afterAll(() => sshd?.stop());

  test("ssh logs in through the ssh_config file that comes with it", async () => {
    expect(await ssh(sshd, "testhost", "true")).toEqual({ code: 0, signal: null, stdout: "", stderr: "" });
  });

  test("a host can be added under another name with settings of its own", async () => {
    await sshd.addHost("stranger", { UserKnownHostsFile: "/dev/null", StrictHostKeyChecking: "yes" });
    const { code, stderr } = await ssh(sshd, "stranger", "true");
    expect(code).toBe(255);
    expect(stderr).toContain("Host key verification failed");
    expect((await ssh(sshd, "testhost", "true")).code).toBe(0);
  });

  test("its sessions can be dropped while it goes on listening", async () => {
    const dropped = ssh(sshd, "testhost", "echo here; exec sleep 60");
    await eventually(() => expect(sshd.sessions().length).toBeGreaterThan(1));
    sshd.dropSessions();
    expect((await dropped).code).toBe(255);
    expect(sshd.sessions()).toEqual([]);
    expect((await ssh(sshd, "testhost", "true")).code).toBe(0);
  });

  test("it goes down, is refused, and comes up again on the same port with the same keys", async () => {
    await sshd.down();
    expect((await ssh(sshd, "testhost", "true")).stderr).toContain("Connection refused");
    await sshd.up();
    expect((await ssh(sshd, "testhost", "true")).code).toBe(0);
  });

  test("frozen it takes connections and says nothing, until it is thawed", async () => {
    sshd.freeze();
    const { stderr } = await ssh(sshd, "-o", "ConnectTimeout=1", "testhost", "true");
    expect(stderr).toContain("timed out");
    sshd.thaw();
    expect((await ssh(sshd, "testhost", "true")).code).toBe(0);
  });
});

describe("what a test can ask of sshd", () => {
  test("its own sshd_config lines win, and Match blocks keep to themselves", async () => {
    const sshd = await startSshd({
      config: [
        "Match User nobody-at-all",
        "  ForceCommand echo matched",
        "Match all",
        "  ForceCommand echo forced",
      ],
    });
    onTestFinished(() => sshd.stop());
    expect((await ssh(sshd, "testhost", "true")).stdout).toBe("forced\n");
  });

  test("authorized_keys lines can restrict the key", async () => {
    const sshd = await startSshd({ authorizedKeys: (key) => [`restrict,command="echo restricted" ${key}`] });
    onTestFinished(() => sshd.stop());
    expect((await ssh(sshd, "testhost", "true")).stdout).toBe("restricted\n");
  });

  test("it can have host keys of every type", async () => {
    const sshd = await startSshd({ hostKeyTypes: ["ed25519", "ecdsa", "rsa"] });
    onTestFinished(() => sshd.stop());
    for (const algorithm of ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-256"])
      expect(await ssh(sshd, "-o", `HostKeyAlgorithms=${algorithm}`, "testhost", "true")).toMatchObject({
        code: 0,
      });
  });

  test("a configuration that sshd refuses is an error with sshd's own words", async () => {
    await expect(startSshd({ config: ["NoSuchKeyword yes"] })).rejects.toThrow("NoSuchKeyword");
  });

  test("nothing is left once it has stopped", async () => {
    const sshd = await startSshd();
    const pid = sshd.pid();
    const session = ssh(sshd, "testhost", "sleep 60");
    await eventually(() => expect(sshd.sessions().length).toBeGreaterThan(1));
    const sessions = sshd.sessions();
    await sshd.stop();
    await sshd.stop();
    expect((await session).code).toBe(255);
    await eventually(() => expect(living([pid, ...sessions])).toEqual([]));
  });
});

/** Closes a server when the test is over. */
function closing<T extends LoopbackServer>(server: T): T {
  onTestFinished(() => server.close());
  return server;
}

describe("loopback servers", () => {
  test("echo sends back bytes and end", async () => {
    const server = closing(await echoServer());
    const received = await exchange(server, Buffer.from("hello"));
    expect(received.data.toString()).toBe("hello");
    await eventually(() => expect(server.connections()).toEqual({ total: 1, open: 0 }));
    expect(server.bytes()).toEqual({ received: 5, sent: 5 });
  });

  test("a source sends what its digest says, and a sink tells the digest of what it got", async () => {
    const source = closing(await sourceServer(300_001));
    const { data } = await exchange(source, Buffer.alloc(0));
    expect(data.length).toBe(300_001);
    expect(createHash("sha256").update(data).digest("hex")).toBe(source.sha256);
    expect(data.equals(Buffer.concat([...pseudoRandom(300_001)]))).toBe(true);

    const sink = closing(await sinkServer());
    await exchange(sink, data);
    expect(sink.received()).toEqual([{ bytes: 300_001, sha256: source.sha256 }]);
  });

  test("a deaf server holds up whoever sends", async () => {
    const server = closing(await deafServer());
    const socket = connect(server.port, server.host);
    onTestFinished(() => void socket.destroy());
    const huge = Buffer.alloc(64 * 1024 * 1024);
    socket.write(huge);
    await eventually(() => expect(server.connections().open).toBe(1));
    expect(socket.writableLength).toBeGreaterThan(0);
    expect(server.bytes().received).toBe(0);
  });

  test("a resetting server resets, at once or after some bytes", async () => {
    for (const afterBytes of [0, 3]) {
      const server = closing(await resettingServer(afterBytes));
      const { error } = await exchange(server, Buffer.from("hello"), { end: false });
      expect(error).toBe("ECONNRESET");
    }
  });
});

/** Sends, ends, and gives all that came back until the close. */
function exchange(
  { host, port }: LoopbackServer,
  data: Buffer,
  { end = true } = {},
): Promise<{ data: Buffer; error: string | null }> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, allowHalfOpen: true });
    const chunks: Buffer[] = [];
    let failure: string | null = null;
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.once("end", () => socket.end());
    socket.once("error", (error: NodeJS.ErrnoException) => (failure = error.code ?? error.message));
    socket.once("close", () => resolve({ data: Buffer.concat(chunks), error: failure }));
    if (end) socket.end(data);
    else socket.write(data);
  });
}
