import { expect } from "vitest";
import { everyWay, pairOf, plumbing } from "./every-way.ts";
import { digestOf, digestOfPoured, pour } from "./pump.ts";

// In megabytes, each way. The long run, 1 GB each way for every kind and subject: TUND_PLUMBING_MB=1000 npx vitest run bulk
const MEGABYTES = Number(process.env["TUND_PLUMBING_MB"] ?? 64);
const size = MEGABYTES * 1_000_000;
const digest = digestOfPoured(size);

const on = plumbing();

everyWay(
  on,
  "carries many megabytes each way at once and loses none",
  async (way) => {
    const { near, far } = await pairOf(way);
    const [here, there] = await Promise.all([
      digestOf(near),
      digestOf(far),
      pour(near, size),
      pour(far, size),
    ]);
    expect({ here, there }).toEqual({ here: digest, there: digest });
    return "all arrives, byte for byte";
  },
  30_000 + MEGABYTES * 300,
);
