import { expect, test } from "vitest";

import { ReplicaGroup } from "../../test-support/replica-group.js";

test("requests that wait at a follower reach the leader even if they are more than one frame", async () => {
  const group = new ReplicaGroup(["a", "b", "c"]);
  const leader = group.untilLeader();
  const door = group.door(group.ids.find((id) => id !== leader) ?? "");
  const first = door.add("x");
  await group.pass(100);
  const large = Array.from({ length: 20 }, () => door.add("y".repeat(1_000_000)));
  await group.pass(400);

  expect(first).toEqual(["1"]);
  expect(large.map(([count]) => Number(count))).toEqual(Array.from({ length: 20 }, (_, at) => at + 1));
});

test("a leader that nobody answers goes on turning while queries come one by one, and answers them when it is heard again", async () => {
  const group = new ReplicaGroup(["a", "b", "c"]);
  const door = group.door(group.untilLeader());
  await group.pass(50);
  for (const pair of group.network.pairs) pair.tamper = () => new Uint8Array(0);
  refuseEndlessTurns(group);
  const reads: string[][] = [];
  // More than the barriers that a leader keeps, within the time that it goes on hoping for answers.
  for (let count = 0; count < 10_100; count += 1) {
    reads.push(door.read("x"));
    group.clock.advance(0.07);
  }
  for (const pair of group.network.pairs) pair.tamper = (bytes) => bytes;
  await group.pass(3_000);

  expect(reads.filter(([count]) => count === "0").length).toBe(10_100);
});

/** Each step of a replica reads the clock, so a turn that never ends reads it without end. */
function refuseEndlessTurns({ clock }: ReplicaGroup): void {
  const monotonic = clock.monotonic.bind(clock);
  let reads = 0;
  clock.monotonic = () => {
    reads += 1;
    if (reads > 2_000_000) throw new Error("a turn does not end");
    return monotonic();
  };
}
