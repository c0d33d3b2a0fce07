// Channels that commands wait for.
import { abandon } from "../forwards/outbound.ts";
import type { Channel } from "../ssh/channel.ts";
import type { Transaction } from "./transaction.ts";

/** Waits for a channel; one that comes when nobody wants it any more is closed. @throws TundError as transaction.wait() */
export async function waitForChannel(opening: Promise<Channel>, transaction: Transaction): Promise<Channel> {
  try {
    return await transaction.wait(opening);
  } catch (error) {
    opening.then(abandon, () => undefined);
    throw error;
  }
}
