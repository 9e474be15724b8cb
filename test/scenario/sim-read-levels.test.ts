/** Levels of reads, told of whole clusters: leases within their bound and beyond it (L2, L3), and reads of a replica's own state (L5, L6). */
import { expect, test } from "vitest";

import type { ReplicaId } from "../../src/model/ids.js";
import type { Operation } from "../../src/sim/operation.js";
import type { AskedRead } from "../../src/sim/workload.js";
import { clientOf, groupWithClients, type Story } from "../../test-support/sim-stories.js";

const lease = { durationMs: 1_000, clockDriftPercentMax: 10 };

function write(group: Story, at: ReplicaId, value: number): Operation {
  return group.ask({ command: "write", input: { key: "x", value } }, { from: clientOf(group, at) });
}

function read(group: Story, at: ReplicaId, level: AskedRead): Operation {
  return group.ask({ query: "read", read: level, input: { key: "x" } }, { from: clientOf(group, at) });
}

/** The index and the age that an answer came with. */
function detailOf({ end }: Operation): { readonly index: number; readonly ageMs: number } {
  if (end?.kind !== "read") throw new Error(`The query ended as ${end?.kind}`);
  return end;
}

/** Cuts the leader off with its client, asks it by lease again and again, and lets the others go on. */
function readWhileDeposed(group: Story, deposed: ReplicaId): readonly Operation[] {
  const asked: Operation[] = [];
  group.cutOff([deposed, `c${clientOf(group, deposed)}`]);
  group.until("another leader", () => {
    asked.push(read(group, deposed, "lease"));
    return group.others(deposed).some((id) => group.raft(id).role.kind === "leader");
  });
  group.untilEnded([write(group, group.untilLeader({ not: deposed }), 2)]);
  for (let tries = 0; tries < 20; tries += 1) {
    asked.push(read(group, deposed, "lease"));
    group.pass(50);
  }
  return asked;
}

function groupWithLeader(options: Parameters<typeof groupWithClients>[0]): readonly [Story, ReplicaId] {
  const group = groupWithClients(options);
  const leader = group.untilLeader();
  group.untilEnded([write(group, leader, 1)]);
  return [group.untilQuiet().pass(200), leader];
}

test("L2: a leader that is cut off answers by its lease, and never after another leads, as long as clocks keep their bound", () => {
  for (let seed = 1; seed <= 3; seed += 1) {
    const [group, slow] = groupWithLeader({ seed, limits: { lease } });
    group.clock(slow, { rate: 0.9, wallOffsetMs: 0 });
    for (const id of group.others(slow)) group.clock(id, { rate: 1.1, wallOffsetMs: 0 });

    const asked = readWhileDeposed(group, slow);

    expect(asked[0]?.end).toMatchObject({ kind: "read" });
    expect(asked.at(-1)?.end).toBeUndefined();
    group.heal().untilQuiet().conclude();
  }
});

test("L2: a clock beyond the stated bound is out of the model: a read by lease may be stale, and the judge says so", () => {
  const [group, slow] = groupWithLeader({ seed: 1, limits: { lease } });
  group.clock(slow, { rate: 1 / 3, wallOffsetMs: 0 });

  expect(() => readWhileDeposed(group, slow)).toThrow(/V10|V19/);
});

test("L2: with leases off a read by lease is proved by a round, whatever the clocks say", () => {
  const [group, slow] = groupWithLeader({ seed: 1 });
  group.clock(slow, { rate: 1 / 3, wallOffsetMs: 0 });

  const asked = readWhileDeposed(group, slow);

  expect(asked.every(({ end }) => end === undefined || end.kind === "refused")).toBe(true);
  group.heal().untilQuiet().conclude();
});

test("L2: a voter that starts again keeps the promise that it may have made before", () => {
  const [group, leader] = groupWithLeader({ seed: 1, limits: { lease } });
  const others = group.others(leader);

  group.cutOff([leader, `c${clientOf(group, leader)}`]).restart(...others);
  const restartedAt = group.world.scheduler.now;
  group.until("another leader", () => others.some((id) => group.raft(id).role.kind === "leader"));

  expect(group.world.scheduler.now - restartedAt).toBeGreaterThan(lease.durationMs);
  group.heal().untilQuiet().conclude();
});

test("L2: with leases on nobody stands because a link broke, and without leases the next leader is there in no time", () => {
  const waits = [{}, { lease }].map((limits) => {
    const [group, leader] = groupWithLeader({ seed: 1, limits });
    group.kill(leader);
    const killedAt = group.world.scheduler.now;
    group.untilLeader({ not: leader });
    group.start(leader).untilQuiet().conclude();
    return group.world.scheduler.now - killedAt;
  });

  expect(waits[0]).toBeLessThan(500);
  expect(waits[1]).toBeGreaterThan(lease.durationMs * 0.8);
});

test("L3: a leader that was paused while others went on does not answer by the lease that it had", () => {
  for (let seed = 1; seed <= 3; seed += 1) {
    const [group, paused] = groupWithLeader({ seed, limits: { lease } });
    const release = group.others(paused).map((id) => group.hold(id, paused));
    group.pause(paused);
    group.untilEnded([write(group, group.untilLeader({ not: paused }), 2)]);

    const asked = read(group, paused, "lease");
    group.pass(5).resume(paused).pass(50);
    expect(asked.end).toBeUndefined();
    for (const go of release) go();

    expect(group.untilEnded([asked])).toEqual([2]);
    group.untilQuiet().conclude();
  }
});

test("L5: a read at an index waits until the replica has executed it, and is refused with the reason when time is over", () => {
  const [group, leader] = groupWithLeader({ seed: 1, limits: { admission: { queryMs: 400 } } });
  const follower = group.anyOther(leader);
  const release = group.hold(leader, follower);
  group.untilEnded([write(group, leader, 2)]);
  const index = group.executed(leader);

  const early = read(group, follower, { atLeast: index });
  const never = read(group, follower, { atLeast: index + 1_000 });
  group.pass(100);
  expect([early.end, never.end]).toEqual([undefined, undefined]);
  release();

  expect(group.untilEnded([early], 100)).toEqual([2]);
  expect(detailOf(early).index).toBeGreaterThanOrEqual(index);
  group.untilEnded([never]);
  expect(never.end).toMatchObject({ kind: "refused", refusal: { code: "INDEX_NOT_REACHED", asked: index + 1_000 } });
  group.untilQuiet().conclude();
});

test("L5: a follower answers what may be old enough from its own state, and asks the leader for what may not", () => {
  const [group, leader] = groupWithLeader({ seed: 1, limits: { admission: { queryMs: 400 } } });
  const follower = group.anyOther(leader);
  group.pass(600);
  group.cut(leader, follower).pass(300);

  const [old, young] = [
    read(group, follower, { maxStalenessMs: 5_000 }),
    read(group, follower, { maxStalenessMs: 50 }),
  ];
  group.pass(20);
  expect(detailOf(old).ageMs).toBeGreaterThan(290);
  expect(detailOf(old).ageMs).toBeLessThan(900);
  expect(young.end).toBeUndefined();
  group.pass(1_000).heal();

  group.untilEnded([young]);
  expect(young.end?.kind).toBe("read");
  group.untilQuiet().conclude();
});

test("L6: what nobody can confirm to be young enough is refused in time, with the age that is known", () => {
  const [group, leader] = groupWithLeader({ seed: 1, limits: { admission: { queryMs: 400 } } });
  const follower = group.anyOther(leader);
  group.kill(...group.others(follower)).pass(3_000);

  const asked = group.ask(
    { query: "read", read: { maxStalenessMs: 50 }, input: { key: "x" } },
    { from: clientOf(group, follower), timeoutMs: 900 },
  );
  group.untilEnded([asked], 1_500);

  expect(asked.end).toMatchObject({ kind: "refused", refusal: { code: "TOO_STALE", limitMs: 50 } });
  group
    .start(...group.others(follower))
    .untilQuiet()
    .conclude();
});

test("L5: a replica answers local reads at once, whatever it has, and says how old that may be", () => {
  const [group, leader] = groupWithLeader({ seed: 1 });
  const follower = group.anyOther(leader);
  group.cutOff([follower, `c${clientOf(group, follower)}`]);
  group.untilEnded([write(group, leader, 2)]);
  group.pass(5_000);

  const before = read(group, follower, "local");
  expect(group.untilEnded([before], 20)).toEqual([1]);
  expect(detailOf(before).ageMs).toBeGreaterThan(5_000);
  group.restart(follower).pass(1_000);
  const after = read(group, follower, "local");
  expect(group.untilEnded([after], 5_000)).toEqual([null]);
  expect(detailOf(after)).toMatchObject({ index: 0, ageMs: Infinity });

  group.heal().untilQuiet().conclude();
});
