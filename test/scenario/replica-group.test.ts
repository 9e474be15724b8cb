import { expect, test } from "vitest";

import { defaultLimits } from "../../src/api/config.js";
import { ReplicaGroup } from "../../test-support/replica-group.js";

test("a command through any replica is executed on all, and read through any other", async () => {
  const group = new ReplicaGroup(["a", "b", "c"]);
  const leader = group.untilLeader();
  const [follower, other] = group.ids.filter((id) => id !== leader);
  const added = group.door(follower ?? "").add("x");
  await group.pass(200);
  const read = [group.door(other ?? "").read("x"), group.door(leader).read("x")];
  await group.pass(300);

  expect(added).toEqual(["1"]);
  expect(read).toEqual([["1"], ["1"]]);
  expect(new Set(group.digests()).size).toBe(1);
});

test("C1: requests that wait when the leader dies are executed once, and answered, by the next", async () => {
  const group = new ReplicaGroup(["a", "b", "c"]);
  const leader = group.untilLeader();
  const follower = group.ids.find((id) => id !== leader) ?? "";
  const door = group.door(follower);
  const first = door.add("x");
  await group.pass(200);
  const pipelined = Array.from({ length: 50 }, () => door.add("x"));
  await group.pass(2);
  group.crash(leader);
  await group.pass(500);

  expect(first).toEqual(["1"]);
  expect(pipelined.map(([count]) => Number(count))).toEqual(Array.from({ length: 50 }, (_, at) => at + 2));
  group.start(leader);
  await group.pass(1500);
  expect(new Set(group.digests()).size).toBe(1);
});

test("a killed leader is replaced in well under 300 ms", () => {
  const gaps: number[] = [];
  for (let round = 0; round < 20; round += 1) {
    const group = new ReplicaGroup(["a", "b", "c"]);
    group.crash(group.untilLeader());
    const start = group.clock.monotonic();
    group.untilLeader();
    gaps.push(group.clock.monotonic() - start);
  }

  expect(Math.max(...gaps)).toBeLessThan(300);
});

test("E17: a leader whose disk fails steps aside with the reason, and another serves", async () => {
  const group = new ReplicaGroup(["a", "b", "c"]);
  const leader = group.untilLeader();
  const log = group.running.get(leader)?.log;
  if (log !== undefined) log.failing = true;
  const follower = group.ids.find((id) => id !== leader) ?? "";
  const added = group.door(follower).add("x");
  await group.pass(1500);

  expect(group.broken).toEqual([`${leader}: EIO`]);
  expect(added).toEqual(["1"]);
});

test("one replica alone serves", async () => {
  const group = new ReplicaGroup(["a"]);
  group.untilLeader();
  const door = group.door("a");
  const added = door.add("x");
  await group.pass(50);
  const read = door.read("x");
  await group.pass(50);

  expect([added, read]).toEqual([["1"], ["1"]]);
});

test("all crash at once and come back: everything acknowledged is there", async () => {
  const group = new ReplicaGroup(["a", "b", "c"]);
  const door = group.door(group.untilLeader());
  const added = Array.from({ length: 20 }, () => door.add("x"));
  await group.pass(300);
  for (const id of group.ids) group.crash(id);
  for (const id of group.ids) group.start(id);
  const read = group.door(group.untilLeader()).read("x");
  await group.pass(300);

  expect(added.at(-1)).toEqual(["20"]);
  expect(read).toEqual(["20"]);
});

test("P2: what memory no longer holds is delivered from disk, each entry once and in order", async () => {
  const execution = { ...defaultLimits.execution, deliveredBytesMax: 4096, requestsPerTurnMax: 4 };
  const group = new ReplicaGroup(["a", "b", "c"], { raft: { ...defaultLimits.raft, logCacheBytes: 2048 }, execution });
  const door = group.door(group.untilLeader());
  const added: string[][] = [];
  for (let round = 0; round < 100; round += 1) {
    added.push(door.add("x"));
    await group.pass(10);
  }
  await group.pass(500);
  const [restarted] = group.ids.filter((id) => id !== group.leader());
  group.crash(restarted ?? "");
  group.start(restarted ?? "");
  await group.pass(2000);

  expect(added.map(([count]) => Number(count))).toEqual(Array.from({ length: 100 }, (_, at) => at + 1));
  expect(new Set(group.digests()).size).toBe(1);
  // 100 batches, and what opened the term and the session.
  expect(group.running.get(restarted ?? "")?.core.status().executedIndex).toBeGreaterThanOrEqual(102);
});

test("any replica passes a transfer on to the leader, and commands that come meanwhile are executed once", async () => {
  const group = new ReplicaGroup(["a", "b", "c"]);
  const leader = group.untilLeader();
  const [target = "", other = ""] = group.ids.filter((id) => id !== leader);
  const doors = group.ids.map((id) => group.door(id));
  const early = doors.map((door) => door.add("x"));
  await group.pass(300);
  const outcomes: string[] = [];

  group.running.get(other)?.core.instruct({ kind: "transfer", to: target }, (outcome) => outcomes.push(outcome));
  const late = doors.flatMap((door) => Array.from({ length: 10 }, () => door.add("x")));
  await group.pass(500);

  expect(outcomes).toEqual(["done"]);
  expect(group.leader()).toBe(target);
  const counts = [...early, ...late].map(([count]) => Number(count));
  expect(counts.sort((left, right) => left - right)).toEqual(Array.from({ length: 33 }, (_, at) => at + 1));
});
