import { expect, test } from "vitest";

import { ReplicaGroup } from "../../test-support/replica-group.js";

test("what a door asks of a replica whose disk failed before ends as refused, never as unknown", async () => {
  const group = new ReplicaGroup(["a", "b", "c"]);
  const leader = group.untilLeader();
  const door = group.door(leader);
  const first = door.add("x");
  await group.pass(100);
  const log = group.running.get(leader)?.log;
  if (log !== undefined) log.failing = true;
  group.door(group.ids.find((id) => id !== leader) ?? "").add("x");
  await group.pass(200);
  const late = [door.add("x"), door.read("x")];
  await group.pass(10_100);

  expect(first).toEqual(["1"]);
  expect(group.broken).toEqual([`${leader}: EIO`]);
  expect(late).toEqual([["refused STOPPING"], ["refused STOPPING"]]);
});
