/** Hazards of reads, told of whole clusters: stale, reused or forgotten (L1 to L6). No lease is involved: a read is proved by a round. */
import { expect, test } from "vitest";

import type { ReplicaId } from "../../src/model/ids.js";
import type { Operation } from "../../src/sim/operation.js";
import { clientOf, groupWithClients, network, quick, type Story } from "../../test-support/sim-stories.js";

/** Asks at this replica. */
function write(group: Story, at: ReplicaId, value: number): Operation {
  return group.ask({ command: "write", input: { key: "x", value } }, { from: clientOf(group, at) });
}

function read(group: Story, at: ReplicaId): Operation {
  return group.ask({ query: "read", input: { key: "x" } }, { from: clientOf(group, at) });
}

test("L1: a new leader answers no read before its own term has committed something, however old its commit index", () => {
  const group = groupWithClients({ seed: 1, plan: { network: network(5) } });
  const deposed = group.untilLeader();
  group.untilEnded([write(group, deposed, 1)]);
  group.untilQuiet();
  const { lastIndex } = group.raft(deposed).log;
  const others = group.others(deposed);

  const acknowledged = write(group, deposed, 2);
  group.until("the entry everywhere", () => others.every((id) => group.raft(id).log.lastIndex > lastIndex));
  for (const id of others) group.cutOneWay(deposed, id);
  group.untilEnded([acknowledged]);
  group.kill(deposed).heal();
  const elected = group.until("a leader", () => others.find((id) => group.raft(id).role.kind === "leader"));
  const follower = group.anyOther(deposed, elected);
  group.disk(follower).stick();
  const asked = read(group, elected);
  group.pass(700);
  expect(group.raft(elected)).toMatchObject({ role: { kind: "leader" }, commitIndex: lastIndex });
  expect(asked.end).toBeUndefined();
  group.disk(follower).unstick();

  expect(group.untilEnded([asked], 1_000)).toEqual([2]);
  group.start(deposed).untilQuiet().conclude();
});

test("L2: a leader whose clock runs at a third of the speed, and who is cut off, answers no stale read", () => {
  for (let seed = 1; seed <= 3; seed += 1) {
    const group = groupWithClients({ seed });
    const slow = group.untilLeader();
    group.untilEnded([write(group, slow, 1), read(group, slow)]);

    group.clock(slow, { rate: 1 / 3, wallOffsetMs: 0 }).cutOff([slow, `c${clientOf(group, slow)}`]);
    group.until("another leader", () => group.others(slow).some((id) => group.raft(id).role.kind === "leader"));
    group.untilEnded([write(group, group.untilLeader({ not: slow }), 2)]);
    expect(group.raft(slow).role.kind).toBe("leader");
    const asked = read(group, slow);
    group.pass(900);
    expect(asked.end).toBeUndefined();
    group.heal();

    expect(group.untilEnded([asked])).toEqual([2]);
    group.untilQuiet().conclude();
  }
});

test("L3: a leader that was paused while others went on answers no read from the state it had", () => {
  for (let seed = 1; seed <= 3; seed += 1) {
    const group = groupWithClients({ seed, limits: { raft: quick } });
    const paused = group.untilLeader();
    group.untilEnded([write(group, paused, 1), read(group, paused)]);

    const release = group.others(paused).map((id) => group.hold(id, paused));
    group.pause(paused);
    group.untilEnded([write(group, group.untilLeader({ not: paused }), 2)]);
    const asked = read(group, paused);
    group.pass(5).resume(paused).pass(50);
    expect(asked.end).toBeUndefined();
    for (const go of release) go();

    expect(group.untilEnded([asked])).toEqual([2]);
    group.untilQuiet().conclude();
  }
});

test("L4: a follower's second try for a read does not take the late answer to its first", () => {
  for (let seed = 1; seed <= 6; seed += 1) {
    const group = groupWithClients({ seed, limits: { raft: quick }, plan: { network: network(1, 8) } });
    const leader = group.untilLeader();
    const follower = group.anyOther(leader);
    group.untilEnded([write(group, leader, 1), read(group, follower)]);
    group.untilQuiet();

    const release = group.hold(leader, follower);
    const first = read(group, follower);
    group.until("the first try", () => group.raft(follower).forwarded.size > 0);
    group.pause(follower).pass(40);
    group.untilEnded([write(group, leader, 2)]);
    const second = read(group, follower);
    group.pass(250).resume(follower);
    group.until("the second try", () => group.raft(follower).forwarded.size > 0, 20);
    release();

    group.untilEnded([first]);
    expect(group.untilEnded([second])).toEqual([2]);
    group.untilQuiet().conclude();
  }
});

test("L6: reads that come in the very turn of an election are answered as soon as the elected leader has settled", () => {
  for (let seed = 1; seed <= 5; seed += 1) {
    const group = groupWithClients({ seed, limits: { raft: quick } });
    const leader = group.untilLeader();
    group.untilEnded([write(group, leader, 1)]);
    const asked: Operation[] = [];

    group.kill(leader);
    group.until("an election", () => {
      for (const id of group.others(leader)) asked.push(read(group, id));
      return group.leader;
    });
    const settledAt = group.world.scheduler.now;

    const outputs = group.untilEnded(asked, 1_000);
    expect(outputs).toEqual(outputs.map(() => 1));
    expect(group.world.scheduler.now - settledAt).toBeLessThan(100);
    group.start(leader).untilQuiet().conclude();
  }
});
