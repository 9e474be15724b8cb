/** Primaries that leave something out, or have another time: told to all, watched by all, and given up where it must be. */
import { expect, test } from "vitest";
import { peerMessageTypes } from "../../src/replica/engine.js";
import type { Door } from "../../src/api/door.js";
import { encodeUtf8 } from "../../src/base/bytes.js";
import type { Liar } from "../../src/sim/liars/liar.js";
import { BftGroup } from "../../test-support/bft-group.js";

const ids = ["a", "b", "c", "d"];
const viewsOf = (group: BftGroup): readonly number[] =>
  ids.slice(1).map((id) => group.replica(id).core.engine.driver.state.view);

test("B14: what a primary does not hear from one replica it is told by the others, and it goes on", async () => {
  const group = new BftGroup(ids, { isDeafTo: (from, type) => from === "b" && type === peerMessageTypes.host });
  const door = group.door("b");

  expect(await group.add(door, "x")).toBe("1");
  expect(await group.add(door, "x")).toBe("2");
  expect(viewsOf(group)).toEqual([0, 0, 0]);
});

test("B14: a primary that leaves out the requests of others is given up, although it orders its own", async () => {
  const group = new BftGroup(ids, { isDeafTo: (_from, type) => type === peerMessageTypes.host });
  const [own, other] = [group.door("a"), group.door("c")];
  expect(await group.add(own, "x")).toBe("1");

  expect(await group.add(other, "x")).toBe("2");
  expect(viewsOf(group)).toEqual([1, 1, 1]);
  expect(await group.add(own, "x")).toBe("3");
});

test("a primary that orders no reads is given up", async () => {
  const group = new BftGroup(ids, { isDeafTo: (_from, type) => type === peerMessageTypes.mark });
  const door = group.door("c");
  expect(await group.add(door, "x")).toBe("1");

  expect(await group.read(door, "x")).toBe("1");
  expect(viewsOf(group)).toEqual([1, 1, 1]);
});

test("C2: a primary whose clock is an hour ahead moves agreed time by no more than the bound, and is given up", async () => {
  const hourMs = 3_600_000;
  const group = new BftGroup(ids, { clockAhead: (id) => (id === "a" ? hourMs : 0) });
  const door = group.door("b");

  expect(await group.add(door, "x")).toBe("1");
  expect(viewsOf(group)).toEqual([1, 1, 1]);
  expect(group.dropped.filter((each) => each.includes("time of a proposal")).length).toBeGreaterThan(0);
  const times = (group.executed.get("b") ?? []).flatMap((each) => Number(each.split(" ")[0]));
  expect(Math.max(...times)).toBeLessThan(group.clock.wall() + 1_001);
});

test("a clock that is off by less than the bound does no harm, and agreed time never goes back", async () => {
  const group = new BftGroup(ids, { clockAhead: (id) => (id === "a" ? 900 : 0) });
  const door = group.door("b");
  expect(await group.add(door, "x")).toBe("1");
  group.crash("a");

  expect(await group.add(door, "x")).toBe("2");
  const times = (group.executed.get("b") ?? []).flatMap((each) => Number(each.split(" ")[0]));
  expect(times).toEqual([...times].sort((one, other) => one - other));
  expect(viewsOf(group)).toEqual([1, 1, 1]);
});

/** Asks again as soon as it is answered, `count` at a time, until it is told to stop. */
function keepAsking(
  group: BftGroup,
  door: Door,
  count: number,
): { answered: number; longestMs: number; isOver: boolean } {
  const load = { answered: 0, longestMs: 0, isOver: false };
  const ask = (): void => {
    const askedAt = group.clock.monotonic();
    void door.command("add", encodeUtf8("x"), undefined).then(() => {
      load.answered += 1;
      load.longestMs = Math.max(load.longestMs, group.clock.monotonic() - askedAt);
      if (!load.isOver) ask();
    });
  };
  for (let at = 0; at < count; at += 1) ask();
  return load;
}

/** Proposes each batch so much later. */
const slowBy = (delay: () => number): Liar => ({
  name: "slow",
  outgoing: (_to, message, tools) => {
    if (delay() === 0 || message.kind !== "PrePrepare") return [message];
    tools.later(delay(), () => [message]);
    return [];
  },
});

const wait = async (group: BftGroup, ms: number): Promise<void> => {
  const end = group.clock.monotonic() + ms;
  await group.until("some time", () => group.clock.monotonic() >= end);
};

const large = { windowEntries: 512, checkpointEntries: 128 };

test("B14: a primary that turns slow is replaced, though each request is in time and one replica alone is asked", async () => {
  let delayMs = 0;
  const group = new BftGroup(ids, { liar: slowBy(() => delayMs), byzantine: large });
  const load = keepAsking(group, group.door("c"), 2);
  await wait(group, 1_500);
  expect(viewsOf(group)).toEqual([0, 0, 0]);
  expect(load.answered).toBeGreaterThan(100);

  delayMs = 400;
  await group.until("another primary", () => viewsOf(group).every((view) => view > 0));
  expect(viewsOf(group)).toEqual([1, 1, 1]);
  load.isOver = true;
  expect(load.longestMs).toBeLessThan(1_000);
});

test("clients that ask for less and less have nobody replaced", async () => {
  const group = new BftGroup(ids, { byzantine: large });
  const busy = ids.map((id) => keepAsking(group, group.door(id), 1));
  await wait(group, 1_500);
  for (const load of busy) load.isOver = true;
  const door = group.door("b");
  for (let count = 0; count < 12; count += 1) {
    await group.add(door, "alone");
    await wait(group, 700);
  }
  expect(viewsOf(group)).toEqual([0, 0, 0]);
});
