// PostgreSQL over a forward to its port and over one to its Unix socket: psql, and a dump that is loaded again.
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { run } from "../support/run.ts";
import { tempDir } from "../support/temp-dir.ts";
import { startTunnel, type Tunnel } from "../support/tunnel.ts";
import { describeWith, isThere, postgresPrograms } from "./program.ts";

const bin = postgresPrograms();
const isRoot = process.getuid?.() === 0;

/** The server refuses to be root: Debian's package has a user for it. */
const asItsUser = (program: string, args: string[]): [string, string[]] =>
  isRoot ? ["runuser", ["-u", "postgres", "--", program, ...args]] : [program, args];

describeWith({ "postgresql (server)": bin !== undefined, psql: isThere("psql") })("PostgreSQL", () => {
  let tunnel: Tunnel;
  let directory: Awaited<ReturnType<typeof tempDir>>;
  let server = 0;
  let [tcp, unix] = [0, 0];
  const administer = async (program: string, ...args: string[]) => {
    const [command, all] = asItsUser(join(bin ?? "", program), args);
    const { code, stdout, stderr } = await run(command, all, { cwd: directory.path, deadlineMs: 50_000 });
    if (code !== 0) throw new Error(`${program}: ${stdout}${stderr}`);
  };
  const data = () => join(directory.path, "data");

  beforeAll(async () => {
    directory = await tempDir();
    chmodSync(directory.path, 0o755);
    mkdirSync(data());
    mkdirSync(join(directory.path, "run"));
    if (isRoot) await run("chown", ["-R", "postgres", directory.path]);
    const init = ["-D", data(), "-U", "postgres", "-A", "trust", "--no-sync", "--locale=C", "-E", "UTF8"];
    await administer("initdb", ...init);
    server = await freePort();
    const settings = `-h 127.0.0.1 -p ${server} -k ${join(directory.path, "run")} -F`;
    await administer(
      "pg_ctl",
      "-D",
      data(),
      "-l",
      join(directory.path, "log"),
      "-o",
      settings,
      "-w",
      "start",
    );
    tunnel = await startTunnel();
    tcp = await freePort();
    unix = await freePort();
    const path = join(directory.path, "run", `.s.PGSQL.${server}`);
    await tunnel.ok("forward", "-L", `${tcp}:127.0.0.1:${server}`, "-L", `${unix}:${path}`, "testhost");
  });
  afterAll(async () => {
    await tunnel?.stop();
    if (server !== 0) await administer("pg_ctl", "-D", data(), "-m", "immediate", "stop");
    await directory?.remove();
  });

  const client = (program: string, port: number, ...args: string[]) =>
    run(program, ["-h", "127.0.0.1", "-p", String(port), "-U", "postgres", ...args]);
  const sql = async (port: number, database: string, ...commands: string[]) => {
    const args = ["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database];
    const done = await client("psql", port, ...args, ...commands.flatMap((command) => ["-c", command]));
    expect(done).toMatchObject({ code: 0, stderr: "" });
    return done.stdout.trim();
  };

  it("answers queries, dumps a database and loads it again, through a port and through a path", async () => {
    await sql(tcp, "postgres", "create database before", "create database after");
    await sql(
      tcp,
      "before",
      "create table t as select i, md5(i::text) as m, repeat(md5(i::text), 10) as wide from generate_series(1, 20000) i",
    );
    const digest = "select md5(string_agg(t::text, ',' order by i)) from t";
    const dump = await client("pg_dump", unix, "-d", "before", "-f", join(tunnel.sshd.directory, "dump.sql"));
    expect(dump).toMatchObject({ code: 0, stderr: "" });
    const load = [
      "-X",
      "-q",
      "-v",
      "ON_ERROR_STOP=1",
      "-d",
      "after",
      "-f",
      join(tunnel.sshd.directory, "dump.sql"),
    ];
    expect(await client("psql", tcp, ...load)).toMatchObject({ code: 0 });
    expect(await sql(unix, "after", digest)).toBe(await sql(tcp, "before", digest));
  });

  it("is told of a client that leaves in the middle of a query", async () => {
    const asleep =
      "select count(*) from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'";
    const left = client(
      "psql",
      tcp,
      "-X",
      "-d",
      "postgres",
      "-c",
      "set client_connection_check_interval = 100",
      "-c",
      "select pg_sleep(60)",
    );
    await eventually(async () => (await sql(unix, "postgres", asleep)) === "1");
    const forward = async () => (await tunnel.forwardOn(tcp))?.channels.open;
    expect(await forward()).toBe(1);
    await tunnel.ok("cancel", "--close", "-L", String(tcp), "testhost");
    expect(await left).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("closed the connection") as string,
    });
    await eventually(async () => (await sql(unix, "postgres", asleep)) === "0");
  });
});
