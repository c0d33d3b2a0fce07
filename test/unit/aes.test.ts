import { describe, expect, it } from "vitest";
import { hasAesInstructions } from "../../daemon/ssh/aes.ts";

const x86 = (flags: string) =>
  `processor\t: 0\nmodel name\t: Some Processor aes\nflags\t\t: ${flags}\nvmx flags\t: vnmi\nbugs\t\t: spectre_v1\n`;
const arm = (features: string) =>
  `processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: ${features}\nCPU part\t: 0xd08\n`;

describe("a processor", () => {
  it.each([
    ["x86 with AES-NI", true, x86("fpu sse4_2 popcnt aes xsave")],
    ["x86 whose last flag it is", true, x86("fpu aes")],
    ["x86 without", false, x86("fpu sse4_2 popcnt xsave vaes_like")],
    ["a Raspberry Pi 5", true, arm("fp asimd evtstrm aes pmull sha1 sha2 crc32")],
    ["a Raspberry Pi 4", false, arm("fp asimd evtstrm crc32 cpuid")],
    ["32-bit Arm without", false, arm("half thumb fastmult vfp edsp neon vfpv3 tls vfpd32")],
    ["POWER, which lists nothing", true, "processor\t: 0\ncpu\t\t: POWER9\nclock\t\t: 2900MHz\n"],
    ["nothing", true, ""],
  ])("has AES instructions or has not: %s", (_, expected, text) => {
    expect(hasAesInstructions(() => text)).toBe(expected);
  });

  it("that cannot be asked is taken to have them", () => {
    const gone = () => {
      throw new Error("ENOENT");
    };
    expect(hasAesInstructions(gone)).toBe(true);
  });
});
