// The lines that a server may send before its version (RFC 4253 section 4.2): within bounds, and in reads of any size. ssh2
// never makes out a version that comes in three reads, and counts lines anew in each.

const MOST_LINES = 1024; // kex.c, SSH_MAX_PRE_BANNER_LINES
const MOST_LINE_BYTES = 8192; // ssh.h, SSH_MAX_BANNER_LEN
const MOST_BYTES = 256 * 1024;
const VERSION = Buffer.from("SSH-");
const NEWLINE = 0x0a;

export class VersionLines {
  #line: Buffer = Buffer.alloc(0);
  #lines = 0;
  #bytes = 0;

  /**
   * Takes what was read. Gives it from the version's line on, once that has come whole; null until then.
   * @throws Error when no line begins with `SSH-` within 1024 lines or 256 KiB, or one has more than 8 KiB
   */
  take(chunk: Buffer): Buffer | null {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      const line = this.#joined(chunk.subarray(from, end + 1));
      if (line.indexOf(VERSION) === 0) return Buffer.concat([line, chunk.subarray(end + 1)]);
      if (++this.#lines >= MOST_LINES) throw new Error(`no SSH version in the first ${MOST_LINES} lines`);
      this.#line = Buffer.alloc(0);
      from = end + 1;
    }
    if ((this.#bytes += chunk.length) > MOST_BYTES)
      throw new Error(`no SSH version in the first ${MOST_BYTES / 1024} KiB`);
    this.#line = this.#joined(chunk.subarray(from));
    return null;
  }

  #joined(rest: Buffer): Buffer {
    if (this.#line.length + rest.length > MOST_LINE_BYTES)
      throw new Error(`no SSH version: a line of more than ${MOST_LINE_BYTES} bytes before it`);
    return Buffer.concat([this.#line, rest]);
  }
}
