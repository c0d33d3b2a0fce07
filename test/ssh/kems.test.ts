// The process that computes post-quantum key exchange: what it gives, how long it is there, and what becomes of those who wait
// for it when it goes.
import { ml_kem768 } from "@noble/post-quantum/ml-kem.js";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { Children, type Child } from "../../daemon/ssh/children.ts";
import { sizes } from "../../daemon/ssh/kex/hybrids.ts";
import { Kems } from "../../daemon/ssh/kex/kems.ts";
import { NativeMlKem } from "../../daemon/ssh/kex/native-ml-kem.ts";
import { Worker } from "../../daemon/ssh/kex/worker-process.ts";
import { decapsulate, generate, hello } from "../../daemon/ssh/kex/worker-protocol.ts";
import { manualClock } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { silent } from "../support/silent-log.ts";

const NOTHING = Buffer.alloc(0);

/** Starts programs, and keeps account of them. */
class CountedChildren extends Children {
  readonly started: Child[] = [];
  onStart: (child: Child) => void = () => undefined;

  constructor() {
    super(null, process.env);
  }

  override async start(...args: Parameters<Children["start"]>): Promise<Child> {
    const child = await super.start(...args);
    this.started.push(child);
    this.onStart(child);
    return child;
  }
}

interface Given {
  script?: string;
  env?: NodeJS.ProcessEnv;
}

function startWorker({ script = "dist/kem-worker.cjs", env = process.env }: Given = {}) {
  const [clock, children] = [manualClock(), new CountedChildren()];
  const worker = new Worker({ script: resolve(script), env, children, clock });
  onTestFinished(() => worker.stop());
  return { worker, clock, children, kems: new Kems({ worker, log: silent }) };
}

const isNodesOwn = new NativeMlKem().isThere();

describe("the worker", () => {
  it("makes key pairs of ML-KEM-768, and finds the secret that was put in a ciphertext", async () => {
    const { worker } = startWorker();
    const made = await worker.run(generate.mlkem768, NOTHING);
    const [publicKey, secretKey] = [made.subarray(0, 1184), made.subarray(1184)];
    const { cipherText, sharedSecret } = ml_kem768.encapsulate(publicKey);
    const shared = await worker.run(decapsulate.mlkem768, Buffer.concat([cipherText, secretKey]));
    expect(shared).toEqual(Buffer.from(sharedSecret));
  });

  it.skipIf(!isNodesOwn)("agrees with Node's own ML-KEM", async () => {
    const { kems } = startWorker();
    const pair = await kems.keyPair("mlkem768", null);
    const { cipherText, sharedSecret } = ml_kem768.encapsulate(pair.publicKey);
    const shared = await kems.decapsulate("mlkem768", Buffer.from(cipherText), { pair, owner: null });
    expect(shared).toEqual(Buffer.from(sharedSecret));
  });

  it("is one process for all who ask at once, and each gets a key pair of its own", async () => {
    const { worker, children } = startWorker();
    const made = await Promise.all(Array.from({ length: 8 }, () => worker.run(generate.sntrup761, NOTHING)));
    expect(new Set(made.map((bytes) => bytes.toString("base64"))).size).toBe(8);
    expect(children.started).toHaveLength(1);
  });

  it("ends 10 s after its last work, and another one is started for the next", async () => {
    const { worker, clock, children } = startWorker();
    await worker.run(hello, NOTHING);
    clock.advance(9000);
    await worker.run(hello, NOTHING);
    clock.advance(9999);
    const [child] = children.started;
    expect(children.started).toHaveLength(1);
    expect(child?.exit).toBeUndefined();
    clock.advance(1);
    await child?.exited;
    await worker.run(hello, NOTHING);
    expect(children.started).toHaveLength(2);
  });

  it("ends with whoever started it", async () => {
    const { worker, children } = startWorker();
    await worker.run(hello, NOTHING);
    children.started[0]?.stdin.destroy();
    expect((await children.started[0]?.exited)?.code).toBe(0);
  });

  it("is started anew for what was under way when it was killed", async () => {
    const { worker, children } = startWorker();
    children.onStart = ({ pid }) => {
      if (children.started.length === 1) process.kill(pid, "SIGKILL");
    };
    expect(await worker.run(generate.sntrup761, NOTHING)).toHaveLength(1158 + 1763);
    expect(children.started).toHaveLength(2);
  });

  it("that is killed again and again fails those who wait, with the reason, and is tried again after a minute", async () => {
    const { worker, clock, children, kems } = startWorker();
    expect(await kems.offered()).toHaveLength(3);
    children.onStart = ({ pid }) => process.kill(pid, "SIGKILL");
    process.kill(children.started[0]?.pid ?? 0, "SIGKILL");
    await expect(worker.run(generate.sntrup761, NOTHING)).rejects.toThrow(
      "the process for post-quantum key exchange: it ended",
    );
    children.onStart = () => undefined;
    const withoutIt = isNodesOwn ? 1 : 0;
    expect(await kems.offered()).toHaveLength(withoutIt);
    clock.advance(59_000);
    expect(await kems.offered()).toHaveLength(withoutIt);
    clock.advance(1000);
    expect(await kems.offered()).toHaveLength(3);
  });

  it("that does not answer is given up after 30 s, and killed", async () => {
    const { worker, clock, children } = startWorker();
    await worker.run(hello, NOTHING);
    const [child] = children.started;
    process.kill(child?.pid ?? 0, "SIGSTOP");
    const failing = expect(worker.run(generate.sntrup761, NOTHING)).rejects.toThrow("no answer in 30 s");
    clock.advance(30_000);
    await failing;
    expect((await child?.exited)?.signal).toBe("SIGKILL");
  });

  it.each([
    ["there is no such program", "dist/no-such-program.cjs"],
    ["it is another program", "dist/key-parser.cjs"],
  ])("cannot be had where %s: what needs it is not offered", async (_, script) => {
    const { kems } = startWorker({ script });
    expect(await kems.offered()).toEqual(isNodesOwn ? ["mlkem768x25519-sha256"] : []);
  });

  it.skipIf(process.platform !== "linux")("has no part of what Node is told for tund", async () => {
    const { worker, children } = startWorker({ env: { ...process.env, NODE_OPTIONS: "--jitless" } });
    await worker.run(hello, NOTHING);
    const environment = await readFile(`/proc/${children.started[0]?.pid}/environ`, "latin1");
    expect(environment).not.toContain("NODE_OPTIONS");
  });
});

describe("key pairs made ahead", () => {
  /** Does one exchange for an owner, as far as the worker is concerned. */
  async function exchange({ kems }: ReturnType<typeof startWorker>, owner: string | null) {
    const pair = await kems.keyPair("sntrup761", owner);
    await kems.decapsulate("sntrup761", Buffer.alloc(sizes.sntrup761.ciphertext), { pair, owner });
    return pair.publicKey;
  }

  it("are there for the next exchange of the same owner, without a worker, and for no other", async () => {
    const world = startWorker();
    const first = Buffer.from(await exchange(world, "host"));
    await eventually(() => expect(world.worker.isIdle).toBe(true));
    world.worker.stop();
    const spare = await world.kems.keyPair("sntrup761", "host");
    expect(world.children.started).toHaveLength(1);
    expect(spare.publicKey.equals(first)).toBe(false);
    await world.kems.keyPair("sntrup761", "other");
    expect(world.children.started).toHaveLength(2);
  });

  it("are one for each owner, and none for who has no name", async () => {
    const world = startWorker();
    for (const owner of ["a", "b", null]) await exchange(world, owner);
    await eventually(() => expect(world.worker.isIdle).toBe(true));
    world.worker.stop();
    for (const owner of ["a", "b"]) await world.kems.keyPair("sntrup761", owner);
    expect(world.children.started).toHaveLength(1);
    await world.kems.keyPair("sntrup761", null);
    expect(world.children.started).toHaveLength(2);
  });

  it("are used once", async () => {
    const world = startWorker();
    await exchange(world, "host");
    await eventually(() => expect(world.worker.isIdle).toBe(true));
    const pairs = [
      await world.kems.keyPair("sntrup761", "host"),
      await world.kems.keyPair("sntrup761", "host"),
    ];
    expect(pairs[0]?.publicKey.equals(pairs[1]?.publicKey ?? NOTHING)).toBe(false);
  });
});
