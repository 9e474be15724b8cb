/**
 * A state of a million small keys: what checkpoints cost while they are taken, how much disk it needs, how soon it serves again.
 *
 * Writes the keys through a client, goes on overwriting them while checkpoints are taken, then stops and starts the cluster. Prints one
 * line for each figure, with `--json` one JSON document. `--keys N` (default 1,000,000), `--replicas 1|3|5` (default 1). Run it on a quiet machine:
 * `npm run bench:restart`.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "quorate/client";
import { kv } from "quorate/services/kv";
import { residentMiBOf, startQuorate } from "./processes.mjs";

const option = (name, fallback) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
};
const keys = option("keys", 1_000_000);
const replicas = option("replicas", 1);
const valueOf = "v".repeat(100);
const keyOf = (number) => `key:${String(number).padStart(12, "0")}`;
const liveBytes = keys * (100 + 16);

const directory = mkdtempSync(join(tmpdir(), "quorate-restart-"));
const start = () => startQuorate(directory, {}, ["--replicas", String(replicas)]);
const bytesOnDisk = () =>
  Number(execFileSync("du", ["-sb", directory], { encoding: "utf8" }).split("\t")[0]) / replicas;

/** Writes `count` keys with so many outstanding; answers the 99th percentile of the times, in milliseconds. */
async function write(client, { from, count, outstanding }) {
  const times = [];
  let next = from;
  const one = async () => {
    while (next < from + count) {
      const number = next++;
      const begun = performance.now();
      await client.set({ key: keyOf(number % keys), value: valueOf });
      times.push(performance.now() - begun);
    }
  };
  await Promise.all(Array.from({ length: outstanding }, one));
  times.sort((left, right) => left - right);
  return times[Math.floor(times.length * 0.99)];
}

async function checkpointsTaken(cluster) {
  return Math.max(...(await cluster.statuses()).map(({ counters }) => counters.checkpointsTaken));
}

const figures = {};
let cluster = await start();
try {
  let client = await connect(kv, { endpoints: cluster.endpoints });
  await write(client, { from: 0, count: keys, outstanding: 1_000 });
  // Short runs, some with a checkpoint in them and some without.
  const calm = [];
  const busy = [];
  await cluster.resetTurns();
  for (let run = 0; run < 40 && (busy.length < 3 || calm.length < 3); run += 1) {
    const before = await checkpointsTaken(cluster);
    const p99 = await write(client, { from: run * 20_000, count: 20_000, outstanding: 64 });
    ((await checkpointsTaken(cluster)) > before ? busy : calm).push(p99);
  }
  const median = (list) => list.sort((left, right) => left - right)[Math.floor(list.length / 2)] ?? Number.NaN;
  const observed = await cluster.observe();
  figures.longestTurnCpuMs = observed.longestTurnMs;
  figures.p99MsWithoutCheckpoint = median(calm);
  figures.p99MsWithCheckpoint = median(busy);
  figures.residentMiB = Math.max(...cluster.pids.map(residentMiBOf));
  await client.$close();
  const [status] = await cluster.statuses();
  figures.checkpointBytes = status.checkpoint.bytes;
  figures.entriesBehindCheckpoint = status.executedIndex - status.checkpoint.index;
  await cluster.stop();
  figures.diskBytes = bytesOnDisk();
  figures.diskOfLive = figures.diskBytes / liveBytes;
  const begun = performance.now();
  cluster = await start();
  client = await connect(kv, { endpoints: cluster.endpoints });
  const got = await client.get(keyOf(keys - 1));
  figures.restartMs = performance.now() - begun;
  if (got?.value !== valueOf) throw new Error(`after the restart the last key holds ${JSON.stringify(got)}`);
  await client.$close();
} finally {
  await cluster.stop();
  rmSync(directory, { recursive: true, force: true });
}

if (process.argv.includes("--json")) console.log(JSON.stringify({ keys, replicas, ...figures }));
else {
  console.log(`${keys.toLocaleString("en")} keys of 100 bytes, ${replicas} replicas`);
  for (const [name, figure] of Object.entries(figures)) console.log(`  ${name.padEnd(26)} ${figure.toFixed(2)}`);
}
