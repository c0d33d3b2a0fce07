// A person at the controlling terminal, whatever stdin and stdout are.
import { writeSync } from "node:fs";
import { ReadStream } from "node:tty";
import { visibleLines } from "../shared/visible.ts";

interface Question {
  instructions: string | null;
  text: string;
  echo: boolean;
}

const [INTERRUPT, END, BACKSPACE, DELETE, KILL_LINE] = [0x03, 0x04, 0x08, 0x7f, 0x15];

export class Terminal {
  readonly #descriptor: number;
  readonly #input: ReadStream;
  #turn: Promise<unknown> = Promise.resolve();

  /** @param descriptor of the terminal, open for both; it is closed by end() */
  constructor(descriptor: number) {
    this.#descriptor = descriptor;
    this.#input = new ReadStream(descriptor);
    this.#input.on("error", () => undefined); // the terminal is gone: whoever asks gets no answer
    this.#input.pause();
  }

  /** Asks one question after the other. Gives null at ^C and ^D, and when the terminal is gone. */
  ask(question: Question): Promise<string | null> {
    const answer = this.#turn.then(() => this.#askNow(question));
    this.#turn = answer;
    return answer;
  }

  /** Gives the terminal back as it was. */
  end(): void {
    if (this.#input.isRaw) this.#input.setRawMode(false);
    this.#input.destroy();
  }

  async #askNow({ instructions, text, echo }: Question): Promise<string | null> {
    // What is typed unseen is edited here, since a terminal edits lines only where it shows them. Before the question is
    // put: whoever types at once is not to be seen either.
    this.#input.setRawMode(!echo);
    if (instructions !== null) this.#say(`${instructions}\n`);
    this.#say(text);
    try {
      return await (echo ? this.#line() : this.#unseenLine());
    } finally {
      this.#input.setRawMode(false);
      this.#input.pause();
      if (!echo) this.#say("\n");
    }
  }

  #say(text: string): void {
    try {
      writeSync(this.#descriptor, visibleLines(text)); // libuv leaves ONLCR on in raw mode
    } catch {
      // it is gone
    }
  }

  #line(): Promise<string | null> {
    let typed = Buffer.alloc(0);
    return this.#read((chunk) => {
      typed = Buffer.concat([typed, chunk]);
      const end = typed.indexOf("\n");
      if (end !== -1) return typed.toString("utf8", 0, end).replace(/\r$/, "");
      return chunk.length === 0 ? null : undefined;
    });
  }

  #unseenLine(): Promise<string | null> {
    const typed: number[] = [];
    return this.#read((chunk) => {
      for (const byte of chunk) {
        if (byte === 0x0d || byte === 0x0a) return Buffer.from(typed).toString("utf8");
        if (byte === INTERRUPT || (byte === END && typed.length === 0)) return null;
        if (byte === KILL_LINE) typed.length = 0;
        else if (byte === BACKSPACE || byte === DELETE) erase(typed);
        else typed.push(byte);
      }
      return undefined;
    });
  }

  /** Reads until `take` gives something; null when the terminal ends. */
  #read(take: (chunk: Buffer) => string | null | undefined): Promise<string | null> {
    return new Promise((resolve) => {
      const input = this.#input;
      const done = (answer: string | null) => {
        input.off("data", hear).off("end", gone).off("close", gone);
        resolve(answer);
      };
      const gone = () => done(null);
      const hear = (chunk: Buffer) => {
        const answer = take(chunk);
        if (answer !== undefined) done(answer);
      };
      input.on("data", hear).once("end", gone).once("close", gone);
      input.resume();
    });
  }
}

// A whole character, whose bytes after the first begin with 10.
function erase(typed: number[]): void {
  while (((typed.pop() ?? 0) & 0xc0) === 0x80);
}
