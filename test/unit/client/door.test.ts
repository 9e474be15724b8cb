/** Doors: the same core over a link within the process, with the outcomes of `api/door.ts`. */
import { expect, test } from "vitest";

import { createDoor } from "../../../src/node/create-door.js";
import { FakeGroup, type FakeLink } from "../../../test-support/fake-group.js";
import { ManualClock } from "../../../test-support/manual-clock.js";
import type { Door } from "../../../src/api/door.js";

function doorTo(group: FakeGroup, clock = new ManualClock()): Door {
  return createDoor({
    name: "test",
    clock,
    connect: (receive) => {
      const link: FakeLink = {
        address: "a:1",
        receive: (message) => queueMicrotask(() => receive(message)),
        closed: () => {},
      };
      group.connect(link);
      return { send: (message) => group.receive(link, message), close: () => group.disconnect(link) };
    },
  });
}

const input = new Uint8Array([1, 2, 3]);

test("a door answers commands in the order of the calls and queries beside them", async () => {
  const group = new FakeGroup(["a:1"]);
  const door = doorTo(group);

  const outcomes = await Promise.all(["one", "two", "three"].map((name) => door.command(name, input, undefined)));
  const answer = await door.query("echo", input, { kind: "linearizable" });
  door.close();

  expect(outcomes.map((outcome) => outcome.status)).toEqual(["ok", "ok", "ok"]);
  expect(group.executedCommands).toEqual(["one", "two", "three"]);
  expect(answer).toMatchObject({ status: "answered", outcome: { status: "ok", output: input } });
});

test("a door's idempotency key gives the first answer again, and refuses another body under it", async () => {
  const group = new FakeGroup(["a:1"]);
  const door = doorTo(group);
  const key = { principal: "p", key: "k" };

  const first = await door.command("pay", input, key);
  const again = await doorTo(group).command("pay", input, key);
  const other = await door.command("pay", new Uint8Array([9]), key);
  const renamed = await door.command("payed", input, key);
  door.close();

  expect(first).toMatchObject({ status: "ok" });
  expect(again).toMatchObject({ status: "ok", output: first.status === "ok" ? first.output : undefined });
  expect(other).toMatchObject({ status: "refused", refusal: { code: "IDEMPOTENCY_CONFLICT" } });
  expect(renamed).toMatchObject({ status: "refused", refusal: { code: "IDEMPOTENCY_CONFLICT" } });
  expect(group.executedCommands).toEqual(["pay"]);
});

test("a door refuses a key that no replica would read", async () => {
  const door = doorTo(new FakeGroup(["a:1"]));

  const outcome = await door.command("pay", input, { principal: "p", key: "k".repeat(257) });
  door.close();

  expect(outcome).toMatchObject({ status: "refused", refusal: { code: "INVALID_INPUT" } });
});

test("closing a door answers what was sent as unknown and what was not as refused (C4)", async () => {
  const group = new FakeGroup(["a:1"]);
  const door = doorTo(group);
  await door.command("warm", input, undefined);
  group.isHeld = true;
  const sent = door.command("sent", input, undefined);
  const before = group.received.length;

  door.close();
  const late = await door.command("late", input, undefined);

  expect(await sent).toMatchObject({ status: "unknown" });
  expect(late).toMatchObject({ status: "refused", refusal: { code: "STOPPING" } });
  expect(group.received.length).toBe(before);
});

test("a door asks again when its process falls silent, and nothing runs twice (C1)", async () => {
  const group = new FakeGroup(["a:1"]);
  const clock = new ManualClock();
  const door = doorTo(group, clock);
  await Promise.resolve();
  group.losesReplies = true;
  const asked = door.command("once", input, undefined);
  await pass(clock, 100);
  group.losesReplies = false;
  await pass(clock, 3_000);

  expect(await asked).toMatchObject({ status: "ok" });
  expect(group.executedCommands).toEqual(["once"]);
  door.close();
});

async function pass(clock: ManualClock, milliseconds: number): Promise<void> {
  for (let step = 0; step < milliseconds; step += 10) {
    clock.advance(10);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}
