import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { portHolder } from "../../daemon/forwards/holder.ts";
import { startInBackground } from "../support/background.ts";
import { eventually } from "../support/eventually.ts";
import { tempDir } from "../support/temp-dir.ts";

const SERVER =
  "require('net').createServer().listen(0, '127.0.0.1', function () { console.log(this.address().port) })";

it.runIf(process.platform === "linux")(
  "whoever listens on a port is named by the program, where Node has given the process its thread's name",
  async () => {
    const directory = await tempDir();
    onTestFinished(() => directory.remove());
    // Node 24 does it by itself; and the kernel takes a process's name from the file's.
    const program = join(directory.path, "MainThread");
    symlinkSync(process.execPath, program);
    const options = { env: {}, cwd: directory.path, argv0: "/opt/web" };
    const server = await startInBackground(program, ["-e", SERVER], options);
    onTestFinished(async () => (server.kill("SIGKILL"), void (await server.end)));
    const port = await eventually(() => Number(/^\d+\n/.exec(server.log())?.[0] ?? 0) || false);
    expect(await portHolder(port)).toBe(`web (pid ${server.pid})`);
  },
);
