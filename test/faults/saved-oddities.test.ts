// A state file that a hand has edited into what cannot be: nothing else is lost by it, and nothing of it without a word.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";
import { freePort } from "../support/free-port.ts";
import { startHome } from "../support/home.ts";

interface Saved {
  hosts: { host: string; forwards: Record<string, unknown>[] }[];
}

it("leaves out what has the name of another, or can be nobody's, and keeps a copy", async () => {
  const home = await startHome({});
  const first = await home.start();
  const port = await freePort();
  await first.ok("forward", "--no-wait", "--name", "web", "-L", `${port}:a:80`, "db");
  await first.stop();
  const saved = home.saved() as unknown as Saved & { version: number };
  const [host] = saved.hosts;
  const [good] = host?.forwards ?? [];
  const odd = (more: object) => ({ ...good, id: "odd", name: null, spec: `${port + 1}:a:80`, ...more });
  host?.forwards.push(
    odd({ id: good?.["id"] }),
    odd({ id: "\0" }),
    odd({ name: "web" }),
    odd({ id: "web" }),
    odd({ name: "\u001b[2J" }),
    odd({ spec: "what" }),
    odd({ idleSeconds: 0 }),
    odd({ allocatedPort: 70_000 }),
    odd({ id: "last", spec: `${port + 2}:a:80` }),
  );
  saved.hosts.push(
    { ...saved.hosts[0], host: "db", forwards: [odd({ id: "lost" })] },
    { ...saved.hosts[0], host: "a\0b", forwards: [] },
  );
  const text = JSON.stringify(saved);
  writeFileSync(home.state, text);
  const second = await home.start();
  expect((await second.forwards()).map(({ id }) => id)).toEqual([good?.["id"], "last"]);
  const [copy = "", ...others] = readdirSync(dirname(home.state)).filter((name) =>
    name.includes(".left-out-"),
  );
  expect(others).toEqual([]);
  expect(readFileSync(join(dirname(home.state), copy), "utf8")).toBe(text);
  const lines = second
    .log()
    .split("\n")
    .filter((line) => line.includes("left out of the saved state"));
  expect(lines).toHaveLength(10);
  for (const line of lines) expect(line).toContain(copy);
  for (const why of [
    `there is another forward ${String(good?.["id"])}`,
    String.raw`\"\\u0000\" can be no forward's id or name`,
    "there is another forward web",
    "idleSeconds is 0",
    "allocatedPort is 70000",
    "there is another host of that name",
    "that is no host's name",
  ])
    expect(lines.join("\n")).toContain(why);
  // The next save has no more of it, and the next start nothing to say.
  await second.ok("cancel", "last");
  await second.stop();
  expect((await home.start()).log()).not.toContain("left out of the saved state");
});
