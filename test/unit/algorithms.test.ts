// Which methods of key exchange are offered, by what the user chose and what can be done here.
import { describe, expect, it } from "vitest";
import { offeredAlgorithms, withNewer } from "../../daemon/ssh/algorithms.ts";
import { unresolved } from "../../daemon/ssh/unresolved.ts";

const MLKEM = "mlkem768x25519-sha256";
const SNTRUP = "sntrup761x25519-sha512";
const SNTRUP_OPENSSH = `${SNTRUP}@openssh.com`;
const all = [MLKEM, SNTRUP, SNTRUP_OPENSSH];

const known = { types: new Set<string>(), isCertified: false };

/** What is offered under a KexAlgorithms that is resolved; null: nobody wrote one. */
function offered(kexalgorithms: string[] | null, hybrids: readonly string[] = all) {
  const config = unresolved("h");
  const algorithms = { ...config.algorithms, kexalgorithms };
  return offeredAlgorithms({ ...config, algorithms }, known, { isAesFast: true, hybrids });
}

describe("what is offered", () => {
  it("begins with the hybrid exchanges, in OpenSSH's order, where nobody has chosen", () => {
    const { kex, algorithms } = offered(null);
    expect(kex.slice(0, 4)).toEqual([...all, "curve25519-sha256@libssh.org"]);
    expect(algorithms.kex).toBeUndefined(); // ssh2 has its own
  });

  it("leaves out what cannot be done here", () => {
    expect(offered(null, [MLKEM]).kex).not.toContain(SNTRUP);
    expect(offered(null, []).kex[0]).toBe("curve25519-sha256@libssh.org");
  });

  it("is what the user chose, in that order, and ssh2 is told of those that it has", () => {
    const { kex, algorithms } = offered(["ecdh-sha2-nistp256", SNTRUP_OPENSSH, "no-such-method"]);
    expect(kex).toEqual(["ecdh-sha2-nistp256", SNTRUP_OPENSSH]);
    expect(algorithms.kex).toEqual(["ecdh-sha2-nistp256"]);
  });

  it("is a hybrid exchange alone where the user wants nothing else, and a failure where that cannot be done", () => {
    expect(offered([MLKEM]).kex).toEqual([MLKEM]);
    expect(() => offered([MLKEM], [])).toThrow(
      /KexAlgorithms names nothing that tund has: asked for mlkem768/,
    );
  });
});

// As `ssh -G` prints them: of an ssh that knows one hybrid exchange, under KexAlgorithms of several kinds.
describe("KexAlgorithms of an ssh that is too old for some of ours", () => {
  const defaults = [SNTRUP_OPENSSH, "curve25519-sha256", "ecdh-sha2-nistp256"];

  it.each([
    ["+ with what it has not by default", [...defaults, "group1"], [MLKEM, SNTRUP, ...defaults, "group1"]],
    [
      "^ with one of its defaults",
      ["curve25519-sha256", SNTRUP_OPENSSH, "ecdh-sha2-nistp256"],
      ["curve25519-sha256", MLKEM, SNTRUP, SNTRUP_OPENSSH, "ecdh-sha2-nistp256"],
    ],
    ["^ with another", ["group1", ...defaults], ["group1", MLKEM, SNTRUP, ...defaults]],
    [
      "^ with its last one and its first",
      ["ecdh-sha2-nistp256", SNTRUP_OPENSSH, "curve25519-sha256"],
      ["ecdh-sha2-nistp256", MLKEM, SNTRUP, SNTRUP_OPENSSH, "curve25519-sha256"],
    ],
  ])("gets them where its defaults begin: %s", (_, printed, expected) => {
    expect(withNewer(printed, defaults)).toEqual(expected);
  });

  it.each([
    ["- with one of its defaults, or a list that names the others", defaults.slice(0, 2)],
    ["a list of its own", ["ecdh-sha2-nistp256", "curve25519-sha256"]],
    ["one method", ["curve25519-sha256"]],
    ["a method that is no default", ["group1"]],
  ])("is taken at its word: %s", (_, printed) => {
    expect(withNewer(printed, defaults)).toEqual(printed);
  });

  it("has nothing put into it where ssh knows all of them", () => {
    const newer = [...all, "curve25519-sha256"];
    expect(withNewer(["curve25519-sha256", ...all], newer)).toEqual(["curve25519-sha256", ...all]);
  });
});
