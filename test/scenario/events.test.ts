/** Events over whole replicas: every one of them serves the same stream, whatever has become of the others. */
import { expect, test } from "vitest";

import { defaultLimits } from "../../src/api/config.js";
import type { Door } from "../../src/api/door.js";
import { EventCursor, startBehind } from "../../src/client/event-cursor.js";
import { define, event } from "../../src/index.js";
import { decodeValue, encodeValue } from "../../src/wire/canonical.js";
import { ReplicaGroup } from "../../test-support/replica-group.js";

const speaker = define({
  name: "tally",
  version: 1,
  state: () => ({}),
  events: { said: event<number>() },
}).machine({
  commands: { say: (_state, number: number, context) => context.emit("said", number) },
  queries: {},
});

/** Follows from the cursor on, and notes what it is told. */
async function follow(door: Door, cursor: EventCursor, told: unknown[]): Promise<void> {
  for (;;) {
    const answer = await door.events({ name: "said", from: cursor.from, countMax: 3 }, 200);
    if (answer.kind === "refused") return;
    cursor.accept(answer);
    if (answer.kind === "compacted") told.push("compacted");
    else told.push(...answer.events.map(({ data }) => decodeValue(data)));
  }
}

function say(group: ReplicaGroup, id: string, numbers: readonly number[]): void {
  const door = group.openDoor(id);
  for (const number of numbers) void door.command("say", encodeValue(number), undefined);
}

test("C8: a stream goes on at another replica where it ended at the last, in order, without gaps and repeats", async () => {
  const group = new ReplicaGroup(["a", "b", "c"], {}, speaker);
  const leader = group.untilLeader();
  const [second = "", third = ""] = group.ids.filter((id) => id !== leader);
  const told: unknown[] = [];
  const cursor = new EventCursor(startBehind(0));
  const first = group.openDoor(leader);
  void follow(first, cursor, told);
  say(group, second, [1, 2, 3, 4, 5]);
  await group.pass(500);
  expect(told).toEqual([1, 2, 3, 4, 5]);
  first.close();
  group.crash(leader);
  say(group, second, [6, 7]);
  await group.pass(2_000);
  void follow(group.openDoor(third), cursor, told);
  await group.pass(500);
  expect(told).toEqual([1, 2, 3, 4, 5, 6, 7]);
  group.start(leader);
  await group.pass(2_000);
  const again: unknown[] = [];
  void follow(group.openDoor(leader), new EventCursor(undefined), again);
  await group.pass(500);

  expect(again).toEqual(told);
});

test("C8: whoever asks for what is no longer kept is told so by every replica alike, and goes on behind it", async () => {
  const group = new ReplicaGroup(["a", "b", "c"], { machine: { ...defaultLimits.machine, eventsMax: 2 } }, speaker);
  group.untilLeader();
  say(group, "a", [1, 2, 3, 4, 5]);
  await group.pass(500);
  const told = group.ids.map((id) => {
    const lines: unknown[] = [];
    void follow(group.openDoor(id), new EventCursor(startBehind(0)), lines);
    return lines;
  });
  await group.pass(500);

  expect(told).toEqual(group.ids.map(() => ["compacted", 4, 5]));
});
