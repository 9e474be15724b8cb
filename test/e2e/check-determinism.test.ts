/**
 * `quorate check-determinism` as a user runs it: what differs between processes, reports, bad input, exit codes. And what a replica on
 * real disks says of a forbidden use.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { startReplica } from "quorate/server";
import { defaultLimits } from "../../src/api/config.js";
import type { ForbiddenUse, LowLevelMachine } from "../../src/api/low-level.js";
import { connect } from "../../src/node/create-client.js";
import { nodeHash } from "../../src/node/hash.js";
import { commandsInLog } from "../../src/server/determinism/log-commands.js";
import { startingWith } from "../../src/server/determinism/started-machine.js";
import { freePorts } from "../../test-support/ports.js";
import { MachineCopy } from "../../src/sim/machine-copy.js";
import { encodeValue } from "../../src/wire/canonical.js";
import clock from "../../test-support/bad-machines/clock.js";
import counter from "../../test-support/bad-machines/counter.js";
import { until } from "../../test-support/dev-cluster.js";
import odd from "../../test-support/odd-machine.js";
import { repositoryRoot } from "../../test-support/source.js";

const folder = mkdtempSync(join(tmpdir(), "quorate-determinism-"));
afterAll(() => rmSync(folder, { recursive: true }));

function run(...words: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["dist/server/main.js", "check-determinism", ...words],
    { cwd: repositoryRoot, encoding: "utf8" },
  );
  return { status, stdout, stderr };
}

const bad = (name: string): string => `test-support/bad-machines/${name}.ts`;

function commandsFile(...lines: readonly string[]): string {
  const path = join(folder, "commands.jsonl");
  writeFileSync(path, lines.join("\n"));
  return path;
}

/** One replica on its own. */
async function alone(
  machine: LowLevelMachine,
  onForbiddenUse: (use: ForbiddenUse) => void = () => undefined,
  limits = defaultLimits,
) {
  const [peer = "", client = ""] = (await freePorts(2)).map((port) => `127.0.0.1:${port}`);
  const dataDir = join(folder, machine.name);
  const members = [{ id: "a", role: "voter" as const, incarnation: 1, peer, client }];
  const replica = await startReplica(machine, {
    id: "a",
    clusterId: machine.name,
    dataDir,
    members,
    bootstrap: true,
    limits,
    onForbiddenUse,
  });
  return { replica, dataDir, endpoints: [client] };
}

describe("a replica", { timeout: 120_000 }, () => {
  test("answers a command that reads the clock with what to use instead, and tells its own program the line", async () => {
    const told: ForbiddenUse[] = [];
    const { replica, endpoints } = await alone(clock, (use) => told.push(use));
    const client = await connect(clock, { endpoints });

    await expect(client.bid({ who: "anna" })).rejects.toThrow(
      "Cannot use Date.now in command bid: replicas execute at different times. Use context.now, the agreed time",
    );
    expect(told).toMatchObject([{ where: "command bid", used: "Date.now" }]);
    expect(told[0]?.stack.split("\n")[1]).toMatch(/at .*clock\.ts:\d+/);
    expect(replica.status().counters.forbiddenUses).toBe(1);
    await client.$close();
    await replica.stop();
  });

  test("has a log whose commands can be checked, while it runs and when it is stopped", async () => {
    const { replica, dataDir, endpoints } = await alone(counter);
    const client = await connect(counter, { endpoints });
    for (const who of ["anna", "bert", "cleo"]) await client.take({ who });
    await client.$close();
    const running = run(bad("counter"), "--data", dataDir);
    await replica.stop();
    const { status, stdout } = run(bad("counter"), "--data", dataDir);

    expect([running.status, running.stdout]).toEqual([status, stdout]);
    expect(stdout).toContain('Command 1 is not deterministic: take({ who: "anna" }) gives another output\n');
    expect(stdout).toContain("3 commands of counter: not deterministic");
    expect(status).toBe(1);
  });
});

test("where the log begins behind a checkpoint, its commands are executed on the state of that", async () => {
  const storage = { ...defaultLimits.storage, segmentBytes: 2 * 1024 * 1024, reserveBytes: 1024 * 1024 };
  const { replica, dataDir, endpoints } = await alone(odd, undefined, { ...defaultLimits, storage });
  const client = await connect(odd, { endpoints });
  const padded = { name: "apples", by: 1, padding: "x".repeat(100_000) };
  for (let count = 1; count <= 60; count += 1) expect(await client.add(padded)).toBe(count);
  await replica.checkpoint();
  await until("a log that has given some back", async () =>
    replica.status().checkpoint.logStart > 0 ? true : undefined,
  );
  for (let count = 61; count <= 65; count += 1) await client.add({ name: "apples", by: 1 });
  await client.$close();
  const { status, stdout, stderr } = run("test-support/odd-machine.ts", "--data", dataDir);
  await replica.stop();

  expect([stderr, status]).toEqual(["", 0]);
  expect(stdout).toMatch(/^\d+ commands of counters: equal outputs and states\n/);
  const { lines, state } = await commandsInLog(dataDir, 1_000, odd);
  expect(lines.length).toBeGreaterThanOrEqual(5);
  expect(lines.length).toBeLessThan(65);
  if (state === undefined) throw new Error("the log begins with the first entry");
  const copy = new MachineCopy(startingWith(odd, state), nodeHash);
  const { outcome } = copy.execute(0, { kind: "command", name: "add", value: { name: "apples", by: 0 } });
  expect(outcome).toEqual({ status: "ok", output: encodeValue(65 - lines.length) });
}, 120_000);

describe("quorate check-determinism", { timeout: 120_000 }, () => {
  test("of a good machine lists the ways in which it was the same, another Node included", () => {
    const { status, stdout } = run("examples/01-bank/bank.ts", "--count", "200", "--node", process.execPath);

    expect(stdout).toMatch(/^200 guessed commands of bank: equal outputs and states\n {2}the first time\n/);
    expect(stdout).toContain(`  with ${process.execPath}\n`);
    expect(status).toBe(0);
  });

  test("finds what a module remembers of its process: the time zone, the year, the environment (N2)", () => {
    const { status, stdout } = run(bad("setup"), "--commands", commandsFile('{"command":"open"}'));

    expect(stdout).toMatch(/^Command 1 is not deterministic: open\(\) gives another output\n {2}in one process:/);
    expect(stdout).toMatch(/ {2}in another time zone and language: ".* -\d+"\n/);
    expect(stdout).toMatch(/ {2}state at\[0\]: ".*", and then ".*"\n/);
    expect(status).toBe(1);
  });

  test("shows the line of a forbidden use, and names promises", () => {
    const clock = run(bad("clock"), "--count", "5");
    const promise = run(bad("promise"), "--count", "5", "--json");

    expect(clock.stdout).toMatch(
      /^NotDeterministic: Cannot use Date\.now in command bid: .*\n +at bid .*clock\.js:\d+/,
    );
    expect(clock.status).toBe(1);
    expect(JSON.parse(promise.stdout)).toMatchObject({ promises: ["command add"] });
    expect(promise.status).toBe(1);
  });

  test("asks queries of the file in between", () => {
    const lines = ['{"command":"add"}', '{"query":"count"}', '{"command":"add"}', "", '{"command":"add"}'];
    const { stdout } = run(bad("cache"), "--commands", commandsFile(...lines), "--json");

    expect(JSON.parse(stdout)).toMatchObject({
      difference: { place: 4, outputs: ["3", "2"], ways: ["the first time", "with the queries in between"] },
    });
  });

  test.each<[string, readonly string[], string]>([
    ["a file that is not there", ["nowhere.js"], "there is no such file"],
    ["a line that is no command", [bad("clock"), "--commands", commandsFile('{"ask":1}')], "Cannot read line 1"],
    ["no command at all", [bad("clock"), "--commands", "/dev/null"], "there is no command in"],
    ["a Node that is none", [bad("clock"), "--node", "/bin/true"], "it is no Node that can be run"],
    ["a count of nothing", [bad("clock"), "--count", "0"], "expected a whole number from 1"],
  ])("with %s is wrong usage", (_, words, message) => {
    // Written anew: all rows are made before the first runs.
    if (words.includes(join(folder, "commands.jsonl"))) commandsFile('{"ask":1}');
    const { status, stderr } = run(...words);

    expect(stderr).toContain(message);
    expect(status).toBe(2);
  });
});
