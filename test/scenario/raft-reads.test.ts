/** Hazards L1, L4 and L6: reads that were stale, reused, or never answered. */
import { expect, test } from "vitest";
import { waitingReadsMax } from "../../src/consensus/raft/reads.js";
import { RaftCluster } from "../../test-support/raft-cluster.js";
import { append, Core, i, t } from "../../test-support/raft-core.js";

const passedAt = (core: Core, barrier: number): number | undefined => {
  const found = core.history.find((effect) => effect.kind === "barrierPassed" && effect.id === barrier);
  return found?.kind === "barrierPassed" ? found.index : undefined;
};
const hasFailed = (core: Core, barrier: number): boolean =>
  core.history.some((effect) => effect.kind === "barrierFailed" && effect.id === barrier);

test("a new leader answers no read before its own term has committed something (L1)", () => {
  const leader = new Core({ voters: "abc", term: 1, log: [1, 1] }).elect("b").persisted();
  leader.input({ kind: "barrier", id: 1 }).acknowledged("b", 2, 1);
  expect(passedAt(leader, 1)).toBeUndefined();

  leader.acknowledged("b", 3, 1);
  expect(passedAt(leader, 1)).toBeUndefined(); // Committed, but the round that proves leadership began only now.
  leader.acknowledged("b", 3, 2);

  expect(passedAt(leader, 1)).toBe(3);
});

test("a round that began before the question proves nothing about it", () => {
  const leader = new Core({ voters: "abc" }).elect("b").persisted().acknowledged("b", 1, 1).tick(30);
  leader.input({ kind: "barrier", id: 1 });

  leader.acknowledged("b", 1, 2);
  expect(passedAt(leader, 1)).toBeUndefined();
  leader.acknowledged("b", 1, 3);

  expect(passedAt(leader, 1)).toBe(1);
});

test("questions that arrive while a round runs share the next one", () => {
  const leader = new Core({ voters: "abc" }).elect("b").persisted().acknowledged("b", 1, 1).forget();
  for (let barrier = 1; barrier <= 50; barrier += 1) leader.input({ kind: "barrier", id: barrier });
  expect(leader.sent("AppendEntries", "b").filter(({ round }) => round === 2)).toHaveLength(1);

  leader.acknowledged("b", 1, 2);
  expect(passedAt(leader, 1)).toBe(1);
  expect(passedAt(leader, 2)).toBeUndefined();
  leader.acknowledged("b", 1, 3);

  expect(passedAt(leader, 50)).toBe(1);
  expect(leader.sent("AppendEntries", "b")).toHaveLength(2);
});

test("one replica alone answers at once", () => {
  const solo = new Core({ voters: "a" }).tick(5).persisted();

  solo.input({ kind: "barrier", id: 1 });

  expect(passedAt(solo, 1)).toBe(1);
});

test("a follower asks with a new id for each try and takes no late answer for it (L4)", () => {
  const follower = new Core({ self: "b", voters: "abc", term: 1 })
    .receive("a", append(1, [0, 0], { entries: [1] }))
    .persisted();
  follower.input({ kind: "barrier", id: 1 });
  const first = follower.sent("ReadIndex")[0]?.id ?? 0;
  for (let passed = 0; passed < 400; passed += 30) follower.tick(30).receive("a", append(1, [1, 1], { round: passed }));
  expect(hasFailed(follower, 1)).toBe(true);

  follower.input({ kind: "barrier", id: 2 });
  const second = follower.sent("ReadIndex").at(-1)?.id ?? 0;
  follower.receive("a", { kind: "ReadIndexReply", term: t(1), id: first, index: i(1) });
  expect(second).not.toBe(first);
  expect(passedAt(follower, 2)).toBeUndefined();
  follower.receive("a", { kind: "ReadIndexReply", term: t(1), id: second, index: i(1) });

  expect(passedAt(follower, 2)).toBe(1);
});

test("a read fails, and does not hang, when its leader steps down (L6)", () => {
  const leader = new Core({ voters: "abc" }).elect("b").persisted().acknowledged("b", 1, 1);
  leader.input({ kind: "barrier", id: 1 }).input({ kind: "barrier", id: 2 });
  leader.receive("c", { kind: "ReadIndex", term: t(1), id: 77, byLease: false }).forget();

  leader.receive("b", append(2, [1, 1], { entries: [2] }));

  expect(hasFailed(leader, 1) && hasFailed(leader, 2)).toBe(true);
  expect(leader.sent("ReadIndexReply", "c")).toMatchObject([{ id: 77, index: undefined }]);
});

test("a read that was passed on fails when its leader changes, is lost, or does not answer (L6)", () => {
  const events: ((follower: Core) => void)[] = [
    (follower) => follower.receive("c", append(2, [0, 0], { entries: [2] })),
    (follower) => follower.input({ kind: "disconnected", peer: "a" }),
    (follower) => follower.pass(400),
    (follower) => {
      const asked = follower.sent("ReadIndex")[0]?.id ?? 0;
      follower.receive("a", { kind: "ReadIndexReply", term: t(1), id: asked, index: undefined });
    },
  ];
  for (const happens of events) {
    const follower = new Core({ self: "b", voters: "abc", term: 1 })
      .receive("a", append(1, [0, 0], { entries: [1] }))
      .persisted();
    follower.input({ kind: "barrier", id: 1 });
    expect(hasFailed(follower, 1)).toBe(false);

    happens(follower);

    expect(hasFailed(follower, 1)).toBe(true);
  }
});

test("a read without a known leader, or beyond the limit, fails at once (L6)", () => {
  const lonely = new Core({ voters: "abc" }).input({ kind: "barrier", id: 1 });
  expect(hasFailed(lonely, 1)).toBe(true);

  const leader = new Core({ voters: "abc" }).elect("b").persisted();
  for (let barrier = 1; barrier <= waitingReadsMax + 1; barrier += 1) leader.input({ kind: "barrier", id: barrier });
  expect(hasFailed(leader, waitingReadsMax)).toBe(false);
  expect(hasFailed(leader, waitingReadsMax + 1)).toBe(true);
});

test("a replica that does not lead refuses a forwarded read instead of dropping it (L6)", () => {
  const follower = new Core({ self: "b", voters: "abc" }).receive("c", {
    kind: "ReadIndex",
    term: t(0),
    id: 5,
    byLease: false,
  });

  expect(follower.sent("ReadIndexReply", "c")).toMatchObject([{ id: 5, index: undefined }]);
});

test("every read in a cluster with a changing leader is answered, and none is stale (L6)", () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const cluster = new RaftCluster({ replicas: 3, seed, network: { delayMs: [0.5, 10] } });
    cluster.untilLeader();
    for (let round = 0; round < 20; round += 1) {
      for (const at of cluster.leading) cluster.submit(at, `${round}`);
      for (const at of cluster.replicas) if (cluster.isAlive(at)) cluster.barrier(at);
      if (round % 7 === 3) cluster.crash(cluster.leading[0] ?? "a");
      cluster.run(60);
      for (const at of cluster.replicas) cluster.restart(at);
    }
    cluster.run(1000);

    const open = cluster.barriers.filter(
      ({ at, outcome }) => outcome === undefined && cluster.state(at).forwarded.size > 0,
    );
    expect(open, `seed ${seed}`).toEqual([]);
    expect(cluster.barriers.filter(({ outcome }) => outcome?.kind === "passed").length).toBeGreaterThan(20);
  }
});
