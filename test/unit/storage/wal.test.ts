/** The log at work: what is written comes back, in order, by whatever way it is read. */
import { describe, expect, test } from "vitest";
import {
  entryAt,
  formattedDisk,
  hardStateOf,
  indexOf,
  openedLog,
  smallSegment,
  textsOf,
} from "../../../test-support/log-world.js";

describe("wal", () => {
  test("what was written is there after a restart, with its hard state", () => {
    const disk = formattedDisk(smallSegment);
    const first = openedLog(disk, smallSegment);
    first.write({ hardState: hardStateOf(3, "b"), entries: [entryAt(1, 3, "one"), entryAt(2, 3, "two")] });
    first.write({ entries: [entryAt(3, 3, "three")] });

    disk.crash("nothing");
    const { recovered } = openedLog(disk, smallSegment);

    expect(recovered.hardState).toEqual({ term: 3, votedFor: "b" });
    expect(textsOf(recovered.tail)).toEqual(["one", "two", "three"]);
    expect(recovered.tail[0]).toEqual(entryAt(1, 3, "one"));
    expect(recovered.terms).toEqual([{ firstIndex: 1, term: 3 }]);
    expect(recovered).toMatchObject({ start: { index: 0, term: 0 }, lastIndex: 3, damaged: [], amnesia: undefined });
  });

  test("an empty log recovers as empty", () => {
    const { recovered } = openedLog(formattedDisk(smallSegment), smallSegment);

    expect(recovered).toMatchObject({ lastIndex: 0, tail: [], terms: [], damaged: [], amnesia: undefined });
    expect(recovered.hardState).toEqual({ term: 0, votedFor: undefined });
  });

  test("a truncation holds through a restart, and reading shows only what replaced the dropped entries", () => {
    const disk = formattedDisk(smallSegment);
    const first = openedLog(disk, smallSegment);
    first.write({
      hardState: hardStateOf(1, undefined),
      entries: [1, 2, 3, 4].map((at) => entryAt(at, 1, `old ${at}`)),
    });
    first.write({
      hardState: hardStateOf(2, undefined),
      truncateFrom: indexOf(3),
      entries: [entryAt(3, 2, "new 3")],
    });

    const before = textsOf(first.read(1, 10_000));
    disk.crash("nothing");
    const second = openedLog(disk, smallSegment);

    expect(before).toEqual(["old 1", "old 2", "new 3"]);
    expect(textsOf(second.recovered.tail)).toEqual(before);
    expect(textsOf(second.read(2, 10_000))).toEqual(["old 2", "new 3"]);
    expect(second.recovered.terms).toEqual([
      { firstIndex: 1, term: 1 },
      { firstIndex: 3, term: 2 },
    ]);
  });

  test("W4: writes that wait for one in flight go out together and complete in order", () => {
    const world = openedLog(formattedDisk(smallSegment), smallSegment);

    for (let at = 1; at <= 5; at += 1) world.begin({ entries: [entryAt(at, 0, `entry ${at}`)] });
    world.settle();

    expect(world.completed).toEqual([1, 2, 3, 4, 5]);
    expect(world.log.statistics).toMatchObject({ writes: 5, syncs: 2 });
    expect(world.log.statistics.syncSeconds.counts.at(-1)).toBe(2);
  });

  test("no completion comes from within a call", () => {
    const world = openedLog(formattedDisk(smallSegment), smallSegment);

    world.begin({ entries: [entryAt(1, 0, "x")] });
    world.begin({});
    const whileWriting = [...world.completed];
    world.settle();
    world.begin({});
    const afterwards = [...world.completed];
    world.settle();

    expect(whileWriting).toEqual([]);
    expect(afterwards).toEqual([1, 2]);
    expect(world.completed).toEqual([1, 2, 3]);
  });

  test("a log rolls from segment to segment, and every entry of all of them is read back", () => {
    const disk = formattedDisk(smallSegment);
    const first = openedLog(disk, smallSegment);
    const text = (at: number): string => `${at}-`.padEnd(3000, "x");
    for (let at = 1; at <= 100; at += 1) first.write({ entries: [entryAt(at, 0, text(at))] });

    disk.crash("nothing");
    const second = openedLog(disk, smallSegment);

    expect(disk.list("data/log").length).toBeGreaterThanOrEqual(6);
    expect(second.recovered.lastIndex).toBe(100);
    for (let from = 1; from <= 100;) {
      const texts = textsOf(second.read(from, 10_000));
      expect(texts).toEqual(Array.from({ length: texts.length }, (_, at) => text(from + at)));
      expect(texts.length).toBeLessThanOrEqual(3);
      from += texts.length;
    }
  });

  test("a write larger than the rest of its segment goes on in the next", () => {
    const disk = formattedDisk(smallSegment);
    const world = openedLog(disk, smallSegment);
    const entries = Array.from({ length: 40 }, (_, at) => entryAt(at + 1, 0, `${at + 1}`.padEnd(5000, ".")));
    world.write({ entries });

    disk.crash("nothing");
    expect(openedLog(disk, smallSegment).recovered.lastIndex).toBe(40);
  });

  test("an idle log writes one marker, and only one", () => {
    const world = openedLog(formattedDisk(smallSegment), smallSegment);
    world.clock.advance(100);
    world.settle();
    world.write({ entries: [entryAt(1, 0, "x")] });

    const before = world.log.statistics.syncs;
    for (let count = 0; count < 10; count += 1) {
      world.clock.advance(50);
      world.settle();
    }

    expect(world.log.statistics.syncs - before).toBe(1);
  });

  test("D1: after a failed flush nothing is written or believed any more", () => {
    const world = openedLog(formattedDisk(smallSegment), smallSegment);
    world.write({ entries: [entryAt(1, 0, "x")] });
    world.disk.fail(/segment$/, "failed", 1);

    world.begin({ entries: [entryAt(2, 0, "y")] });
    world.begin({ entries: [entryAt(3, 0, "z")] });
    world.settle();
    const writes = world.disk.operationCount;
    world.begin({ entries: [entryAt(2, 0, "again")] });
    world.settle();

    expect(world.completed).toEqual([1]);
    expect(world.failures.map(({ code }) => code)).toEqual(["broken", "broken", "broken"]);
    expect(world.disk.operationCount).toBe(writes);
  });

  test("D1: what a killed process left in the system's cache is durable once a recovery has counted it", () => {
    const disk = formattedDisk(smallSegment);
    const world = openedLog(disk, smallSegment);
    world.begin({ entries: [entryAt(1, 0, "in flight")] });
    disk.kill();

    const found = openedLog(disk, smallSegment).recovered.lastIndex;
    disk.crash("nothing");

    expect(found).toBe(1);
    expect(textsOf(openedLog(disk, smallSegment).recovered.tail)).toEqual(["in flight"]);
  });

  test("D12: without space for the next segment writes wait, and go on by themselves, in order, when there is space", () => {
    const world = openedLog(formattedDisk(smallSegment), smallSegment);
    world.disk.fail(/preparing$/, "full", 1_000);
    const text = "x".repeat(20_000);
    for (let at = 1; at <= 4; at += 1) world.begin({ entries: [entryAt(at, 0, text)] });
    world.settle();
    const completed = [...world.completed];
    world.begin({ entries: [entryAt(5, 0, "behind")] });
    world.clock.advance(5_000);
    world.settle();

    expect(world.completed).toEqual(completed);
    expect(completed.length).toBeLessThan(4);
    expect(world.log.full).toMatch(/^Cannot extend the log: .*no space is left/);
    world.disk.heal();
    world.clock.advance(1_000);
    world.settle();
    expect(world.completed).toEqual([1, 2, 3, 4, 5]);
    expect(world.failures).toEqual([]);
    expect(world.log.full).toBeUndefined();
    world.close();
    expect(openedLog(world.disk, smallSegment).recovered.lastIndex).toBe(5);
  });

  test("D12: space is short when what is left is the reserve, and not as long as there is more; there is none when half of it is used", () => {
    const world = openedLog(formattedDisk(smallSegment), smallSegment);
    world.disk.fail(/preparing$/, "full", 1_000);
    world.write({ entries: [entryAt(1, 0, "x".repeat(30_000))] });
    expect(world.log.space).toBe("ample");
    world.write({ entries: [entryAt(2, 0, "x".repeat(26_000))] });

    expect(world.log.space).toBe("short");
    world.write({ hardState: hardStateOf(1, "b"), entries: [entryAt(3, 1, "in the reserve")] });
    expect(textsOf(world.read(3, 100))).toEqual(["in the reserve"]);
    world.write({ entries: [entryAt(4, 1, "x".repeat(4_000))] });
    expect(world.log.space).toBe("none");
  });

  test("D12: what there was of the next segment is given back, and once a checkpoint frees a segment the log goes on at once", () => {
    const disk = formattedDisk(smallSegment);
    const before = openedLog(disk, smallSegment);
    for (let at = 1; at <= 5; at += 1) before.write({ entries: [entryAt(at, 0, "x".repeat(20_000))] });
    before.close();
    const world = openedLog(disk, smallSegment);
    world.disk.fail(/preparing$/, "full", 1_000);
    for (let at = 6; at <= 12; at += 1) world.begin({ entries: [entryAt(at, 0, "x".repeat(20_000))] });
    world.settle();
    expect(world.log.full).toBeDefined();
    expect(world.disk.list("data/log")).not.toContain("preparing");
    world.disk.heal();

    world.log.compact(indexOf(5 + world.completed.length));
    world.settle();

    expect(world.log.full).toBeUndefined();
    expect(world.completed).toHaveLength(7);
  });

  test("D12: a log without space can be closed: what waits fails and was promised to nobody", () => {
    const world = openedLog(formattedDisk(smallSegment), smallSegment);
    world.disk.fail(/preparing$/, "full", 1_000);
    for (let at = 1; at <= 4; at += 1) world.begin({ entries: [entryAt(at, 0, "x".repeat(20_000))] });
    world.settle();
    world.close();

    expect(new Set(world.failures.map(({ code }) => code))).toEqual(new Set(["full"]));
    expect(world.completed.length + world.failures.length).toBe(4);
  });

  test("W3, W6, W7: a gap in the indexes, a write after the end, and an entry of a term not begun are our own bugs", () => {
    const world = openedLog(formattedDisk(smallSegment), smallSegment);

    expect(() => world.begin({ entries: [entryAt(2, 0, "x")] })).toThrow("W3 entries follow one another");
    expect(() => world.begin({ entries: [entryAt(1, 1, "x")] })).toThrow("W7 no entry is of a later term");
    const closed = openedLog(formattedDisk(smallSegment), smallSegment);
    closed.close();
    expect(() => closed.begin({ entries: [entryAt(1, 0, "x")] })).toThrow("W6 nothing is written to a closed log");
  });

  test("W8: a term never goes back", () => {
    const world = openedLog(formattedDisk(smallSegment), smallSegment);
    world.write({ hardState: hardStateOf(3, undefined) });

    expect(() => world.begin({ hardState: hardStateOf(2, "a") })).toThrow("W8 a term never goes back");
  });
});
