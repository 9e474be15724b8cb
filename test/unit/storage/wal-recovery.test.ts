/** The decision table, row by row: what is damage, what is a tail, what is told and what is erased. */
import { describe, expect, test } from "vitest";
import type { MemoryDisk } from "../../../test-support/memory-disk.js";
import {
  directory,
  entryAt,
  formattedDisk,
  hardStateOf,
  indexOf,
  logIdentity,
  openedLog,
  smallSegment,
  testHash,
  textsOf,
  tryOpenLog,
} from "../../../test-support/log-world.js";
import type { RecordHeader } from "../../../src/storage/wal-format.js";
import { entryChecksum, recordBytes, recordHeaderBytes } from "../../../src/storage/wal-format.js";
import { decisions } from "../../../src/storage/wal-recovery.js";
import { scanSegment } from "../../../src/storage/wal-scan.js";

const segment = `${directory}/log/0000000001.segment`;
const context = { hash: testHash, logIdentity };

function text(index: number): string {
  return `entry ${index}`.padEnd(40, ".");
}

/** A log of `count` entries, each synced by a write of its own, closed: the last of them is claimed by a marker. */
function diskWith(count: number): MemoryDisk {
  const disk = formattedDisk(smallSegment);
  const world = openedLog(disk, smallSegment);
  world.write({ hardState: hardStateOf(1, "a") });
  for (let at = 1; at <= count; at += 1) world.write({ entries: [entryAt(at, 1, text(at))] });
  world.close();
  disk.crash("nothing");
  return disk;
}

function recordsOf(disk: MemoryDisk): readonly RecordHeader[] {
  return [...scanSegment(disk.bytesOf(segment), 0, context)].map(({ header }) => header);
}

function recordOf(disk: MemoryDisk, index: number): RecordHeader {
  const found = recordsOf(disk).find((header) => header.kind === "batch" && header.index === index);
  if (found === undefined) throw new Error(`no record of entry ${index}`);
  return found;
}

function flip(disk: MemoryDisk, at: number): void {
  disk.damage(segment, (bytes) => (bytes[at] = (bytes[at] ?? 0) ^ 0x10));
}

function damagedIndexes(disk: MemoryDisk): readonly number[] {
  return openedLog(disk, smallSegment).recovered.damaged.map(({ index }) => index);
}

describe("wal-recovery", () => {
  test("the table keeps what is whole, names damage where it can, and erases only what nobody was promised", () => {
    expect(decisions).toEqual({
      whole: { damage: "keep", tail: "keep" },
      contentDamaged: { damage: "name", tail: "cut" },
      gapWithoutLoss: { damage: "skip", tail: "cut" },
      gapNamed: { damage: "name", tail: "cut" },
      gapUnnamed: { damage: "amnesia", tail: "cut" },
      predecessorReplaced: { damage: "name", tail: "cut" },
    });
  });

  test("D2: a write torn at any byte is cut off, and what was synced before it stays", () => {
    const whole = formattedDisk(smallSegment);
    const world = openedLog(whole, smallSegment);
    for (let at = 1; at <= 3; at += 1) world.write({ entries: [entryAt(at, 0, text(at))] });
    const last = recordOf(whole, 3);
    const end = last.position + recordBytes(last.bodyBytes);
    const unpadded = last.position + recordHeaderBytes + last.bodyBytes;

    for (let cut = last.position; cut < end; cut += 1) {
      const disk = whole.copy();
      disk.damage(segment, (bytes) => bytes.fill(0, cut, end));
      const { recovered } = openedLog(disk, smallSegment);

      // Beyond the body there is only padding.
      expect(recovered.lastIndex).toBe(cut < unpadded ? 2 : 3);
      expect(recovered).toMatchObject({ damaged: [], amnesia: undefined });
    }
  });

  test("D3: a bit flipped anywhere in a synced record is named as damage of that entry, or harms nothing", () => {
    const whole = diskWith(10);
    const record = recordOf(whole, 5);
    const checksum = entryChecksum(testHash, entryAt(5, 1, text(5)));

    for (let at = 0; at < recordBytes(record.bodyBytes); at += 1) {
      const disk = whole.copy();
      flip(disk, record.position + at);
      const { recovered } = openedLog(disk, smallSegment);

      expect(recovered).toMatchObject({ lastIndex: 10, amnesia: undefined });
      expect(recovered.damaged).toEqual([{ index: 5, term: 1, checksum }]);
      expect(textsOf(recovered.tail)).toEqual([6, 7, 8, 9, 10].map(text));
    }
  });

  test("a damaged entry is not read, its neighbours are, and a repair brings it back for good", () => {
    for (const offset of [0, 8, 50, recordHeaderBytes + 3]) {
      const disk = diskWith(10);
      flip(disk, recordOf(disk, 5).position + offset);
      const world = openedLog(disk, smallSegment);

      expect(world.read(5, 1000)).toMatchObject({ kind: "storageFailure", code: "damaged" });
      expect(textsOf(world.read(3, 1000))).toEqual([3, 4].map(text));
      expect(textsOf(world.read(6, 1000))).toEqual([6, 7, 8, 9, 10].map(text));
      expect(world.repair(entryAt(5, 1, "something else"))).toMatchObject({ code: "damaged" });
      expect(world.repair(entryAt(5, 1, text(5)))).toBeUndefined();
      expect(textsOf(world.read(1, 10_000))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(text));
      world.close();
      disk.crash("nothing");

      const again = openedLog(disk, smallSegment).recovered;
      expect(again).toMatchObject({ lastIndex: 10, damaged: [], amnesia: undefined });
      expect(again.tail.length).toBe(10);
    }
  });

  test("D4: what is appended behind a torn tail is found after the next restart", () => {
    const disk = formattedDisk(smallSegment);
    const world = openedLog(disk, smallSegment);
    for (let at = 1; at <= 5; at += 1) world.write({ entries: [entryAt(at, 0, text(at))] });
    const torn = recordOf(disk, 5);
    disk.damage(segment, (bytes) => bytes.fill(0, torn.position + 20, torn.position + 60));
    const second = openedLog(disk, smallSegment);
    for (let at = 5; at <= 14; at += 1) second.write({ entries: [entryAt(at, 0, `second ${at}`)] });
    disk.crash("nothing");

    const { recovered } = openedLog(disk, smallSegment);
    expect(textsOf(recovered.tail).slice(4)).toEqual(Array.from({ length: 10 }, (_, at) => `second ${at + 5}`));
  });

  test("D6: of two writes in flight the second alone is not believed, and never comes back", () => {
    const disk = formattedDisk(smallSegment);
    const world = openedLog(disk, smallSegment, 3);
    for (let at = 1; at <= 3; at += 1) world.write({ entries: [entryAt(at, 0, text(at))] });
    world.begin({ entries: [entryAt(4, 0, text(4))] });
    world.begin({ entries: [entryAt(5, 0, text(5))] });
    const [lost, kept] = [recordOf(disk, 4), recordOf(disk, 5)];
    disk.damage(segment, (bytes) => bytes.fill(0, lost.position, kept.position));
    disk.kill();

    const second = openedLog(disk, smallSegment);
    const found = second.recovered.lastIndex;
    second.write({ entries: [entryAt(4, 0, text(4))] });
    disk.crash("nothing");

    expect(found).toBe(3);
    expect(openedLog(disk, smallSegment).recovered).toMatchObject({ lastIndex: 4, damaged: [] });
  });

  test("D7: a length that lies makes nobody read or allocate more, whatever it says", () => {
    for (const length of [0, 1, 0x7fff_ffff, 0xffff_ffff]) {
      const disk = diskWith(10);
      const { position } = recordOf(disk, 5);
      disk.damage(segment, (bytes) => new DataView(bytes.buffer).setUint32(position + 72, length, true));

      expect(damagedIndexes(disk)).toEqual([5]);
    }
  });

  test("D8: a valid record in the place of another is not taken for it", () => {
    const disk = diskWith(10);
    const [from, to] = [recordOf(disk, 4), recordOf(disk, 6)];
    disk.damage(segment, (bytes) =>
      bytes.copyWithin(to.position, from.position, from.position + recordBytes(from.bodyBytes)),
    );

    const { recovered } = openedLog(disk, smallSegment);
    expect(recovered.damaged.map(({ index }) => index)).toEqual([6]);
    expect(textsOf(recovered.tail)).toEqual([7, 8, 9, 10].map(text));
  });

  test("D8: a record of another log in the same place is not taken for ours", () => {
    const disk = diskWith(10);
    const { position } = recordOf(disk, 6);
    disk.damage(segment, (bytes) => {
      bytes[position + 32] = 99;
      const checksum = testHash.crc32(bytes.subarray(position + 8, position + recordHeaderBytes));
      new DataView(bytes.buffer).setUint32(position + 4, checksum, true);
    });

    expect(damagedIndexes(disk)).toEqual([6]);
  });

  test("the last synced entry is damage once a marker has said that it was synced, and a tail before", () => {
    const claimed = diskWith(10);
    flip(claimed, recordOf(claimed, 10).position + 50);

    const unclaimed = formattedDisk(smallSegment);
    const world = openedLog(unclaimed, smallSegment);
    for (let at = 1; at <= 10; at += 1) world.write({ entries: [entryAt(at, 0, text(at))] });
    flip(unclaimed, recordOf(unclaimed, 10).position + 50);

    expect(openedLog(claimed, smallSegment).recovered).toMatchObject({ lastIndex: 10, damaged: [{ index: 10 }] });
    expect(openedLog(unclaimed, smallSegment).recovered).toMatchObject({ lastIndex: 9, damaged: [] });
  });

  test("a sector that takes many headers is named from the tables that follow", () => {
    const disk = diskWith(300);
    const [first, last] = [recordOf(disk, 20), recordOf(disk, 40)];
    disk.damage(segment, (bytes) => bytes.fill(0xaa, first.position, last.position));

    const world = openedLog(disk, smallSegment);
    expect(world.recovered).toMatchObject({ lastIndex: 300, amnesia: undefined });
    expect(world.recovered.damaged.map(({ index }) => index)).toEqual(Array.from({ length: 20 }, (_, at) => at + 20));
    for (const { index } of world.recovered.damaged) {
      expect(world.repair(entryAt(index, 1, text(index)))).toBeUndefined();
    }
    world.close();
    disk.crash("nothing");
    expect(openedLog(disk, smallSegment).recovered).toMatchObject({ lastIndex: 300, damaged: [], amnesia: undefined });
  });

  test("records lost with their names make an amnesiac, who writes nothing and changes nothing on disk", () => {
    const disk = diskWith(10);
    const [first, last] = [recordOf(disk, 4), recordOf(disk, 7)];
    disk.damage(segment, (bytes) => bytes.fill(0, first.position, last.position));
    const before = disk.bytesOf(segment);

    const world = openedLog(disk, smallSegment);
    world.begin({ entries: [entryAt(4, 2, "x")] });
    world.settle();

    expect(world.recovered).toMatchObject({ amnesia: expect.any(String) as string, lastIndex: 3 });
    expect(world.recovered.amnesia).toContain("lost with their names");
    expect(world.failures).toMatchObject([{ code: "damaged" }]);
    expect(textsOf(world.read(1, 1000))).toEqual([1, 2, 3].map(text));
    expect(Buffer.compare(disk.bytesOf(segment), before)).toBe(0);
  });

  test("a damaged truncation is made good from its name, and brings no dropped entry back", () => {
    const disk = formattedDisk(smallSegment);
    const world = openedLog(disk, smallSegment);
    world.write({ hardState: hardStateOf(1, "a"), entries: [1, 2, 3, 4].map((at) => entryAt(at, 1, text(at))) });
    world.write({ truncateFrom: indexOf(2), entries: [entryAt(2, 1, "new 2"), entryAt(3, 1, "new 3")] });
    world.close();
    const truncation = recordsOf(disk).find(({ kind }) => kind === "truncate");
    flip(disk, (truncation?.position ?? 0) + 20);

    const { recovered } = openedLog(disk, smallSegment);
    expect(recovered).toMatchObject({ lastIndex: 3, damaged: [], amnesia: undefined });
    expect(textsOf(recovered.tail)).toEqual([text(1), "new 2", "new 3"]);
  });

  test("only a truncation takes a damaged entry off the list without a repair", () => {
    const disk = diskWith(10);
    flip(disk, recordOf(disk, 8).position + 50);
    const world = openedLog(disk, smallSegment);
    world.write({ hardState: hardStateOf(2, "b"), truncateFrom: indexOf(8), entries: [entryAt(8, 2, "other")] });
    disk.crash("nothing");

    expect(openedLog(disk, smallSegment).recovered).toMatchObject({ lastIndex: 8, damaged: [], amnesia: undefined });
  });

  test("a write that the disk lost, leaving an older record in its place, is named by its successor", () => {
    const disk = diskWith(6);
    const old = diskWith(6);
    const { position, bodyBytes } = recordOf(disk, 5);
    // The same place and length, another content, all checksums right: as after a lost write over an earlier life.
    const other = formattedDisk(smallSegment);
    const world = openedLog(other, smallSegment);
    world.write({ hardState: hardStateOf(1, "a") });
    for (let at = 1; at <= 6; at += 1) world.write({ entries: [entryAt(at, 1, at === 5 ? text(9) : text(at))] });
    const stale = other.bytesOf(segment).subarray(position, position + recordBytes(bodyBytes));
    old.damage(segment, (bytes) => bytes.set(stale, position));

    const { recovered } = openedLog(old, smallSegment);
    const checksum = entryChecksum(testHash, entryAt(5, 1, text(5)));
    expect(recovered).toMatchObject({ lastIndex: 6, amnesia: undefined, damaged: [{ index: 5, term: 1, checksum }] });
    expect(textsOf(recovered.tail)).toEqual([text(6)]);
  });
});

describe("wal-recovery: files", () => {
  function rolled(): MemoryDisk {
    const disk = formattedDisk(smallSegment);
    const world = openedLog(disk, smallSegment);
    for (let at = 1; at <= 60; at += 1) world.write({ entries: [entryAt(at, 0, `${at}`.padEnd(3000, "x"))] });
    world.close();
    return disk;
  }

  test("a missing segment is refused by its name, first or between others", () => {
    for (const name of ["0000000001.segment", "0000000002.segment"]) {
      const disk = rolled();
      disk.remove(`${directory}/log/${name}`);

      expect(tryOpenLog(disk, smallSegment)).toMatchObject({
        kind: "refused",
        code: "missing",
        message: expect.stringContaining(name) as string,
      });
    }
  });

  test("a segment of another log, of a newer format, or under another name is refused", () => {
    const change = (at: number, value: number): unknown => {
      const disk = rolled();
      disk.damage(`${directory}/log/0000000002.segment`, (bytes) => {
        bytes[at] = value;
        new DataView(bytes.buffer).setUint32(4, testHash.crc32(bytes.subarray(8, 48)), true);
      });
      return tryOpenLog(disk, smallSegment);
    };

    expect(change(16, 77)).toMatchObject({ kind: "refused", code: "foreign" });
    expect(change(8, 2)).toMatchObject({ kind: "refused", code: "newerVersion" });
    expect(change(24, 9)).toMatchObject({ kind: "refused", code: "damaged" });
  });

  test("a segment's damaged header is written again from what its neighbours say", () => {
    for (const name of ["0000000001.segment", "0000000002.segment"]) {
      const disk = rolled();
      const before = disk.bytesOf(`${directory}/log/${name}`);
      disk.damage(`${directory}/log/${name}`, (bytes) => bytes.fill(0, 0, 30));

      expect(openedLog(disk, smallSegment).recovered).toMatchObject({ lastIndex: 60, damaged: [], amnesia: undefined });
      expect(Buffer.compare(disk.bytesOf(`${directory}/log/${name}`), before)).toBe(0);
    }
  });

  test("D18: a hard state older than what the log has seen makes an amnesiac", () => {
    const disk = formattedDisk(smallSegment);
    const old = disk.bytesOf(`${directory}/hard-state`);
    const world = openedLog(disk, smallSegment);
    world.write({ hardState: hardStateOf(4, "a"), entries: [entryAt(1, 4, "x")] });
    disk.damage(`${directory}/hard-state`, (bytes) => bytes.set(old));

    expect(openedLog(disk, smallSegment).recovered).toMatchObject({
      amnesia: expect.any(String) as string,
      hardState: { term: 4 },
    });
  });

  test("a hard-state file that is gone is refused", () => {
    const disk = rolled();
    disk.remove(`${directory}/hard-state`);

    expect(tryOpenLog(disk, smallSegment)).toMatchObject({ kind: "refused", code: "missing" });
  });
});
