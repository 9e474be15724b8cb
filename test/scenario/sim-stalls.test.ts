/** Replicas that live and cannot do a leader's work, told of whole clusters (hazard of hashicorp/raft#503). */
import { expect, test } from "vitest";

import type { ReplicaId } from "../../src/model/ids.js";
import { groupOf, quick, type Story } from "../../test-support/sim-stories.js";

const add = { command: "add", input: { key: "c", value: 1 } } as const;
const raft = { ...quick, writeStallMsMax: 500, turnStallMsMax: 300 };
/** A transfer that is not taken, and two elections. */
const electedMs = quick.electionTimeoutMsMax * 3;

const statusOf = (group: Story, id: ReplicaId) => group.replica(id).opened?.core.status();

/** Asks steadily for so long; answers who led at each moment. */
function askFor(group: Story, ms: number): ReadonlySet<ReplicaId | undefined> {
  const leaders = new Set<ReplicaId | undefined>();
  for (let passed = 0; passed < ms; passed += 20) {
    group.ask(add);
    group.pass(20);
    leaders.add(group.leader);
  }
  return leaders;
}

test("a leader whose disk hangs is replaced within the bound, says why, and follows when its disk goes on", () => {
  for (const seed of [1, 2]) {
    const group = groupOf(0, { seed, limits: { raft } });
    const stuck = group.untilLeader();
    const { process } = group.replica(stuck);
    group.disk(stuck).stick();
    group.ask(add);

    const elected = group.until(
      "another leader",
      () => (group.leader === stuck ? undefined : group.leader),
      raft.writeStallMsMax + electedMs,
    );
    expect(statusOf(group, stuck)).toMatchObject({ stalled: "write", resigned: { reason: "write", term: 1 } });
    expect(statusOf(group, stuck)?.counters.resignations).toEqual({ write: 1 });
    expect(askFor(group, 1_500)).toEqual(new Set([elected]));

    group.disk(stuck).unstick();
    group.untilQuiet(10_000);
    expect(statusOf(group, stuck)?.stalled).toBeUndefined();
    expect(group.replica(stuck).process).toBe(process);
    group.conclude();
  }
});

test("without a bound a leader whose disk hangs goes on leading: the bound is what replaces it", () => {
  const group = groupOf(0, { seed: 1, limits: { raft: { ...raft, writeStallMsMax: 1_000_000 } } });
  const stuck = group.untilLeader();
  group.disk(stuck).stick();

  expect(askFor(group, 1_500)).toEqual(new Set([stuck]));
});

test("a follower whose disk hangs does not become leader when the leader dies", () => {
  for (const seed of [4, 5]) {
    const group = groupOf(0, { seed, replicas: 5, limits: { raft } });
    const dead = group.untilLeader();
    const [one = "", other = "", ...well] = group.others(dead);
    for (const id of [one, other]) group.disk(id).stick();
    // Their writes are under way for longer than the bound; the others are a majority.
    askFor(group, 1_000);
    group.kill(dead);
    // Without either of these two nobody has a majority, and these two do not stand.
    expect(well).toHaveLength(2);
    group.pass(2_000);
    for (const id of [one, other]) expect(group.raft(id).role.kind).toBe("follower");

    group.start(dead);
    expect([dead, ...well]).toContain(group.untilLeader());
    group.disk(one).unstick();
    group.disk(other).unstick();
    group.untilQuiet(20_000).conclude();
  }
});

test("a leader whose process stood still hands over when it goes on, before the others have missed it", () => {
  const times = { heartbeatMs: 50, electionTimeoutMsMin: 1_000, electionTimeoutMsMax: 2_000 };
  const group = groupOf(0, { seed: 7, limits: { raft: { ...times, turnStallMsMax: 300 } } });
  const paused = group.untilLeader();
  group.pause(paused).pass(200).resume(paused).pass(500);
  expect(group.leader).toBe(paused);

  group.pause(paused).pass(400).resume(paused);

  const elected = group.untilLeader({ not: paused, within: 300 });
  expect(statusOf(group, paused)).toMatchObject({ role: "follower", resigned: { reason: "turn", term: 1 } });
  expect(askFor(group, 1_000)).toEqual(new Set([elected]));
  group.untilQuiet().conclude();
});

test("a full disk is a reason as well, and told as one", () => {
  const group = groupOf(0, { seed: 8, limits: { raft } });
  const full = group.untilLeader();
  group.disk(full).setFull(true);
  const value = "x".repeat(1_000);
  group.until("another leader", () => {
    group.call({ command: "append", input: { key: "k", value } });
    return group.leader !== full && group.leader !== undefined;
  });

  expect(statusOf(group, full)).toMatchObject({ resigned: { reason: "space", term: 1 } });
  group.disk(full).setFull(false);
  group.untilQuiet(10_000).conclude();
});
