// One question and its answer, against daemons that answer byte by byte as they are told.
import { describe, expect, it } from "vitest";
import { exchange } from "../../cli/exchange.ts";
import { answering } from "../support/answering.ts";
import { atPath } from "../support/at-path.ts";

const OK = "HTTP/1.1 200 OK\r\n";

const ask = (path: string, body?: unknown, signal?: AbortSignal) =>
  exchange(atPath(path), { method: "POST", path: "/v1/x?y=%20", body }, signal);

describe("a question", () => {
  it("is HTTP/1.0, with JSON counted in bytes where there is some", async () => {
    const { path, questions } = await answering([`${OK}content-length: 2\r\n\r\n{}`]);
    await ask(path);
    await ask(path, { name: "grün" });
    expect(questions).toEqual([
      "POST /v1/x?y=%20 HTTP/1.0\r\nhost: localhost\r\n\r\n",
      "POST /v1/x?y=%20 HTTP/1.0\r\nhost: localhost\r\n" +
        'content-type: application/json\r\ncontent-length: 16\r\n\r\n{"name":"grün"}',
    ]);
  });
});

describe("an answer", () => {
  const whole = `${OK}Tund-Version:\t1.2.3 \r\nContent-Length: 7\r\n\r\n"grün"`;

  it("is whole with its last byte, however it is cut, and whether or not the connection ends", async () => {
    const bytes = Array.from(Buffer.from(whole), (byte) => Buffer.of(byte));
    for (const parts of [[whole], bytes])
      for (const ends of [true, false]) {
        const { path } = await answering(parts, ends);
        expect(await ask(path)).toEqual({ status: 200, version: "1.2.3", text: '"grün"' });
      }
  });

  it("without a length ends with the connection, and one with a length ends there", async () => {
    const open = await answering(["HTTP/1.0 404 Not Found\r\n\r\n", "{", "}"]);
    expect(await ask(open.path)).toEqual({ status: 404, version: undefined, text: "{}" });
    const more = await answering([`${OK}content-length: 2\r\n\r\n{}{}`], false);
    expect((await ask(more.path)).text).toBe("{}");
    const none = await answering([`${OK}content-length: 0\r\n\r\n`], false);
    expect((await ask(none.path)).text).toBe("");
  });

  it("of many packets is put together", async () => {
    const text = JSON.stringify("€".repeat(500_000));
    const { path } = await answering([`${OK}content-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`]);
    expect((await ask(path)).text).toBe(text);
  });

  it.each([
    ["nothing", ""],
    ["half a status line", "HTTP/1."],
    ["half a header", `${OK}content-le`],
    ["half a body", `${OK}content-length: 3\r\n\r\n{}`],
  ])("that is cut short is told as a connection that was: %s", async (_, said) => {
    const { path } = await answering(said === "" ? [] : [said]);
    await expect(ask(path)).rejects.toMatchObject({ code: "ECONNRESET" });
  });

  it.each([
    ["another protocol", "SSH-2.0-OpenSSH_9.2\r\n"],
    ["another version", "HTTP/2.0 200 OK\r\n\r\n"],
    ["no status", "HTTP/1.1 OK\r\n\r\n"],
    ["a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"],
    ["one that is not final", "HTTP/1.1 100 Continue\r\n\r\n"],
    ["a header without a colon", `${OK}content-length\r\n\r\n`],
    ["a header over two lines", `${OK}a: b\r\n c\r\n\r\n`],
    ["a blank before the colon", `${OK}content-length : 2\r\n\r\n{}`],
    ["a length that is none", `${OK}content-length: -1\r\n\r\n`],
    ["two lengths", `${OK}content-length: 2\r\ncontent-length: 3\r\n\r\n{}`],
    ["chunks, which HTTP/1.0 has not", `${OK}transfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
  ])("that is no HTTP is told at once: %s", async (_, said) => {
    const { path } = await answering([said], false);
    await expect(ask(path)).rejects.toThrow("the answer is no HTTP");
  });

  it("has a header of 16 KiB at most, whole or not", async () => {
    const padded = (size: number) => `${OK}a: ${"x".repeat(size - OK.length - 3)}`;
    const most = await answering([`${padded(16_384)}\r\n\r\n`]);
    expect((await ask(most.path)).status).toBe(200);
    for (const said of [`${padded(16_385)}\r\n\r\n`, padded(16_385)]) {
      const { path } = await answering([said], false);
      await expect(ask(path)).rejects.toThrow("the answer's header has more than 16384 bytes");
    }
  });

  it("that does not come is waited for until the signal says otherwise", async () => {
    const { path } = await answering([OK], false);
    const ending = new AbortController();
    const asked = ask(path, undefined, ending.signal);
    ending.abort();
    await expect(asked).rejects.toMatchObject({ name: "AbortError" });
    await expect(ask(path, undefined, AbortSignal.abort())).rejects.toMatchObject({ name: "AbortError" });
  });
});
