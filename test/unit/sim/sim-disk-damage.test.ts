/** Damage at rest goes where it can be noticed, and does what it says; another disk can be put in. */
import { describe, expect, test } from "vitest";
import {
  cutAndStart,
  expectBytes,
  killAndStart,
  newWorld,
  pattern,
  prefilled,
  runFor,
  sector,
  start,
  write,
} from "../../../test-support/sim-disk-world.js";

describe("settled bytes", () => {
  test("are those of a write behind which another stands that began after its answer, and no zeros of a new file", () => {
    const world = newWorld(1);
    const file = prefilled(world, "d/1", 8192);
    expect(world.disk.damageable("d/1")).toEqual([]);
    write(world, file, 100, pattern(300, 1));
    expect(world.disk.damageable("d/1")).toEqual([]);
    write(world, file, 400, pattern(300, 2));
    expect(world.disk.damageable("d/1")).toEqual([{ from: 100, to: 400 }]);
    write(world, file, 700, pattern(300, 3));

    expect(world.disk.damageable("d/1")).toEqual([{ from: 100, to: 700 }]);
  });

  test("need a later write that did not begin before the answer, and one that is durable", () => {
    const world = newWorld(1);
    const file = prefilled(world, "d/1", 8192);
    file.write(0, [pattern(100, 1)], () => undefined);
    file.write(100, [pattern(100, 2)], () => undefined);
    runFor(world, 100);
    expect(world.disk.damageable("d/1")).toEqual([]);
    file.write(200, [pattern(100, 3)], () => undefined);
    expect(world.disk.damageable("d/1")).toEqual([]);
    runFor(world, 100);
    expect(world.disk.damageable("d/1")).toEqual([{ from: 0, to: 200 }]);
  });

  test("of a process that was not told yet are not settled by what comes next", () => {
    const world = newWorld(1);
    const file = prefilled(world, "d/1", 8192);
    file.write(0, [pattern(100, 1)], () => undefined);
    world.process.pause();
    runFor(world, 100);
    killAndStart(world);
    write(world, world.port.openFile("d/1", "existing"), 100, pattern(100, 2));

    expect(world.disk.damageable("d/1")).toEqual([]);
  });

  test("are no more once they are written over", () => {
    const world = newWorld(1);
    const file = prefilled(world, "d/1", 8192);
    for (let at = 0; at < 4; at += 1) write(world, file, at * 100, pattern(100, at));
    expect(world.disk.damageable("d/1")).toEqual([{ from: 0, to: 300 }]);
    file.write(50, [pattern(100, 9)], () => undefined);
    expect(world.disk.damageable("d/1")).toEqual([
      { from: 0, to: 50 },
      { from: 150, to: 300 },
    ]);
    runFor(world, 100);
    write(world, file, 400, pattern(100, 5));
    expect(world.disk.damageable("d/1")).toEqual([{ from: 0, to: 400 }]);
  });

  test("need an answer to all writes before them, also those to the file before in the series", () => {
    let early = 0;
    for (let seed = 0; seed < 40; seed += 1) {
      const world = newWorld(seed);
      const first = prefilled(world, "d/1.segment", 8192);
      const second = prefilled(world, "d/2.segment", 8192);
      const told: string[] = [];
      first.write(0, [pattern(600, 1)], () => told.push("a"));
      second.write(0, [pattern(600, 2)], () => {
        told.push("b");
        second.write(600, [pattern(600, 3)], () => told.push("c"));
      });
      runFor(world, 100);
      if (told.join("") === "abc") expect(world.disk.damageable("d/2.segment")).toEqual([{ from: 0, to: 600 }]);
      else {
        // The third one began before the first was answered, so it cannot know that the second counts.
        early += 1;
        expect(world.disk.damageable("d/1.segment")).toEqual([]);
        expect(world.disk.damageable("d/2.segment")).toEqual([]);
        write(world, second, 1200, pattern(1, 1));
        expect(world.disk.damageable("d/1.segment")).toEqual([{ from: 0, to: 600 }]);
        expect(world.disk.damageable("d/2.segment")).toEqual([{ from: 0, to: 1200 }]);
      }
    }

    expect(early).toBeGreaterThan(5);
    expect(early).toBeLessThan(35);
  });

  test("are not settled by what a start-up writes anew", () => {
    const world = newWorld(1);
    const file = prefilled(world, "d/1.segment", 8192);
    write(world, file, 0, pattern(600, 1));
    killAndStart(world);
    const again = world.port.openFile("d/1.segment", "existing");
    again.writeNow(600, pattern(100, 2));
    again.syncNow();
    expect(world.disk.damageable("d/1.segment")).toEqual([]);
    write(world, again, 700, pattern(100, 3));

    expect(world.disk.damageable("d/1.segment")).toEqual([{ from: 0, to: 700 }]);
  });

  test("are no zeros that make a file longer, whatever their place in memory, and what is not zero is kept through it", () => {
    const world = newWorld(1);
    const file = prefilled(world, "d/1", 100);
    world.disk.flipBit("d/1", 99, 7);
    const zeros = new Uint8Array(20_003);
    let size = 100;
    for (let offset = 0; offset < 8; offset += 1) {
      for (const length of [1, 2, 3, 9, 1000, 5001]) {
        expect(write(world, file, size, zeros.subarray(offset, offset + length))).toBeUndefined();
        size += length;
      }
    }
    expect(world.disk.damageable("d/1")).toEqual([]);
    const wanted = new Uint8Array(size + 9);
    wanted[99] = 128;
    expectBytes(world.disk.platterBytesOf("d/1"), wanted.subarray(0, size));
    // One byte at any place of a run of zeros makes a write of it.
    for (let at = 0; at < 9; at += 1) {
      const bytes = new Uint8Array(9);
      bytes[at] = 5;
      expect(write(world, file, size, bytes)).toBeUndefined();
      expect(write(world, file, size + 9, pattern(1, 1))).toBeUndefined();
      expect(world.disk.damageable("d/1").at(-1)?.to).toBe(size + 9);
      size += 10;
    }
    expectBytes(world.disk.bytesOf("d/1").subarray(0, 100), wanted.subarray(0, 100));
    expectBytes(world.disk.platterBytesOf("d/1"), world.disk.bytesOf("d/1"));
  });

  test("are settled by the next file of a series, and neither by a file that is not part of it nor by one that repairs", () => {
    const world = newWorld(1);
    const file = prefilled(world, "d/1.segment", 8192);
    const preparing = world.port.openFile("d/preparing", "create");
    write(world, file, 4000, pattern(100, 1));
    write(world, preparing, 0, new Uint8Array(8192));
    write(world, preparing, 0, pattern(512, 2));
    // A repair goes through a file of its own, to a place before.
    write(world, world.port.openFile("d/1.segment", "existing"), 100, pattern(100, 3));
    expect(world.disk.damageable("d/1.segment")).toEqual([]);
    world.port.publish("d/preparing", "d/2.segment", () => undefined);
    runFor(world, 100);
    write(world, preparing, 512, pattern(100, 4));

    expect(world.disk.damageable("d/1.segment")).toEqual([
      { from: 100, to: 200 },
      { from: 4000, to: 4100 },
    ]);
    expect(world.disk.damageable("d/2.segment")).toEqual([{ from: 0, to: 512 }]);
  });

  test("are flipped bit by bit, on the platter and in the cache", () => {
    const world = newWorld(1);
    const file = prefilled(world, "d/1", 8192);
    expect(world.disk.flipRandomBit("d/1").applied).toBe(false);
    expect(world.disk.flipRandomBit("d/2").applied).toBe(false);
    write(world, file, 1000, pattern(100, 1));
    write(world, file, 1100, pattern(100, 2));
    const before = world.disk.bytesOf("d/1");
    for (let round = 0; round < 50; round += 1) {
      const last = world.disk.bytesOf("d/1");
      expect(world.disk.flipRandomBit("d/1").applied).toBe(true);
      const now = world.disk.bytesOf("d/1");
      const changed = [...now.keys()].filter((at) => now[at] !== last[at]);
      expect(changed.length).toBe(1);
      const [at = 0] = changed;
      expect(at >= 1000 && at < 1100).toBe(true);
      const difference = (now[at] ?? 0) ^ (last[at] ?? 0);
      expect(difference & (difference - 1)).toBe(0);
    }
    expectBytes(world.disk.platterBytesOf("d/1"), world.disk.bytesOf("d/1"));
    expect(world.disk.statistics.bitsFlipped).toBe(50);
    expect(world.disk.flipBit("d/1", 0, 3)).toEqual({ applied: true, detail: "bit 3 of byte 0 of d/1 is flipped" });
    expect(world.disk.bytesOf("d/1")[0]).toBe((before[0] ?? 0) ^ 8);
    expect(world.disk.flipBit("d/1", 8192, 3).applied).toBe(false);
  });

  test("of a lost write are what they were before it, where nothing came later", () => {
    const world = newWorld(1);
    const file = prefilled(world, "d/1", 8192);
    write(world, file, 0, pattern(400, 1));
    write(world, file, 100, pattern(200, 2));
    write(world, file, 150, pattern(20, 3));
    write(world, file, 4000, pattern(10, 4));
    const losses: string[] = [];
    for (;;) {
      const loss = world.disk.loseWrite("d/1");
      if (!loss.applied) break;
      losses.push(loss.detail);
    }

    expect(losses.sort()).toEqual([
      "the write of bytes 0 to 400 of d/1 is lost",
      "the write of bytes 100 to 300 of d/1 is lost",
      "the write of bytes 150 to 170 of d/1 is lost",
    ]);
    const wanted = new Uint8Array(8192);
    wanted.set(pattern(400, 1).subarray(100, 300), 100);
    wanted.set(pattern(200, 2).subarray(50, 70), 150);
    wanted.set(pattern(10, 4), 4000);
    expectBytes(world.disk.bytesOf("d/1"), wanted);
    expectBytes(world.disk.platterBytesOf("d/1"), wanted);
    expect(world.disk.statistics.writesLost).toBe(3);
  });

  test("get the sectors of another write when that is misdirected, and its own place what was there before", () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const world = newWorld(seed);
      const file = prefilled(world, "d/1", 64 * sector);
      for (let at = 0; at < 20; at += 1) write(world, file, at * 700, pattern(700, at));
      const before = world.disk.bytesOf("d/1");
      const { applied, detail } = world.disk.misdirectWrite("d/1");
      expect(applied).toBe(true);
      const match = /bytes (\d+) to (\d+) of d\/1 went to byte (\d+)$/.exec(detail);
      const [from = 0, to = 0, place = 0] = (match ?? []).slice(1).map(Number);
      const first = Math.floor(from / sector) * sector;
      const length = Math.ceil(to / sector) * sector - first;

      const wanted = before.slice();
      wanted.fill(0, from, to);
      wanted.set(before.subarray(first, first + length), place);
      expect(place % sector).toBe(0);
      expect(place + length <= first || place >= first + length).toBe(true);
      expect(place + length).toBeLessThanOrEqual(19 * 700);
      expectBytes(world.disk.bytesOf("d/1"), wanted);
      expectBytes(world.disk.platterBytesOf("d/1"), wanted);
      expect(world.disk.statistics.writesMisdirected).toBe(1);
    }
    const world = newWorld(1);
    const file = prefilled(world, "d/1", 8192);
    for (let at = 0; at < 3; at += 1) write(world, file, at * 100, pattern(100, at));
    expect(world.disk.misdirectWrite("d/1").applied).toBe(false);
  });

  test("survive damage at rest through a power cut: the damage stays, what is in flight is not touched", () => {
    const world = newWorld(2);
    const file = prefilled(world, "d/1", 8192);
    for (let at = 0; at < 4; at += 1) write(world, file, at * 1000, pattern(1000, at));
    world.disk.flipBit("d/1", 500, 0);
    world.disk.damage("d/1", (bytes) => bytes.fill(7, 1000, 1010));
    const damaged = world.disk.bytesOf("d/1");
    cutAndStart(world);

    expectBytes(world.port.readFile("d/1", 8192), damaged);
  });
});

describe("another disk", () => {
  test("a copy holds what is durable, stays as it was, and is put back as often as one likes", () => {
    const world = newWorld(1);
    const file = prefilled(world, "d/1", 8192);
    write(world, file, 0, pattern(100, 1));
    write(world, file, 100, pattern(100, 2));
    file.write(200, [pattern(100, 3)], () => undefined);
    world.port.openFile("d/2", "create");
    const copy = world.disk.copy();
    runFor(world, 100);
    write(world, file, 0, pattern(100, 9));
    for (let round = 0; round < 2; round += 1) {
      world.process.kill();
      expect(world.disk.restore(copy).applied).toBe(true);
      Object.assign(world, start(world.scheduler, world.disk));

      expect(world.port.list("d")).toEqual(["1"]);
      const wanted = new Uint8Array(8192);
      wanted.set(pattern(100, 1), 0);
      wanted.set(pattern(100, 2), 100);
      expectBytes(world.port.readFile("d/1", 8192), wanted);
      expect(world.disk.damageable("d/1")).toEqual([{ from: 0, to: 100 }]);
      write(world, world.port.openFile("d/1", "existing"), 0, pattern(100, 8));
    }
    expect(copy.bytes).toBe(8192);
  });

  test("a wiped one is empty", () => {
    const world = newWorld(1);
    prefilled(world, "d/1", 8192);
    world.process.kill();
    world.disk.wipe();
    Object.assign(world, start(world.scheduler, world.disk));

    expect(world.port.exists("d")).toBe(false);
    expect(world.disk.list(".")).toEqual([]);
    expect(world.port.lock(".").kind).toBe("locked");
  });
});
