import { openSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { DescriptorStore } from "../../daemon/systemd/descriptor-store.ts";
import { Notifier } from "../../daemon/systemd/notifier.ts";
import { silent } from "../support/silent-log.ts";

const where = "127.0.0.1:5432";

function storeWithOne(): { store: DescriptorStore; fd: number } {
  const fd = openSync("/dev/null", "r");
  const notifier = new Notifier({ socket: null, native: null, log: silent });
  const name = `listen-${Buffer.from(where).toString("hex")}`;
  return { store: new DescriptorStore(notifier, [{ name, fd }]), fd };
}

describe("what systemd kept of an earlier life", () => {
  it("is there for who asks for it, once", () => {
    const { store, fd } = storeWithOne();
    expect(store.take(where)).toBe(fd);
    expect(store.take(where)).toBeUndefined();
  });

  it("is closed when nobody asks for it, but not by a daemon that ends before it could", () => {
    const [discarding, ending] = [storeWithOne(), storeWithOne()];
    discarding.store.discardUnclaimed();
    expect(discarding.store.take(where)).toBeUndefined();
    ending.store.freeze(() => true);
    ending.store.discardUnclaimed();
    expect(ending.store.take(where)).toBe(ending.fd);
  });
});
