/** What a replica has learnt about its peers, on disk: newest last, and nothing rather than something wrong. */
import { expect, test } from "vitest";
import { KnownStore, readKnown, type Known } from "../../../src/storage/known-store.js";
import { indexOf, termOf, testHash } from "../../../test-support/log-world.js";
import { MemoryDisk } from "../../../test-support/memory-disk.js";

const parts = (disk: MemoryDisk) => ({ disk, hash: testHash, directory: "data" });

function known(commitIndex: number, index = 7): Known {
  const promised = { term: termOf(3), index: indexOf(index) };
  return {
    commitIndex: indexOf(commitIndex),
    peers: [
      { id: "b", incarnation: 1, process: "p", starts: 4, promised },
      { id: "c", incarnation: 77, process: "q", starts: 1, promised: undefined },
    ],
  };
}

test("it reads back; of many in a row the newest is there once all is done", () => {
  const disk = new MemoryDisk();
  disk.makeDirectory("data");
  const store = new KnownStore(parts(disk));
  expect(readKnown(parts(disk))).toEqual({ commitIndex: 0, peers: [] });
  for (let count = 1; count <= 5; count += 1) store.write(known(count));
  let isClosed = false;
  store.close(() => (isClosed = true));
  expect(isClosed).toBe(false);
  disk.settle();
  expect(isClosed).toBe(true);
  disk.crash("nothing");
  expect(readKnown(parts(disk))).toEqual(known(5));
});

test("the same is not written twice", () => {
  const disk = new MemoryDisk();
  disk.makeDirectory("data");
  const store = new KnownStore(parts(disk));
  store.write(known(1));
  disk.settle();
  const before = disk.writes.length;
  store.write(known(1));
  disk.settle();
  expect(disk.writes.length).toBe(before);
  store.write(known(1, 8));
  disk.settle();
  expect(disk.writes.length).toBeGreaterThan(before);
});

test("what is damaged says nothing, and what the disk refuses is left out", () => {
  const disk = new MemoryDisk();
  disk.makeDirectory("data");
  const store = new KnownStore(parts(disk));
  store.write(known(1));
  disk.settle();
  disk.fail(/known/, "full", 1);
  store.write(known(2));
  disk.settle();
  expect(readKnown(parts(disk)).commitIndex).toBe(1);
  store.write(known(3));
  disk.settle();
  expect(readKnown(parts(disk)).commitIndex).toBe(3);
  disk.damage("data/known", (bytes) => (bytes[9] = 255 - (bytes[9] ?? 0)));
  expect(readKnown(parts(disk))).toEqual({ commitIndex: 0, peers: [] });
});
