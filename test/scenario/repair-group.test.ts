/** Hazards D3, D9, D10, D11 in whole replicas: what is damaged is repaired before it is executed, and a repaired replica may lead. */
import { expect, test } from "vitest";
import { ReplicaGroup } from "../../test-support/replica-group.js";

/** A group that executed 30 commands and then lost power everywhere. */
async function stoppedGroup(): Promise<ReplicaGroup> {
  const group = new ReplicaGroup(["a", "b", "c"]);
  const door = group.door(group.untilLeader());
  await group.pass(50);
  for (let count = 0; count < 30; count += 1) {
    door.add("x");
    await group.pass(5);
  }
  await group.pass(500);
  for (const id of group.ids) group.crash(id);
  return group;
}

function damage(group: ReplicaGroup, damaged: Readonly<Record<string, readonly number[]>>): void {
  for (const [id, indexes] of Object.entries(damaged)) for (const index of indexes) group.disks.get(id)?.damage(index);
  for (const id of group.ids) group.start(id);
}

test("D10: every replica lost other entries: all are repaired, one is elected without a restart, and nothing is lost", async () => {
  const group = await stoppedGroup();
  damage(group, { a: [3, 9, 20], b: [4, 10, 21], c: [5, 11, 22] });

  group.untilLeader();
  const read = group.door("b").read("x");
  await group.pass(1500);

  expect(read).toEqual(["30"]);
  expect(new Set(group.digests()).size).toBe(1);
  for (const id of group.ids) expect(group.disks.get(id)?.damaged.size).toBe(0);
  expect(group.broken).toEqual([]);
});

test("D9: a damaged replica does not stand while it is damaged, and executes nothing damaged", async () => {
  const group = await stoppedGroup();
  damage(group, { a: [7, 8], b: [], c: [] });
  const isDamaged = (): boolean => (group.disks.get("a")?.damaged.size ?? 0) > 0;
  const roles = new Set<string | undefined>();

  group.until("a leader and a repaired replica", () => {
    if (isDamaged()) roles.add(group.running.get("a")?.core.status().role);
    return isDamaged() ? undefined : group.leader();
  });
  await group.pass(1000);

  expect([...roles]).toEqual(["follower"]);
  expect(group.running.get("a")?.executor.executedIndex).toBeGreaterThan(30);
  expect(new Set(group.digests()).size).toBe(1);
});

test("D11: an entry that is damaged everywhere halts the group there: nobody leads, nothing after it is executed or answered", async () => {
  const group = await stoppedGroup();
  damage(group, { a: [12], b: [12], c: [12] });

  const read = group.door("a").read("x");
  await group.pass(4000);

  expect(group.leader()).toBeUndefined();
  expect(read.filter((answer) => /^\d/.test(answer))).toEqual([]);
  for (const { executor } of group.running.values()) expect(executor.executedIndex).toBeLessThan(12);
});
