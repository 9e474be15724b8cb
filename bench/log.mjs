/**
 * The log by itself on this disk: how long a write takes, how many a second, and how fast a log is recovered.
 *
 * Owns: the figures in docs/internals/storage.md that compare one group in flight with several. Run after a build:
 * `node bench/log.mjs [directory]`.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";

const built = (path) => import(new URL(`../dist/${path}`, import.meta.url).href);
const { createNodeClock } = await built("node/clock.js");
const { nodeDisk } = await built("node/disk.js");
const { nodeHash } = await built("node/hash.js");
const { openDataDirectory } = await built("storage/data-dir.js");
const { openLog } = await built("storage/wal.js");

const segmentBytes = 16 * 1024 * 1024;
const root = mkdtempSync(join(process.argv[2] ?? tmpdir(), "quorate-bench-log-"));
console.log(
  "groups in flight | outstanding | bytes | p50 µs | p99 µs | writes/s | writes per flush | CPU µs per write",
);
for (const outstanding of [1, 4, 32]) {
  for (const groupsInFlightMax of [1, 2, 3])
    await run({ groupsInFlightMax, outstanding, bytes: 4096, writeCount: 3000 });
}
await recover();
rmSync(root, { recursive: true });

function open(path, groupsInFlightMax) {
  const bootstrap = { membership: { members: [] }, incarnation: 1, entropy: randomBytes(8) };
  const common = { disk: nodeDisk, hash: nodeHash, segmentBytes };
  const directory = openDataDirectory({ ...common, path, clusterId: "bench", replicaId: "a", bootstrap });
  if (directory.kind === "refused") throw new Error(directory.message);
  const { logIdentity } = directory.identity;
  const clock = createNodeClock();
  const opened = openLog({
    ...common,
    clock,
    directory: path,
    logIdentity,
    groupsInFlightMax,
    reserveBytes: 1 << 20,
    cacheBytes: 1 << 20,
  });
  if (opened.kind === "refused") throw new Error(opened.message);
  return { ...opened, release: () => directory.release() };
}

async function run({ groupsInFlightMax, outstanding, bytes, writeCount }) {
  const { log, recovered, release } = open(join(root, "data"), groupsInFlightMax);
  const payload = randomBytes(bytes);
  const times = [];
  let index = recovered.lastIndex;
  let begun = 0;
  const start = performance.now();
  const cpuStart = process.cpuUsage();
  await new Promise((resolve) => {
    const next = () => {
      if (begun === writeCount) return times.length === writeCount ? resolve() : undefined;
      const from = performance.now();
      const entry = { index: (index += 1), term: 0, kind: "batch", time: 1, payload };
      log.write({ id: (begun += 1), hardState: undefined, truncateFrom: undefined, entries: [entry] }, (failure) => {
        if (failure !== undefined) throw new Error(failure.message);
        times.push((performance.now() - from) * 1000);
        next();
      });
    };
    for (let count = 0; count < outstanding; count += 1) next();
  });
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpuStart);
  times.sort((left, right) => left - right);
  const [p50, p99] = [0.5, 0.99].map((share) => times[Math.floor(times.length * share)].toFixed(0));
  const perFlush = (writeCount / log.statistics.syncs).toFixed(1);
  const cpu = ((user + system) / writeCount).toFixed(0);
  console.log(
    [groupsInFlightMax, outstanding, bytes, p50, p99, (writeCount / seconds).toFixed(0), perFlush, cpu].join(" | "),
  );
  await new Promise((resolve) => log.close(resolve));
  release();
}

async function recover() {
  const start = performance.now();
  const { log, recovered, release } = open(join(root, "data"), 1);
  const seconds = (performance.now() - start) / 1000;
  const megabytes = (recovered.lastIndex * (4096 + 128)) / 1e6;
  console.log(
    `recovered ${megabytes.toFixed(0)} MB in ${seconds.toFixed(2)} s: ${(megabytes / seconds).toFixed(0)} MB/s`,
  );
  await new Promise((resolve) => log.close(resolve));
  release();
}
