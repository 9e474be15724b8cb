/**
 * The stories of faults with real processes at length: `npm run soak:faults -- [story …] [--rounds 10] [--seed 1]`.
 *
 * Prints one line of JSON for each story, and ends with 1 if a demand failed. The stories are told in
 * `test-support/faults/`; `test/e2e/faults.test.ts` tells each once, shortly.
 */
import { parseArgs } from "node:util";
import { stallFollower } from "../test-support/faults/stall.mjs";
import { flipBits } from "../test-support/faults/flip.mjs";
import * as stories from "../test-support/faults/stories.mjs";

/** What a story is given for so many rounds. */
const told = {
  pauseLeader: (rounds) => ({ rounds }),
  pauseLeaderWithLeases: (rounds) => ({ rounds, read: "lease" }),
  walkMembers: (rounds, seed) => ({ rounds: Math.ceil(rounds / 5), seed }),
  killAll: (rounds, seed) => ({ rounds: 3 * rounds, seed }),
  flipBits: (rounds, seed) => ({ trials: 5 * rounds, seed }),
  /** A million entries for ten rounds, each of one small write, so that its log is given back long before it returns. */
  missMany: (rounds) => ({
    way: "killed",
    entries: 100_000 * rounds,
    calmEntries: 5_000,
    valueBytes: 100,
    outstanding: 512,
    limits: { admission: { batchCountMax: 1, pipelineMax: 64 } },
  }),
  /** Full load for some minutes, of which one follower bears a tenth, and no process may ever have more than this (hazard F1). */
  smallMemory: (rounds) => ({ way: "slow", entries: 2_000 * rounds, memory: { heapMiB: 128, residentMiB: 256 } }),
};

const functions = {
  ...stories,
  pauseLeaderWithLeases: stories.pauseLeader,
  missMany: stallFollower,
  smallMemory: stallFollower,
  flipBits,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string", default: "10" }, seed: { type: "string", default: String(process.pid) } },
});
// A process that stands still would outlive us: ending by `exit` kills it.
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));

const names = positionals.length === 0 ? Object.keys(told) : positionals;
const unknown = names.filter((name) => !(name in told));
if (unknown.length > 0)
  throw new Error(`Cannot tell ${unknown.join(", ")}: the stories are ${Object.keys(told).join(", ")}`);
const seed = Number(values.seed);
for (const name of names) {
  const begun = performance.now();
  const { wrong, ...figures } = await functions[name](told[name](Number(values.rounds), seed));
  const seconds = Math.round((performance.now() - begun) / 1000);
  console.log(JSON.stringify({ story: name, seed, seconds, ...figures, wrong }));
  if (wrong.length > 0) process.exitCode = 1;
}
