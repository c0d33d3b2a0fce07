// Short names for forwards, easy to say and to type: no 0/o, 1/l/i.
import { randomInt } from "node:crypto";

const LETTERS = "abcdefghjkmnpqrstuvwxyz";
const SYMBOLS = `${LETTERS}23456789`;

/** A new id that is not taken: a letter and three symbols, more when those run short. */
export function newId(isTaken: (id: string) => boolean): string {
  for (let tries = 0; ; tries++) {
    let id = pick(LETTERS);
    while (id.length < 4 + Math.floor(tries / 20)) id += pick(SYMBOLS);
    if (!isTaken(id)) return id;
  }
}

const pick = (symbols: string): string => symbols.charAt(randomInt(symbols.length));
