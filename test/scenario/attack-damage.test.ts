import { expect, test } from "vitest";

import { ReplicaGroup } from "../../test-support/replica-group.js";

test("D3: a replica whose very last entry is damaged starts, repairs it, and may lead once it knows the time again", async () => {
  const group = new ReplicaGroup(["a", "b", "c"]);
  const leader = group.untilLeader();
  const others = group.ids.filter((id) => id !== leader);
  const [damaged = "", lagging = ""] = others;
  const door = group.door(leader);
  door.add("x");
  await group.pass(100);
  group.crash(lagging);
  const second = door.add("x");
  await group.pass(100);
  group.crash(damaged);
  const disk = group.disks.get(damaged);
  disk?.damage(disk.entries.length);
  group.start(damaged);
  await group.pass(1_000);
  // From now on only the repaired replica has what was acknowledged.
  group.crash(leader);
  group.start(lagging);
  await group.pass(3_000);
  const third = group.door(lagging).add("x");
  await group.pass(500);

  expect([second, third]).toEqual([["2"], ["3"]]);
  expect(disk?.damaged.size).toBe(0);
  expect(group.broken).toEqual([]);
  expect(new Set(group.digests()).size).toBe(1);
});
