import { expect, test } from "vitest";
import { decodeUtf8, encodeUtf8 } from "../../../src/base/bytes.js";
import type { LogIndex } from "../../../src/model/ids.js";
import type { DiskError } from "../../../src/ports/disk.js";
import { EvidenceStore } from "../../../src/storage/evidence-store.js";
import { MemoryDisk } from "../../../test-support/memory-disk.js";

function world(): { readonly disk: MemoryDisk; readonly open: () => EvidenceStore } {
  const disk = new MemoryDisk();
  disk.makeDirectory("data");
  return { disk, open: () => new EvidenceStore({ disk, directory: "data" }) };
}

const at = (position: number): LogIndex => position as LogIndex;
const pathOf = (position: number): string => `data/evidence/${String(position).padStart(16, "0")}.jsonl`;

/** What became of each step. */
function write({ store, disk }: { store: EvidenceStore; disk: MemoryDisk }, position: number, text: string): unknown[] {
  const seen: (DiskError | undefined)[] = [];
  const note = (failure: DiskError | undefined): void => void seen.push(failure);
  store.begin(at(position), note);
  disk.settle();
  for (const part of text.split(" ")) store.append(encodeUtf8(part), note);
  store.end(note);
  disk.settle();
  return seen;
}

test("what is written is there after a crash, and only the newest four are kept", () => {
  const { disk, open } = world();
  const store = open();
  for (const position of [7, 100, 90, 2_000])
    expect(write({ store, disk }, position, "a b c")).toEqual([undefined, undefined, undefined, undefined, undefined]);
  expect(store.paths).toEqual([7, 90, 100, 2_000].map(pathOf));
  write({ store, disk }, 3_000, "last one");

  disk.crash("nothing");
  const again = open();
  expect(again.paths).toEqual([90, 100, 2_000, 3_000].map(pathOf));
  expect([again.has(at(90)), again.has(at(7)), disk.exists(pathOf(7))]).toEqual([true, false, false]);
  expect(decodeUtf8(disk.readFile(pathOf(3_000), 100))).toBe("lastone");
});

test("what a crash left behind unfinished is removed at the next start", () => {
  const { disk, open } = world();
  const store = open();
  store.begin(at(5), () => undefined);
  disk.settle();
  store.append(encodeUtf8("half"), () => undefined);
  disk.settle();
  disk.crash("everything");
  expect(disk.exists(`${pathOf(5)}.new`)).toBe(true);

  expect(open().paths).toEqual([]);
  expect(disk.exists(`${pathOf(5)}.new`)).toBe(false);
});

test("a disk that refuses is told, and what was begun is given up", () => {
  const { disk, open } = world();
  const store = open();
  const seen: unknown[] = [];
  const note = (failure: DiskError | undefined): void => void seen.push(failure?.code);
  store.begin(at(5), note);
  disk.settle();
  disk.fail(/evidence/, "full", 1);
  store.append(encodeUtf8("half"), note);
  disk.settle();
  store.giveUp();
  disk.settle();

  expect(seen).toEqual([undefined, "full"]);
  expect([store.paths, disk.list("data/evidence")]).toEqual([[], []]);
});

test("closing waits for what is in flight, tells nobody else, and leaves nothing half written", () => {
  const { disk, open } = world();
  const store = open();
  const seen: string[] = [];
  store.begin(at(5), () => void seen.push("begun"));
  disk.settle();
  store.append(encodeUtf8("half"), () => void seen.push("written"));
  store.close(() => void seen.push("closed"));
  expect(seen).toEqual(["begun"]);
  disk.settle();

  expect(seen).toEqual(["begun", "closed"]);
  expect(disk.list("data/evidence")).toEqual([]);
  const idle = open();
  idle.close(() => void seen.push("closed at once"));
  expect(seen.at(-1)).toBe("closed at once");
});
