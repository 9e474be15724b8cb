import { expect, test } from "vitest";

import { logIndex, noIndex } from "../../../src/model/ids.js";
import { nodeHash as hash } from "../../../src/node/hash.js";
import { UnfinishedStore, type StepNote } from "../../../src/storage/unfinished-store.js";
import { MemoryDisk } from "../../../test-support/memory-disk.js";

function noteOf(at: number, what: StepNote["what"] = "held"): StepNote {
  const index = logIndex(at);
  if (index === undefined) throw new Error("no index");
  return { at: { index, step: 3 }, reason: "time", what };
}

function world(): { readonly disk: MemoryDisk; readonly open: () => UnfinishedStore } {
  const disk = new MemoryDisk();
  disk.makeDirectory("data");
  return { disk, open: () => new UnfinishedStore({ disk, hash, directory: "data" }) };
}

test("what is noted is there after a start, the last word on each step, until a certified checkpoint covers it", () => {
  const { open } = world();
  const store = open();
  store.note(noteOf(5), noIndex);
  store.note(noteOf(7), noIndex);
  store.note(noteOf(5, "skipped"), noIndex);

  expect(open().notes).toEqual([noteOf(7), noteOf(5, "skipped")]);
  store.note(noteOf(9, "passed"), noteOf(6).at.index);
  expect(open().notes).toEqual([noteOf(7), noteOf(9, "passed")]);
});

test("a damaged file says nothing", () => {
  const { disk, open } = world();
  open().note(noteOf(5), noIndex);
  const bytes = disk.readFile("data/unfinished", 1_000);
  for (let at = 0; at < bytes.length; at += 1) {
    const damaged = bytes.map((byte, place) => (place === at ? byte ^ 0x11 : byte));
    disk.writeFileAtomically("data/unfinished", damaged);
    expect(open().notes).toEqual([]);
  }
});
