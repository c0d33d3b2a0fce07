// POST /v1/conversations: what a login asks its caller, a JSON object a line, for as long as the caller listens.
import { Readable } from "node:stream";
import type { Registry } from "../masters/registry.ts";

/** Makes the stream; the conversation ends with it. */
export function conversationStream({ conversations }: Pick<Registry, "conversations">): Readable {
  const talk: { end?: () => void } = {};
  const stream = new Readable({
    read: () => undefined,
    destroy: (error, done) => (talk.end?.(), done(error)),
  });
  talk.end = conversations.open((line) => void stream.push(`${JSON.stringify(line)}\n`)).end;
  return stream;
}
