/**
 * Writes a log for as long as it is let to live; started and killed by test/e2e/storage-kill.test.ts.
 * Says on standard output, synchronously, the last index that was acknowledged. Arguments: data directory, segment bytes.
 */
import { writeSync } from "node:fs";

// A process of its own runs what is built; `npm test` builds first.
const built = (path) => import(new URL(`../dist/${path}`, import.meta.url).href);
const { createNodeClock } = await built("node/clock.js");
const { nodeDisk } = await built("node/disk.js");
const { nodeHash } = await built("node/hash.js");
const { openDataDirectory } = await built("storage/data-dir.js");
const { openLog } = await built("storage/wal.js");

const [path, segmentBytes] = [process.argv[2], Number(process.argv[3])];
const membership = { members: [] };
const directory = openDataDirectory({
  disk: nodeDisk,
  hash: nodeHash,
  path,
  clusterId: "kill",
  replicaId: "a",
  machine: "kv",
  segmentBytes,
  bootstrap: { membership, incarnation: 1, entropy: new Uint8Array([8, 7, 6, 5, 4, 3, 2, 1]) },
});
if (directory.kind === "refused") throw new Error(directory.message);
const opened = openLog({
  disk: nodeDisk,
  hash: nodeHash,
  clock: createNodeClock(),
  directory: path,
  logIdentity: directory.identity.logIdentity,
  segmentBytes,
  groupsInFlightMax: 3,
  reserveBytes: 65_536,
  cacheBytes: 65_536,
});
if (opened.kind === "refused") throw new Error(opened.message);
const { log, recovered } = opened;
if (recovered.amnesia !== undefined || recovered.damaged.length > 0)
  throw new Error("a killed process damages nothing");

let next = recovered.lastIndex;
let id = 0;
const term = directory.identity.starts;
writeSync(1, `start ${term} ${next}\n`);
const more = (hardState) => {
  const entries = Array.from({ length: 1 + (next % 3) }, () => entryAfter());
  const last = next;
  log.write({ id: (id += 1), hardState, truncateFrom: undefined, entries }, (failure) => {
    if (failure !== undefined) throw new Error(failure.message);
    writeSync(1, `acknowledged ${last}\n`);
    more(undefined);
  });
};
for (let count = 0; count < 6; count += 1) more(count === 0 ? { term, votedFor: "a" } : undefined);

/** The payload repeats its index, so that a reader can tell a wrong one. */
function entryAfter() {
  next += 1;
  const payload = new Uint8Array(100 + ((next * 7919) % 4000)).fill(next % 251);
  return { index: next, term, kind: "batch", time: next, payload };
}
