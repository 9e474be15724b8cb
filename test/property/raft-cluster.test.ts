/** Whole clusters under random faults, each from one seed; every failure names its seed, and the seed repeats it. */
import { expect, test } from "vitest";
import { nextBetween, nextFraction, randomStream } from "../../src/base/random.js";
import { RaftCluster, type ClusterOptions } from "../../test-support/raft-cluster.js";

const seedCount = 300;

function optionsFor(seed: number): ClusterOptions {
  const random = randomStream(seed, "options");
  const replicas = [1, 3, 3, 3, 5, 5][nextBetween(random, 0, 5)] ?? 3;
  const faulty = nextFraction(random) < 0.7;
  return {
    ...{ replicas, seed, learners: nextBetween(random, 0, 3) === 0 ? 1 : 0 },
    ...{ links: nextFraction(random) < 0.5, wire: nextFraction(random) < 0.3, tailCount: nextBetween(random, 1, 20) },
    diskMs: nextFraction(random) < 0.5 ? [0.2, 1] : [1, 40],
    settings: { logCacheBytes: 600, appendBytesMax: 400, inflightBytesMax: 1500, inflightCountMax: 4 },
    network: faulty
      ? {
          delayMs: [0.5, nextBetween(random, 1, 60)],
          loss: nextFraction(random) * 0.2,
          duplication: 0.1,
          reorder: nextFraction(random) < 0.5,
        }
      : {},
  };
}

/** Half a second of trouble at a time: something breaks or mends, and clients write and read at everyone who would take it. */
function trouble(cluster: RaftCluster, seed: number): void {
  const random = randomStream(seed, "nemesis");
  const pick = (): string => cluster.replicas[nextBetween(random, 0, cluster.replicas.length - 1)] ?? "a";
  for (let round = 0; round < 20; round += 1) {
    const act = nextBetween(random, 0, 11);
    const victim = pick();
    if (act <= 2) cluster.crash(victim);
    else if (act === 3) cluster.cutOff([victim]);
    else if (act === 4) cluster.block(victim, pick());
    else if (act === 5) cluster.heal();
    else if (act === 6) cluster.stallDisk(victim);
    else if (act <= 8) cluster.urge(victim, 100).urge(pick(), 100);
    for (const id of cluster.replicas) {
      if (nextFraction(random) < 0.5) cluster.restart(id);
      if (nextFraction(random) < 0.3) cluster.releaseDisk(id);
    }
    for (let burst = 0; burst < 5; burst += 1) {
      for (const id of cluster.leading) cluster.submit(id, `${round}.${burst}.${id}`, `${round}.${burst}.${id}'`);
      const asked = pick();
      if (cluster.isAlive(asked)) cluster.barrier(asked);
      cluster.run(nextBetween(random, 1, 40));
    }
  }
}

function recover(cluster: RaftCluster): void {
  cluster.heal().calm();
  for (const id of cluster.replicas) {
    cluster.restart(id);
    cluster.releaseDisk(id);
  }
}

test(`${seedCount} clusters under random faults keep every safety rule and go on once healed`, () => {
  let decided = 0;
  let passed = 0;
  for (let seed = 1; seed <= seedCount; seed += 1) {
    const cluster = new RaftCluster(optionsFor(seed));
    trouble(cluster, seed);
    recover(cluster);

    cluster.run(400);
    const leader = cluster.untilLeader({ limitMs: 1_500 });
    cluster.submit(leader, "healed").untilExecuted("healed", 1_000);
    const read = cluster.barrier(leader);
    cluster.run(100);
    expect(read.outcome?.kind, `seed ${seed}`).toBe("passed");
    cluster.checkLogMatching();
    const orders = cluster.replicas.map((id) => cluster.executed(id).join(" "));
    expect(new Set(orders).size, `seed ${seed}`).toBe(1);
    decided += cluster.decided.length;
    passed += cluster.barriers.filter(({ outcome }) => outcome?.kind === "passed").length;
  }

  // The faults leave room for work: otherwise nothing was tested.
  expect(decided).toBeGreaterThan(seedCount * 20);
  expect(passed).toBeGreaterThan(seedCount * 5);
});
