import { describe, expect, it } from "vitest";
import { HostKeyMemory } from "../../daemon/ssh/host-key-memory.ts";
import { systemClock } from "../../shared/clock.ts";
import { keyBlob } from "../support/key-blob.ts";

const A = keyBlob("ssh-ed25519", "a");
const B = keyBlob("ssh-ed25519", "b");
const host = (index: number, file = "/known") => ({ file, name: `[h${index}]:2222` });

describe("host keys that could not be recorded", () => {
  it("are kept by file and name, with the time when the first of them was kept, until others take their place", () => {
    let now = 1000;
    const memory = new HostKeyMemory({ ...systemClock, now: () => now++ });
    const kept = () => memory.of(host(1)).map(({ key, since }) => ({ key, since }));
    expect(kept()).toEqual([]);
    memory.keep(host(1), [A]);
    memory.keep(host(1), [A]);
    expect(kept()).toEqual([{ key: A, since: 1000 }]);
    expect(memory.of(host(1, "/other"))).toEqual([]);
    memory.keep(host(1), [B]);
    expect(kept()).toEqual([{ key: B, since: 1002 }]);
    memory.forget(host(1));
    expect(kept()).toEqual([]);
  });

  it("are those of a thousand hosts at most: one more is refused, and none is forgotten", () => {
    const memory = new HostKeyMemory(systemClock);
    for (let index = 0; index < 1000; index++) memory.keep(host(index), [A]);
    expect(() => memory.keep(host(1000), [A])).toThrow(/no room/);
    expect(memory.of(host(0))).toHaveLength(1);
    memory.keep(host(0), [B]);
    memory.forget(host(1));
    memory.keep(host(1000), [A]);
  });
});
