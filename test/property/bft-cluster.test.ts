/** Whole clusters of PBFT cores under random faults, each from one seed; every failure names its seed, and the seed repeats it. */
import { expect, test } from "vitest";
import { nextBetween, nextFraction, randomStream } from "../../src/base/random.js";
import { BftCluster } from "../../test-support/bft-cluster.js";
import { liars } from "../../test-support/bft-liars.js";

const seedCount = Number(process.env["BFT_SEEDS"] ?? 40);

function clusterFor(seed: number): BftCluster {
  const random = randomStream(seed, "options");
  const replicas = nextBetween(random, 4, 7);
  const faulty = nextFraction(random) < 0.8;
  return new BftCluster({
    ...{ replicas, seed },
    loss: faulty ? nextFraction(random) * 0.2 : 0,
    duplication: faulty ? 0.1 : 0,
    delayMs: [0.5, faulty ? nextBetween(random, 2, 40) : 3],
    diskMs: [0, nextBetween(random, 1, 30)],
  });
}

/** Something breaks or mends, and clients ask. */
function trouble(cluster: BftCluster, seed: number, number: () => number): void {
  const random = randomStream(seed, "nemesis");
  const names = cluster.members.map(({ name }) => name);
  const pick = (): string => names[nextBetween(random, 0, names.length - 1)] ?? "a";
  for (let round = 0; round < 12; round += 1) {
    const act = nextBetween(random, 0, 9);
    if (act <= 1) cluster.crash(pick());
    else if (act === 2) for (const name of names) if (nextFraction(random) < 0.5) cluster.crash(name);
    if (act === 3) {
      const inside = names.filter(() => nextFraction(random) < 0.6);
      cluster.partition([inside, names.filter((name) => !inside.includes(name))]);
    } else if (act === 4) cluster.block(pick(), pick());
    else if (act >= 6) cluster.heal();
    for (const name of names) if (nextFraction(random) < 0.5) cluster.restart(name);
    for (const client of ["x", "y"]) if (nextFraction(random) < 0.7) cluster.submit(client, number());
    cluster.run(nextBetween(random, 5, 150));
  }
}

function recover(cluster: BftCluster, seed: number): void {
  cluster.heal().calm();
  for (const { name } of cluster.members) cluster.restart(name);
  cluster.submit("healed", seed);
  cluster.until(() => cluster.isExecutedByAll(`healed:${seed}`), 30_000);
}

test(`${seedCount} clusters under crashes and partitions agree, and go on once healed`, () => {
  let decided = 0;
  for (let seed = 1; seed <= seedCount; seed += 1) {
    let number = 0;
    const cluster = clusterFor(seed);
    trouble(cluster, seed, () => (number += 1));
    recover(cluster, seed);
    decided += cluster.decided.size;
  }

  // The faults leave room for work: otherwise nothing was tested.
  expect(decided).toBeGreaterThan(seedCount * 3);
});

/** Up to f replicas lie, each in its own way, from the beginning to after the end of all other trouble. */
function corruptSome(cluster: BftCluster, seed: number): void {
  const kinds = Object.entries(liars);
  const random = randomStream(seed, "liars");
  const first = nextBetween(random, 0, cluster.ids.length - 1);
  for (let count = 0; count < cluster.faults; count += 1) {
    const [, make] = kinds[(seed + count * nextBetween(random, 1, kinds.length)) % kinds.length] ?? [];
    const id = cluster.ids[(first + count) % cluster.ids.length];
    if (id !== undefined && make !== undefined) cluster.corrupt(id, make());
  }
}

test(`${seedCount} clusters with up to f liars agree, accuse nobody correct, and go on once healed`, () => {
  let decided = 0;
  let accused = 0;
  for (let seed = 1; seed <= seedCount; seed += 1) {
    let number = 0;
    const cluster = clusterFor(seed);
    corruptSome(cluster, seed);
    trouble(cluster, seed, () => (number += 1));
    recover(cluster, seed);
    decided += cluster.decided.size;
    accused += cluster.evidence.length;
  }

  expect(decided).toBeGreaterThan(seedCount * 3);
  expect(accused).toBeGreaterThan(0);
});

for (const [name, make] of Object.entries(liars)) {
  test(`one of four that is ${name}, as primary or as backup, keeps no client waiting for ever`, () => {
    for (const id of ["a", "b", "c"]) {
      const cluster = new BftCluster({ replicas: 4, seed: 1 }).corrupt(id, make());
      for (let number = 1; number <= 12; number += 1) {
        cluster.submit("x", number).submit("y", number).run(30);
      }
      cluster.until(() => [1, 6, 12].every((number) => cluster.isExecutedByAll(`x:${number}`)), 10_000);
    }
  });
}

/** Hazard B20: each twin takes part on its own side of partitions that change, and remembers what the other never knew. */
function separateTwins(cluster: BftCluster, seed: number, number: () => number): void {
  const random = randomStream(seed, "twins");
  const names = cluster.members.map(({ name }) => name);
  for (let round = 0; round < 12; round += 1) {
    cluster.heal();
    const groups: [string[], string[]] = [[], []];
    for (const name of names) groups[nextBetween(random, 0, 1)]?.push(name);
    if (nextFraction(random) < 0.85) cluster.partition(groups);
    for (const client of ["x", "y"]) cluster.submit(client, number());
    cluster.run(nextBetween(random, 20, 250));
  }
}

test(`${seedCount} clusters in which f replicas run twice agree, and go on once healed`, () => {
  let decided = 0;
  for (let seed = 1; seed <= seedCount; seed += 1) {
    let number = 0;
    const cluster = clusterFor(seed);
    for (let count = 0; count < cluster.faults; count += 1) {
      const id = cluster.ids[(seed + count) % cluster.ids.length];
      if (id !== undefined) cluster.twin(id);
    }
    separateTwins(cluster, seed, () => (number += 1));
    recover(cluster, seed);
    decided += cluster.decided.size;
  }

  expect(decided).toBeGreaterThan(seedCount * 3);
});
