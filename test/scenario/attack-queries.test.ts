import { expect, test } from "vitest";

import { encodeUtf8 } from "../../src/base/bytes.js";
import type { ReplicaMessage } from "../../src/model/request.js";
import { ReplicaGroup } from "../../test-support/replica-group.js";

test("a query at a replica that cannot execute on is refused in time, and not kept", async () => {
  const group = new ReplicaGroup(["a", "b", "c"]);
  const leader = group.untilLeader();
  const door = group.door(leader);
  for (let count = 0; count < 3; count += 1) {
    door.add("x");
    await group.pass(50);
  }
  const halted = group.ids.find((id) => id !== leader) ?? "";
  group.crash(halted);
  // Its content is lost everywhere, so nobody can give it back.
  const damaged = group.disks.get(halted)?.entries.length ?? 0;
  for (const disk of group.disks.values()) disk.damage(damaged);
  group.start(halted);
  await group.pass(500);
  const heard: ReplicaMessage[] = [];
  const core = group.running.get(halted)?.core;
  const link = core?.openLocal((message) => void heard.push(message));
  link?.send({ kind: "query", id: 1, name: "read", input: encodeUtf8("x"), read: { kind: "linearizable" } });
  await group.pass(6_000);

  expect(core?.status().executedIndex).toBe(damaged - 1);
  expect(heard.filter(({ kind }) => kind !== "leader")).toMatchObject([{ kind: "queryRefused", id: 1 }]);
  expect(core?.status().counters.proposalsPending).toBe(0);
});
