#!/usr/bin/env node
/**
 * Flips bits in the memory of simulated replicas until so many have flipped, and prints what came of them: `npm run soak:memory -- 1000`.
 *
 * Owns: counting. Leaves to others: flipping and judging (`src/sim/memory-faults.ts`, rule V27).
 */
import { simulateStandard } from "quorate/sim";

const wanted = Number(process.argv[2] ?? 1_000);
const byTarget = new Map();
let failed = 0;
let flipped = 0;
for (let seed = 1; flipped < wanted; seed += 1) {
  const { violation, flips } = simulateStandard({ seed, operations: 60, faults: ["memory"], untilMs: 4_000 });
  if (violation !== undefined) {
    failed += 1;
    console.error(`seed ${seed}: ${violation.rule} ${violation.fact}`);
  }
  for (const flip of flips) count(flip);
}
for (const [target, counts] of [...byTarget].sort(([left], [right]) => (left < right ? -1 : 1))) {
  const { found, verdict, checkpoint, stopped, gone, well, ms, all } = counts;
  ms.sort((left, right) => left - right);
  const at = (part) => Math.round(ms[Math.min(ms.length - 1, Math.floor(ms.length * part))] ?? 0);
  console.log(
    `${target.padEnd(9)} ${all} flipped, ${found} found (${verdict} by comparing, ${checkpoint} by a checkpoint, ${stopped} stopped by themselves), ${gone} gone before, ${well} well again; ms to find: half ${at(0.5)}, 99 % ${at(0.99)}, longest ${at(1)}`,
  );
}
console.log(`${flipped} flipped, ${failed} runs broke a rule`);
process.exitCode = failed === 0 ? 0 : 1;

function count({ target, at, namedAt, setAsideAt, wellAt, hasStopped }) {
  flipped += 1;
  const none = { all: 0, found: 0, verdict: 0, checkpoint: 0, stopped: 0, gone: 0, well: 0, ms: [] };
  const counts = byTarget.get(target) ?? none;
  byTarget.set(target, counts);
  counts.all += 1;
  if (wellAt !== undefined) counts.well += 1;
  const foundAt = Math.min(namedAt ?? Infinity, setAsideAt ?? Infinity);
  if (foundAt !== Infinity) {
    counts.found += 1;
    counts.ms.push(foundAt - at);
    counts[namedAt === undefined ? "checkpoint" : "verdict"] += 1;
  } else if (hasStopped) {
    counts.found += 1;
    counts.stopped += 1;
  } else if (wellAt !== undefined) counts.gone += 1;
}
