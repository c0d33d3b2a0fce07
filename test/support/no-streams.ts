// For tests of verbs that read no stdin and print no raw bytes: an empty stdin, and a stdout that takes none.
import { Readable } from "node:stream";
import type { Context } from "../../cli/command.ts";

/** The streams of a context. */
export const noStreams = (): Pick<Context, "stdin" | "rawStdout"> => ({
  stdin: Readable.from([]),
  rawStdout: {
    write: () => {
      throw new Error("this verb writes no raw bytes");
    },
    onceDrained: () => undefined,
    end: () => Promise.resolve(),
  },
});
