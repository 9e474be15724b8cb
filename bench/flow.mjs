/**
 * Flow control: what a follower that stands still, is slow or is away costs the others, and how it comes back: `npm run bench:flow`.
 *
 * `--entries 20000` of the log are written meanwhile, as fast as it goes, by `--outstanding 64` writes of `--bytes 4096` to `--keys 1000`; `--ways
 * paused,slow,killed`; what a write takes is told for the time before, meanwhile, and while the follower catches up (fetches a checkpoint);
 * `--single` puts each write into an entry of its own; `--memory 256` lets no process take more MiB, of which half for JavaScript's own memory.
 * Prints one table, with `--json` one line of JSON for each way. Ends with 1 if a demand of `test-support/faults/stall.mjs` failed. Run it on a quiet machine.
 */
import { parseArgs } from "node:util";
import { stallFollower } from "../test-support/faults/stall.mjs";

const { values } = parseArgs({
  options: {
    ways: { type: "string", default: "paused,slow,killed" },
    entries: { type: "string", default: "20000" },
    bytes: { type: "string", default: "4096" },
    outstanding: { type: "string", default: "64" },
    keys: { type: "string", default: "1000" },
    memory: { type: "string" },
    single: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
// A process that stands still would outlive us: ending by `exit` kills it.
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));

const limits = values.single ? { admission: { batchCountMax: 1, pipelineMax: 64 } } : {};

const residentMiB = values.memory === undefined ? undefined : Number(values.memory);
const memory = residentMiB === undefined ? undefined : { residentMiB, heapMiB: Math.floor(residentMiB / 2) };

const rows = [];
for (const way of values.ways.split(",")) {
  const entries = Number(values.entries);
  const plan = {
    way,
    entries,
    calmEntries: Math.min(entries, 20_000),
    valueBytes: Number(values.bytes),
    keys: Number(values.keys),
    limits,
    memory,
  };
  const told = await stallFollower({ ...plan, outstanding: Number(values.outstanding) });
  if (values.json) console.log(JSON.stringify(told));
  for (const line of told.wrong) console.error(`FAILED: ${way}: ${line}`);
  if (told.wrong.length > 0) process.exitCode = 1;
  const { whole, without, catchingUp, leaderResidentMiB } = told;
  rows.push({
    follower: way,
    "writes/s before": whole.writesPerSecond,
    meanwhile: without.writesPerSecond,
    "p99 ms before": whole.p99Ms,
    "meanwhile p99": without.p99Ms,
    "catching up p99": catchingUp.p99Ms,
    "in flight MiB": mebibytes(told.inFlightBytesMost),
    "queued MiB": mebibytes(told.queuedBytesMost),
    "leader RSS MiB before": leaderResidentMiB.before,
    "first half": leaderResidentMiB.firstHalf,
    "second half": leaderResidentMiB.secondHalf,
    "most of any": Math.max(...Object.values(told.residentMiBMost)),
    "entries behind": catchingUp.behind,
    "caught up in s": catchingUp.seconds,
    "entries/s caught": catchingUp.caughtPerSecond,
    "written meanwhile": catchingUp.entriesPerSecond,
    checkpoints: catchingUp.checkpointsFetched,
  });
}
if (!values.json) console.table(rows);

function mebibytes(bytes) {
  return Math.round((bytes / 1_048_576) * 10) / 10;
}
