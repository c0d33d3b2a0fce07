// POST /v1/conversations: what a login asks its caller, a JSON object a line, for as long as the caller listens.
import { Readable } from "node:stream";
import type { Registry } from "../masters/registry.ts";

// What may wait for a reader. One that does not read is not there: what it is asked has no answer.
const MOST_BYTES = 256 * 1024;

/** Makes the stream; the conversation ends with it, or when its reader is too far behind. */
export function conversationStream({ conversations }: Pick<Registry, "conversations">): Readable {
  const talk: { end?: () => void } = {};
  const stream = new Readable({
    read: () => undefined,
    destroy: (error, done) => (talk.end?.(), done(error)),
  });
  talk.end = conversations.open((line) => {
    stream.push(`${JSON.stringify(line)}\n`);
    if (stream.readableLength > MOST_BYTES) stream.destroy();
  }).end;
  return stream;
}
