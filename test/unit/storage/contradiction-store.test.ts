/** Evidence is on disk once it is said to be, is never changed, and takes bounded room. */
import { expect, test } from "vitest";
import { decodeUtf8 } from "../../../src/base/bytes.js";
import { ContradictionStore } from "../../../src/storage/contradiction-store.js";
import { MemoryDisk } from "../../../test-support/memory-disk.js";

function world() {
  const disk = new MemoryDisk();
  disk.makeDirectory("data");
  const seen: (string | undefined)[] = [];
  return {
    disk,
    seen,
    open: () => new ContradictionStore(disk, "data"),
    keep: (store: ContradictionStore, by: string, line: string, kind = "Prepare") => {
      store.keep({ by, kind }, line, (failure) => seen.push(failure?.code ?? "kept"));
      disk.settle();
    },
    textOf: (name: string) => decodeUtf8(disk.readFile(`data/contradictions/${name}`, 1000)),
  };
}

test("what is kept is there after a crash, one file for each replica and kind", () => {
  const { disk, seen, open, keep, textOf } = world();
  const store = open();
  keep(store, "b", "one");
  keep(store, "b", "two", "NewView");
  keep(store, "c", "three");
  disk.crash("nothing");

  expect(seen).toEqual(["kept", "kept", "kept"]);
  expect(disk.list("data/contradictions")).toEqual(["b-NewView.jsonl", "b-Prepare.jsonl", "c-Prepare.jsonl"]);
  expect(["b-Prepare.jsonl", "b-NewView.jsonl", "c-Prepare.jsonl"].map(textOf)).toEqual(["one\n", "two\n", "three\n"]);
});

test("the first of its kind stays, also after a restart", () => {
  const { seen, open, keep, textOf } = world();
  const store = open();
  keep(store, "b", "first");
  keep(store, "b", "second");
  keep(open(), "b", "third");

  expect(seen).toEqual(["kept"]);
  expect(textOf("b-Prepare.jsonl")).toBe("first\n");
});

test("what the disk refuses is said, leaves nothing behind, and the next one is tried again", () => {
  const { disk, seen, open, keep, textOf } = world();
  const store = open();
  disk.fail(/contradictions/, "full", 1);
  keep(store, "b", "a long line that did not fit");
  expect(disk.list("data/contradictions")).toEqual([]);
  keep(store, "b", "short");

  expect(seen).toEqual(["full", "kept"]);
  expect(textOf("b-Prepare.jsonl")).toBe("short\n");
});

test("what a crash left unfinished is removed at the next start", () => {
  const { disk, open } = world();
  const store = open();
  store.keep({ by: "b", kind: "Commit" }, "line", () => undefined);
  disk.step();
  disk.crash("everything");
  const left = disk.list("data/contradictions");
  open();

  expect(left).toEqual(["b-Commit.jsonl.new"]);
  expect(disk.list("data/contradictions")).toEqual([]);
});

test("a close waits for what is in flight, and nobody is told afterwards", () => {
  const { disk, seen, open } = world();
  const store = open();
  let isClosed = false;
  store.keep({ by: "b", kind: "Commit" }, "line", () => seen.push("told"));
  store.close(() => (isClosed = true));
  expect(isClosed).toBe(false);
  disk.settle();

  expect([isClosed, ...seen]).toEqual([true]);
  expect(disk.list("data/contradictions")).toEqual(["b-Commit.jsonl"]);
});
