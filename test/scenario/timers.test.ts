/** Timers over whole replicas: time alone makes them fire, on every replica, whoever leads by then. */
import { expect, test } from "vitest";

import { defaultLimits } from "../../src/api/config.js";
import type { DoorOutcome } from "../../src/api/door.js";
import { define, event } from "../../src/index.js";
import { encodeValue } from "../../src/wire/canonical.js";
import { ReplicaGroup } from "../../test-support/replica-group.js";

const alarm = define({
  name: "tally",
  version: 1,
  state: ({ map }) => ({ rung: map<string, number>() }),
  timers: { ring: event<undefined>() },
}).machine({
  commands: {
    set(_state, { key, inMs }: { key: string; inMs: number }, { timers, now }) {
      timers.set("ring", key, now + inMs, undefined);
    },
  },
  queries: {},
  on: {
    ring(state, _data, { now }) {
      state.rung.set(`${state.rung.size}`, now);
    },
  },
});

function set(group: ReplicaGroup, id: string, key: string, inMs: number): Promise<DoorOutcome> {
  return group.openDoor(id).command("set", encodeValue({ key, inMs }), undefined);
}

function fired(group: ReplicaGroup): readonly (number | undefined)[] {
  return group.ids.map((id) => group.running.get(id)?.core.status().counters.timersFired);
}

test("a timer fires without any client, soon after its time, on every replica alike", async () => {
  const group = new ReplicaGroup(["a", "b", "c"], {}, alarm);
  group.untilLeader();
  void set(group, "a", "x", 3_000);
  await group.pass(2_900);
  expect(fired(group)).toEqual([0, 0, 0]);
  await group.pass(400);

  expect(fired(group)).toEqual([1, 1, 1]);
  expect(new Set(group.digests()).size).toBe(1);
});

test("the next leader fires what was set under a leader that died, once, and so does the old one when it is back", async () => {
  const group = new ReplicaGroup(["a", "b", "c"], {}, alarm);
  const leader = group.untilLeader();
  void set(group, leader, "x", 1_000);
  await group.pass(100);
  group.crash(leader);
  await group.pass(3_000);
  const others = group.ids.filter((id) => id !== leader);
  expect(others.map((id) => group.running.get(id)?.core.status().counters.timersFired)).toEqual([1, 1]);
  group.start(leader);
  await group.pass(3_000);

  expect(fired(group)).toEqual([1, 1, 1]);
  expect(new Set(group.digests()).size).toBe(1);
});

test("more timers than one entry fires are all fired at once, over several entries", async () => {
  const group = new ReplicaGroup(
    ["a", "b", "c"],
    { machine: { ...defaultLimits.machine, timersPerEntryMax: 2 } },
    alarm,
  );
  group.untilLeader();
  for (let at = 0; at < 7; at += 1) void set(group, "b", `${at}`, 1_000);
  await group.pass(1_500);

  expect(fired(group)).toEqual([7, 7, 7]);
});
