/**
 * `quorate replay` on the directories of real replicas: what it shows, and that it changes nothing, whatever it is given: a directory in use, a
 * damaged one, another machine's, none at all.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startReplica } from "quorate/server";
import auctions from "../../examples/02-auction/auction.js";
import type { LowLevelMachine } from "../../src/api/low-level.js";
import { connect } from "../../src/node/create-client.js";
import { freePorts } from "../../test-support/ports.js";
import { kv } from "../../src/services/kv/index.js";
import { until } from "../../test-support/dev-cluster.js";
import { repositoryRoot } from "../../test-support/source.js";

const folder = mkdtempSync(join(tmpdir(), "quorate-replay-"));
afterAll(() => rmSync(folder, { recursive: true }));

const auctionFile = ["--machine", "examples/02-auction/auction.ts"];

function replay(words: readonly string[], input = "") {
  const all = ["dist/server/main.js", "replay", ...words];
  const { status, stdout, stderr } = spawnSync(process.execPath, all, { cwd: repositoryRoot, encoding: "utf8", input });
  return { status, stdout, stderr };
}

/** One replica on its own. */
async function alone(machine: LowLevelMachine, name: string) {
  const [peer = "", client = ""] = (await freePorts(2)).map((port) => `127.0.0.1:${port}`);
  const dataDir = join(folder, name);
  const members = [{ id: "a", role: "voter" as const, incarnation: 1, peer, client }];
  const replica = await startReplica(machine, { id: "a", clusterId: "shop", dataDir, members, bootstrap: true });
  return { replica, dataDir, endpoints: [client] };
}

/** Of every file's path, time and content. */
function fingerprintOf(directory: string): string {
  const hash = createHash("sha256");
  for (const name of readdirSync(directory, { recursive: true, encoding: "utf8" }).toSorted()) {
    const path = join(directory, name);
    const { mtimeMs } = statSync(path);
    hash.update(`${name} ${mtimeMs} `);
    if (statSync(path).isFile()) hash.update(readFileSync(path));
  }
  return hash.digest("hex");
}

const withoutTimes = (text: string): string => text.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME");

describe("a machine of one's own", { timeout: 120_000 }, () => {
  let auctionDir = "";
  beforeAll(async () => {
    const { replica, dataDir, endpoints } = await alone(auctions, "auctions");
    const client = await connect(auctions, { endpoints });
    await client.open({ lot: "lamp", quietMs: 1_000 });
    await client.bid({ lot: "lamp", bidder: "ada", amount: 10 });
    await client.bid({ lot: "lamp", bidder: "ben", amount: 9 }).catch(() => undefined);
    for await (const { data } of client.$events("ended", { after: 0 })) if (data.lot === "lamp") break;
    await client.$close();
    await until("a position is compared", async () => (replica.status().audit.positions.alone > 0 ? true : undefined));
    await replica.stop();
    auctionDir = dataDir;
  });

  test("shows who asked what, the answer, the keys that changed, events, and timers that fire", () => {
    const before = fingerprintOf(auctionDir);
    const { status, stdout, stderr } = replay([auctionDir, ...auctionFile]);

    expect(stderr).toContain("replica a of cluster shop, machine auctions: executed from behind entry 0");
    const text = withoutTimes(stdout);
    expect(text).toContain('  session 1 #2  bid({ amount: 10, bidder: "ada", lot: "lamp" })\n    = null\n');
    expect(text).toContain('    event raised { amount: 10, bidder: "ada", lot: "lamp" }\n');
    expect(text).toContain('    timer end "lamp" is set for TIME with { lot: "lamp" }\n');
    expect(text).toContain(
      '    open["lamp"]: { amount: 0, bidder: null, quietMs: 1000 } -> { amount: 10, bidder: "ada", quietMs: 1000 }\n',
    );
    expect(text).toContain('    = rejected("isTooLow", { amount: 10 })\n');
    expect(text).toMatch(/ {2}time\n {2}timer end "lamp"\n/);
    expect(text).toContain('    event ended { amount: 10, lot: "lamp", winner: "ada" }\n');
    expect(text).toContain('    open["lamp"]: { amount: 10, bidder: "ada", quietMs: 1000 } -> nothing\n');
    expect(text).toMatch(/report of a: [1-9]\d* positions? as computed here/);
    expect(status).toBe(0);
    expect(fingerprintOf(auctionDir)).toBe(before);
  });

  test("tells a key's history, and prints JSON with the values themselves", () => {
    const history = replay([auctionDir, ...auctionFile, "--key", "open[lamp]"]);
    const lines = replay([auctionDir, ...auctionFile, "--key", "lamp", "--json"])
      .stdout.trim()
      .split("\n");
    const entries = lines.map((line) => JSON.parse(line) as { event: string; steps?: { changes: unknown[] }[] });

    expect(withoutTimes(history.stdout).replaceAll(/^\d+ /gm, "")).toBe(
      [
        ' TIME  session 1 #1  open({ lot: "lamp", quietMs: 1000 })',
        '  open["lamp"]: nothing -> { amount: 0, bidder: null, quietMs: 1000 }',
        ' TIME  session 1 #2  bid({ amount: 10, bidder: "ada", lot: "lamp" })',
        '  open["lamp"]: { amount: 0, bidder: null, quietMs: 1000 } -> { amount: 10, bidder: "ada", quietMs: 1000 }',
        " TIME  timer end lamp",
        '  open["lamp"]: { amount: 10, bidder: "ada", quietMs: 1000 } -> nothing',
        "",
      ].join("\n"),
    );
    expect(entries.map(({ event }) => event)).toEqual(["entry", "entry", "entry", "end"]);
    expect(entries[2]?.steps?.[0]?.changes).toEqual([
      { collection: "open", key: "lamp", before: { amount: 10, bidder: "ada", quietMs: 1000 } },
    ]);
  });

  test("is stepped through like a program in a debugger, forward and back", () => {
    const { status, stdout } = replay(
      [auctionDir, ...auctionFile, "--interactive"],
      "to 4\nstate open\nto 2\nstep 2\nwhat\nhistory open[lamp]\nstate open lamp\nquit\nnever read\n",
    );
    const text = withoutTimes(stdout);

    expect(text).toMatch(/^behind entry 4, TIME\n {2}open \(1\)\n {4}"lamp": \{ amount: 10, /);
    expect(text).toMatch(
      /behind entry 2, TIME\n3 {2}TIME {2}batch\n {2}session 1 #1 {2}open\(.*\n(?: {4}.*\n)+4 {2}TIME/,
    );
    expect(text).toContain("step [n] ");
    expect(text.split("session 1 #1  open(").length).toBe(3);
    expect(text).toMatch(/ {2}open \(1\)\n {4}"lamp": .*\n$/);
    expect(status).toBe(0);
  });

  test("is not taken for another machine", () => {
    const { status, stderr } = replay([auctionDir]);

    expect(stderr).toContain("it holds the log of machine auctions, not of kv. Give its module: --machine FILE");
    expect(status).toBe(3);
  });
});

describe("the key-value service", { timeout: 120_000 }, () => {
  test("is replayed from a checkpoint, in use, damaged, and from a copy", async () => {
    const { replica, dataDir, endpoints } = await alone(kv, "kv");
    const client = await connect(kv, { endpoints });
    for (let at = 0; at < 30; at += 1) await client.set({ key: `k${at}`, value: "early" });
    await replica.checkpoint();
    const certified = await until("the checkpoint is certified", async () => {
      const { certifiedIndex } = replica.status().checkpoint;
      return certifiedIndex > 0 ? certifiedIndex : undefined;
    });
    const { index } = await client.$detail.set({ key: "k7", value: "late" });
    const inUse = replay([dataDir, "--key", "k7"]);
    await client.set({ key: "k8", value: "last" });
    await client.$close();
    await replica.stop();

    expect(inUse.stderr).toContain(`is in use by process ${process.pid}: what it held when it was opened is shown`);
    expect(inUse.stdout).toContain('entries["k7"]: nothing -> ');
    expect(inUse.stdout).toMatch(/value: "early" \} -> .*value: "late" \}\n$/);

    // The newest state at or before what is asked for is where it begins.
    const late = replay([dataDir, "--from", String(index), "--to", String(index)]);
    expect(late.stderr).toContain(`executed from behind entry ${certified}`);
    expect(late.stdout).toMatch(
      new RegExp(`^${index} .*\\n {2}session 1 #31 {2}set.*\\n {4}= .*\\n {4}entries\\["k7"\\]: .*\\n$`),
    );
    const state = replay([dataDir, "--state", "--to", "12", "--limit", "3"]);
    expect(state.stdout).toMatch(/^behind entry 12, .*\n {2}entries \(10\)\n(?: {4}"k\d".*\n){3} {4}and 7 more\n/);

    // A chunk is damaged: an older state does.
    const copy = join(folder, "copy");
    cpSync(dataDir, copy, { recursive: true });
    const chunks = readdirSync(join(copy, "checkpoints")).filter((name) => name.endsWith(".chunk"));
    for (const name of chunks) writeFileSync(join(copy, "checkpoints", name), "rotten");
    const older = replay([copy, "--from", String(index), "--to", String(index)]);
    expect(older.stderr).toContain("executed from behind entry 0");
    expect(older.stderr).toMatch(/the checkpoint of entry \d+ cannot be used: chunk [0-9a-f]+ is damaged or missing/);
    expect(older.stdout).toBe(late.stdout);

    // A byte in the middle of the log is another: up to there it is shown.
    const [segment = ""] = readdirSync(join(copy, "log")).filter((name) => name.endsWith(".segment"));
    const bytes = readFileSync(join(copy, "log", segment));
    const place = bytes.indexOf("k20", 0, "latin1");
    bytes[place] = 0;
    writeFileSync(join(copy, "log", segment), bytes);
    const damaged = replay([copy]);
    expect(damaged.stderr).toMatch(/entry 23 is damaged on this disk/);
    expect(damaged.stderr).toMatch(/Entries behind 22 cannot be executed: Cannot read entry 23: it is damaged/);
    expect(damaged.stdout).toContain('set({ key: "k19", value: "early" })');
    expect(damaged.stdout).not.toContain("k21");
    expect(damaged.status).toBe(1);
  });

  test("of what is no data directory, and of entries that are not there, it says so", () => {
    const nothing = replay([join(folder, "nothing")]);
    const other = join(folder, "other");
    writeFileSync(other, "something else");
    expect(replay([other]).stderr).toContain("it is neither a data directory nor an evidence file");
    const behind = replay([join(folder, "kv"), "--to", "9999", "--key", "k8"]);

    expect(nothing.stderr).toContain("it is no data directory of a replica");
    expect(nothing.status).toBe(3);
    expect(behind.stderr).toMatch(/The log ends with entry \d+\n/);
    expect(behind.status).toBe(1);
    expect(replay([join(folder, "kv"), "--from", "5", "--to", "4"]).status).toBe(2);
  });
});
