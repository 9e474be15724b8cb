/** Checkpoints on disk: there with all of their chunks or not at all, and believed only by their hashes. */
import { expect, test } from "vitest";
import { encodeManifest } from "../../../src/wire/checkpoint-codec.js";
import type { Certificate, Checkpoint, ChunkName } from "../../../src/model/checkpoint.js";
import { CheckpointStore, ChunkDamaged, readAll } from "../../../src/storage/checkpoint-store.js";
import { directory, indexOf, termOf, testHash } from "../../../test-support/log-world.js";
import { MemoryDisk } from "../../../test-support/memory-disk.js";

const path = `${directory}/checkpoints`;
const contentOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.repeat(50)));
const nameOf = (text: string): ChunkName => {
  const bytes = contentOf(text);
  return { hash: testHash.sha256(bytes), bytes: bytes.length };
};

function checkpointOf(index: number, texts: readonly string[]): Checkpoint {
  const plain = { last: { index: indexOf(index), term: termOf(1) }, time: index * 10, chunks: texts.map(nameOf) };
  return { ...plain, root: testHash.sha256(encodeManifest(plain)) };
}

const certificateOf = ({ last, root }: Checkpoint): Certificate => ({
  index: last.index,
  root,
  bytes: 1,
  by: ["a", "b"],
});
const opened = (disk: MemoryDisk, bothBytesMax = 0): CheckpointStore =>
  new CheckpointStore({ disk, hash: testHash, directory, bothBytesMax });

function newDisk(): MemoryDisk {
  const disk = new MemoryDisk();
  disk.makeDirectory(directory);
  return disk;
}

/** Starts everything, and completes nothing. */
function begin(store: CheckpointStore, checkpoint: Checkpoint, texts: readonly string[]): void {
  const [first, ...rest] = texts;
  if (first === undefined)
    return store.publish(checkpoint, () => store.certify(certificateOf(checkpoint), "goesOn", () => {}));
  store.adopt(nameOf(first), (isThere) => {
    if (isThere) begin(store, checkpoint, rest);
    else store.writeChunk(nameOf(first), contentOf(first), () => begin(store, checkpoint, rest));
  });
}

function keep(disk: MemoryDisk, store: CheckpointStore, index: number, texts: readonly string[]): Checkpoint {
  const checkpoint = checkpointOf(index, texts);
  begin(store, checkpoint, texts);
  disk.settle();
  return checkpoint;
}

const texts = (store: CheckpointStore): string[] =>
  [...readAll(store, store.newest?.chunks ?? [])].map((bytes) => Buffer.from(bytes).toString()[0] ?? "");

test("what is published and certified is there after a power cut, and what is older is gone", () => {
  const disk = newDisk();
  const store = opened(disk);
  keep(disk, store, 10, ["a", "b"]);
  const newer = keep(disk, store, 20, ["b", "c"]);
  const chunks = disk.list(path).filter((name) => name.endsWith(".chunk"));
  disk.crash("nothing");
  const again = opened(disk);

  expect(chunks.length).toBe(2);
  expect(again.newest).toEqual(newer);
  expect(again.certified).toEqual(newer);
  expect(again.certificate).toEqual(certificateOf(newer));
  expect(texts(again)).toEqual(["b", "c"]);
});

test("a chunk that is there is not written again", () => {
  const disk = newDisk();
  const store = opened(disk);
  keep(disk, store, 10, ["a", "b"]);
  const before = disk.writes.length;
  keep(disk, store, 20, ["a", "b"]);

  // The manifest and the certificate.
  expect(disk.writes.length - before).toBe(2);
});

test("a crash after any operation leaves the old checkpoint or the new one, whole (S9, D15)", () => {
  const found = new Set<number>();
  let isCut = true;
  for (let after = 0; isCut; after += 1) {
    for (const survival of ["nothing", "everything", { seed: after + 1 }] as const) {
      const disk = newDisk();
      const store = opened(disk);
      keep(disk, store, 10, ["a", "b"]);
      begin(store, checkpointOf(20, ["b", "c"]), ["b", "c"]);
      for (let done = 0; done < after; done += 1) isCut = disk.step();
      disk.crash(survival);
      const again = opened(disk);

      found.add(again.newest?.last.index ?? 0);
      expect(again.certified).toBeDefined();
      expect(texts(again)).toEqual(again.newest?.last.index === 20 ? ["b", "c"] : ["a", "b"]);
      // It goes on from there.
      keep(disk, again, 30, ["c", "d"]);
      expect(texts(again)).toEqual(["c", "d"]);
    }
  }
  expect([...found].sort()).toEqual([10, 20]);
});

test("a chunk that was left behind by a crash is used again if it is whole, and not if it is torn", () => {
  const disk = newDisk();
  const store = opened(disk);
  store.writeChunk(nameOf("a"), contentOf("a"), () => {});
  store.writeChunk(nameOf("b"), contentOf("b"), () => {});
  disk.settle();
  disk.crash("everything");
  const torn = disk.list(path).find((name) => name.startsWith(Buffer.from(nameOf("b").hash).toString("hex")));
  disk.damage(`${path}/${torn}`, (bytes) => bytes.fill(0, 7));
  const again = opened(disk);
  const there: boolean[] = [];
  again.adopt(nameOf("a"), (isThere) => there.push(isThere));
  again.adopt(nameOf("b"), (isThere) => there.push(isThere));
  disk.settle();

  expect(there).toEqual([true, false]);
});

test("a flipped bit in a chunk is noticed when it is read, in either way (S7)", () => {
  const disk = newDisk();
  const checkpoint = keep(disk, opened(disk), 10, ["a", "b"]);
  const [, second] = checkpoint.chunks;
  if (second === undefined) throw new Error("two chunks");
  disk.damage(`${path}/${Buffer.from(second.hash).toString("hex")}.chunk`, (bytes) => {
    bytes[9] = (bytes[9] ?? 0) ^ 4;
  });
  const store = opened(disk);
  let read: Uint8Array | undefined = new Uint8Array(1);
  store.readChunk(second, (bytes) => (read = bytes));
  disk.settle();

  expect(read).toBeUndefined();
  expect(() => texts(store)).toThrow(ChunkDamaged);
});

test("a chunk that is found damaged is not there any more: it is written again, and nothing is published with it before", () => {
  const disk = newDisk();
  const store = opened(disk);
  const checkpoint = keep(disk, store, 10, ["a", "b"]);
  const [, second] = checkpoint.chunks;
  if (second === undefined) throw new Error("two chunks");
  expect([store.named, store.isDamaged]).toEqual([checkpoint.chunks, false]);
  const file = `${path}/${Buffer.from(second.hash).toString("hex")}.chunk`;
  disk.damage(file, (bytes) => {
    bytes[9] = (bytes[9] ?? 0) ^ 4;
  });
  // Taken over while nobody knows.
  const next = checkpointOf(20, ["a", "b"]);
  for (const chunk of next.chunks) store.adopt(chunk, () => undefined);
  const whole: boolean[] = [];
  for (const chunk of checkpoint.chunks) store.look(chunk, (isWhole) => whole.push(isWhole()));
  disk.settle();
  expect([whole, store.isDamaged]).toEqual([[true, false], true]);
  const failures: (string | undefined)[] = [];
  store.publish(next, (failure) => failures.push(failure?.message));
  store.letGo(next.chunks);

  keep(disk, store, 30, ["a", "b"]);
  expect([failures, store.isDamaged]).toEqual([[expect.stringMatching(/^chunk [0-9a-f]+ is damaged$/)], false]);
  expect(texts(store)).toEqual(["a", "b"]);
  disk.remove(file);
  store.look(second, (isWhole) => whole.push(isWhole()));
  disk.settle();
  expect([whole.at(-1), store.isDamaged]).toEqual([false, true]);
});

test("the one that was certified before stays, and no third, while both take no more than they may", () => {
  const bytes = contentOf("a").length;
  const kept = (bothBytesMax: number): readonly (number | undefined)[] => {
    const disk = newDisk();
    const store = opened(disk, bothBytesMax);
    keep(disk, store, 10, ["a", "b"]);
    keep(disk, store, 20, ["b", "c"]);
    keep(disk, store, 30, ["c", "d"]);
    disk.crash("nothing");
    const again = opened(disk, bothBytesMax);
    expect(disk.list(path).filter((name) => name.endsWith(".chunk")).length * bytes).toBe(again.bytes);
    return [again.certified, again.fallback].map((found) => found?.last.index);
  };
  expect([kept(3 * bytes), kept(3 * bytes - 1)]).toEqual([
    [30, 20],
    [30, undefined],
  ]);
});

test("what was never certified does not stay, nor what is damaged, nor what the log does not lead on from", () => {
  const disk = newDisk();
  const store = opened(disk, Infinity);
  keep(disk, store, 10, ["a"]);
  store.writeChunk(nameOf("b"), contentOf("b"), () => store.publish(checkpointOf(15, ["b"]), () => {}));
  disk.settle();
  keep(disk, store, 20, ["c"]);
  expect(store.all.map(({ last }) => last.index)).toEqual([20, 10]);

  disk.remove(`${path}/${Buffer.from(nameOf("c").hash).toString("hex")}.chunk`);
  expect(store.readChunkNow(nameOf("c"))).toBeUndefined();
  keep(disk, store, 30, ["d"]);
  expect([store.fallback, store.isDamaged]).toEqual([undefined, false]);

  const fetched = checkpointOf(40, ["d"]);
  store.publish(fetched, () => store.certify(certificateOf(fetched), "isReplaced", () => {}));
  disk.settle();
  expect(store.all).toEqual([fetched]);
});

test("behind a start with the older one the newer one counts for nothing: not as certified, and no chunk of it unread", () => {
  const disk = newDisk();
  const store = opened(disk, Infinity);
  const older = keep(disk, store, 10, ["a", "b"]);
  keep(disk, store, 20, ["b", "c", "d"]);
  const file = (text: string): string => `${path}/${Buffer.from(nameOf(text).hash).toString("hex")}.chunk`;
  for (const text of ["c", "d"]) disk.damage(file(text), (bytes) => bytes.fill(0, 7));
  const again = opened(disk, Infinity);
  expect(again.readChunkNow(nameOf("c"))).toBeUndefined();
  again.beginWith(older);

  expect([again.all, again.certified, again.fallback, again.isDamaged]).toEqual([[older], older, undefined, false]);
  expect(again.certificate).toEqual(certificateOf(older));
  const there: boolean[] = [];
  for (const text of ["b", "c", "d"]) again.adopt(nameOf(text), (isThere) => there.push(isThere));
  disk.settle();
  expect(there).toEqual([true, false, false]);
  // What is executed again makes the newer one again.
  const newer = keep(disk, again, 20, ["b", "c", "d"]);
  expect([again.certified, again.fallback, texts(again)]).toEqual([newer, older, ["b", "c", "d"]]);
});

test("whoever needs the space of the older one has it, and with a damaged manifest the older one is there", () => {
  const disk = newDisk();
  const store = opened(disk, Infinity);
  const older = keep(disk, store, 10, ["a"]);
  keep(disk, store, 20, ["b"]);
  const copy = disk.copy();
  copy.damage(`${path}/${"20".padStart(16, "0")}.manifest`, (bytes) => bytes.fill(0xff, 0, 6));
  const again = opened(copy, Infinity);
  expect([again.certified, again.fallback, texts(again)]).toEqual([undefined, older, ["a"]]);

  store.dropFallback();
  expect([store.fallback, store.has(nameOf("a")), texts(store)]).toEqual([undefined, false, ["b"]]);
  expect(opened(disk, Infinity).fallback).toBeUndefined();
});

test("a damaged manifest or certificate is as good as none", () => {
  const disk = newDisk();
  keep(disk, opened(disk), 10, ["a"]);
  for (const name of disk.list(path).filter((each) => !each.endsWith(".chunk"))) {
    disk.damage(`${path}/${name}`, (bytes) => bytes.fill(0xff, 0, 6));
  }
  const store = opened(disk);

  expect(store.newest).toBeUndefined();
  expect(store.certificate).toBeUndefined();
});

test("chunks that are being gathered outlive a certificate of another checkpoint", () => {
  const disk = newDisk();
  const store = opened(disk);
  store.writeChunk(nameOf("x"), contentOf("x"), () => {});
  disk.settle();
  keep(disk, store, 10, ["a"]);
  const held = store.has(nameOf("x"));
  store.letGo([nameOf("x")]);
  keep(disk, store, 20, ["a"]);

  expect([held, store.has(nameOf("x"))]).toEqual([true, false]);
});

test("a closed store waits for what is being written, and tells nobody", () => {
  const disk = newDisk();
  const store = opened(disk);
  const told: string[] = [];
  store.writeChunk(nameOf("a"), contentOf("a"), () => told.push("written"));
  store.close(() => told.push("closed"));
  const before = [...told];
  disk.settle();

  expect([before, told]).toEqual([[], ["closed"]]);
});
