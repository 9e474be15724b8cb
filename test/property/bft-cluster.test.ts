/** Whole clusters of PBFT cores under random faults, each from one seed; every failure names its seed, and the seed repeats it. */
import { expect, test } from "vitest";
import {
  runChanges,
  runCrashes,
  runHostileClients,
  runLiars,
  runMutations,
  runTwins,
  type BftRun,
  type BftRunKind,
} from "../../test-support/bft-runs.js";

const seedCount = Number(process.env["BFT_SEEDS"] ?? 40);

/** The faults leave room for work: otherwise nothing was tested. */
function sweep(run: BftRunKind, count = seedCount): BftRun {
  const total = { decided: 0, accused: 0 };
  for (let seed = 1; seed <= count; seed += 1) {
    const { decided, accused } = run(seed);
    total.decided += decided;
    total.accused += accused;
  }
  expect(total.decided).toBeGreaterThan(count * 3);
  return total;
}

test(`${seedCount} clusters under crashes and partitions agree, and go on once healed`, () => {
  expect(sweep(runCrashes).accused).toBe(0);
});

test(`${seedCount} clusters with up to f liars agree, accuse nobody correct, and go on once healed`, () => {
  expect(sweep(runLiars).accused).toBeGreaterThan(0);
});

test(`B20: ${seedCount} clusters in which f replicas run twice agree, and go on once healed`, () => {
  expect(sweep(runTwins).accused).toBeGreaterThan(0);
});

test(`${seedCount} clusters in which f replicas change what they should send agree, and go on once healed`, () => {
  expect(sweep(runMutations).accused).toBeGreaterThan(0);
});

test(`B13, B21: ${seedCount} clusters whose clients lie as well agree, and serve who asks as it should`, () => {
  sweep(runHostileClients);
});

/** Each is as long as several of the others. */
const changingCount = Math.ceil(seedCount / 4);

test(`M12: ${changingCount} clusters whose members change under faults agree, and go on with those who are members`, () => {
  sweep(runChanges, changingCount);
});
