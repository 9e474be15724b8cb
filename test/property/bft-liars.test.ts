/** Each named Byzantine behaviour, alone and with another, as primary and as backup: it deceives nobody and stops nothing. */
import { describe, expect, test } from "vitest";
import { BftCluster } from "../../test-support/bft-cluster.js";
import { liarNamed, liars } from "../../src/sim/liars/named.js";
import { runNamed, underLoad } from "../../test-support/bft-runs.js";

test("there are at least forty, each with a name of its own", () => {
  expect(new Set(liars.map(({ name }) => name)).size).toBe(liars.length);
  expect(liars.length).toBeGreaterThanOrEqual(40);
});

for (const [place, { name, hazard }] of liars.entries()) {
  const id = hazard === undefined ? "" : `${hazard}: `;
  test(`${id}one of four that is ${name}, as primary or as backup, keeps no client waiting for ever`, () => {
    const lied = [0, 1, 2].map((first) => runNamed([name], 4, first).lied.has(name));
    expect(lied).toContain(true);
  });

  const other = liars[(place * 7 + 3) % liars.length]?.name ?? name;
  test(`two of seven that are ${name} and ${other}, or ${name} both, keep no client waiting for ever`, () => {
    runNamed([name, other], 7, place % 2);
    runNamed([name, name], 7, place % 2);
  });
}

for (const clients of [1, 4]) {
  test(`B14: a primary that turns slow is replaced, and ${clients} clients are served as before`, () => {
    const cluster = new BftCluster({ replicas: 4, seed: 3 });
    const before = underLoad(cluster, clients, 2000);
    cluster.corrupt("a", liarNamed("slowPrimary"));
    cluster.until(() => {
      underLoad(cluster, clients, 100);
      return cluster.correct.every(({ state }) => state.view > 0 && !state.isChanging);
    }, 4000);

    expect(underLoad(cluster, clients, 2000)).toBeGreaterThan(before * 0.9);
  });
}

test("B14: correct primaries stay while loads of every shape come and go", () => {
  const loads = [
    { clients: 1 },
    { clients: 12 },
    { clients: 3, thinkMs: 100 },
    { clients: 30 },
    { clients: 1, thinkMs: 500 },
    { clients: 2, thinkMs: 20 },
    { clients: 1 },
  ];
  for (let seed = 1; seed <= 9; seed += 1) {
    const slowMs = [3, 10, 20][seed % 3] ?? 3;
    const settings = { requestTimeoutMs: 800, requestTimeoutMsMax: 6400 };
    const cluster = new BftCluster({ replicas: 4, seed, delayMs: [0.5, slowMs], diskMs: [0, slowMs], settings });
    for (const { clients, thinkMs } of loads) expect(underLoad(cluster, clients, 2500, thinkMs)).toBeGreaterThan(0);
    expect(cluster.correct.map(({ state }) => state.view)).toEqual([0, 0, 0, 0]);
  }
});

test("B25: two of four that conspire split the others, which is noticed, and the primary is proved to have lied", () => {
  for (let seed = 1; seed <= 5; seed += 1) {
    const cluster = new BftCluster({ replicas: 4, seed });
    for (const id of ["a", "b"]) cluster.corrupt(id, liarNamed("conspiring"));
    expect(() => cluster.submit("x", 1).run(100)).toThrow("another has");
    // What was said already still arrives; that they differ is noticed each time.
    for (let more = 0; more < 20 && cluster.evidence.length === 0; more += 1) {
      try {
        cluster.run(10);
      } catch (error) {
        expect(String(error)).toContain("another has");
      }
    }
    expect(new Set(cluster.evidence.map(({ by }) => by))).toEqual(new Set(["a"]));
  }
});

describe("a client that asks", () => {
  const clusterOf = (): BftCluster => new BftCluster({ replicas: 4, seed: 5 });
  const isKept = (cluster: BftCluster): boolean => cluster.correct.every(({ state }) => state.view === 0);

  test("B13: everybody but the primary is served, and the primary stays", () => {
    const cluster = clusterOf().submit("x", 1, ["b", "c", "d"]);
    cluster.until(() => cluster.isExecutedByAll("x:1"), 1000);
    expect(isKept(cluster)).toBe(true);
  });

  test("B13: one backup alone is served, and no view changes", () => {
    const cluster = clusterOf();
    for (let number = 1; number <= 8; number += 1) cluster.submit("x", number, ["c"]);
    cluster.until(() => [1, 8].every((number) => cluster.isExecutedByAll(`x:${number}`)), 2000);
    expect(isKept(cluster)).toBe(true);
  });

  test("each replica for something else under one number gets it all, in one order", () => {
    const cluster = clusterOf();
    for (const id of cluster.ids) cluster.submit("x", `1 to ${id}`, [id]);
    cluster.until(() => cluster.ids.every((id) => cluster.isExecutedByAll(`x:1 to ${id}`)), 2000);
    expect(isKept(cluster)).toBe(true);
    expect(new Set(cluster.members.map(({ log }) => log.join())).size).toBe(1);
  });

  test("B21: for far more than is watched keeps no other client waiting for ever", () => {
    const cluster = clusterOf();
    for (let number = 1; number <= 300; number += 1) cluster.submit("flood", number);
    cluster.run(20).submit("good", 1);
    cluster.until(() => cluster.isExecutedByAll("good:1"), 2000);
    for (const { state } of cluster.correct) expect(state.waiting.get("flood")?.size ?? 0).toBeLessThanOrEqual(8);
  });
});
