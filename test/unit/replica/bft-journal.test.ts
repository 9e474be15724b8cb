/** What a PBFT replica must remember is read back as it was made, or as the shorter list that says the same. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { BftRecord } from "../../../src/consensus/bft/state.js";
import { BftJournal, readJournal } from "../../../src/replica/bft-journal.js";
import { bftLimits, record } from "../../../test-support/arbitrary-bft.js";
import { formattedDisk, openedLog, smallSegment, testHash } from "../../../test-support/log-world.js";
import type { MemoryDisk } from "../../../test-support/memory-disk.js";

const records = fc.sample(record, { numRuns: 60, seed: 7 });

function opened(disk: MemoryDisk, writtenBytesMin = 1_000) {
  const world = openedLog(disk, smallSegment);
  const { log, recovered } = world;
  return { ...world, journal: new BftJournal({ log, recovered, writtenBytesMin }) };
}

function found(disk: MemoryDisk): readonly BftRecord[] | string {
  const { recovered, close } = openedLog(disk, smallSegment);
  close();
  return readJournal(recovered, bftLimits, testHash);
}

const ignore = (): void => undefined;
const fail = ({ message }: { readonly message: string }): void => expect.fail(message);

test("records come back in their order, with those of later processes behind them", () => {
  const disk = formattedDisk(smallSegment);
  const first = opened(disk);
  first.journal.write(records.slice(0, 20), ignore);
  first.journal.write([], ignore);
  first.settle();
  first.close();
  const second = opened(disk);
  second.journal.write(records.slice(20), ignore);
  second.settle();
  second.close();

  expect(found(disk)).toEqual(records);
});

test("a shorter list takes the place of all before it, and gives their part of the log back", () => {
  const disk = formattedDisk(smallSegment);
  const { journal, settle, close } = opened(disk);
  for (let round = 0; round < 40; round += 1) {
    journal.write(records, ignore);
    settle();
  }
  expect(journal.isLong).toBe(true);
  journal.shorten(records.slice(0, 3), fail);
  expect(journal.isLong).toBe(false);
  journal.write(records.slice(3, 5), ignore);
  settle();
  close();

  expect(found(disk)).toEqual(records.slice(0, 5));
  const { recovered } = opened(disk);
  expect(recovered.start.index).toBeGreaterThan(0);
});

test("a shorter list that a crash has cut off counts for nothing, and what was there before it does", () => {
  const disk = formattedDisk(smallSegment);
  const { log, journal, settle } = opened(disk);
  journal.write(records.slice(0, 5), ignore);
  settle();
  // All but the end of the list.
  const cut = new BftJournal({
    log: {
      write: (write, done) => log.write({ ...write, entries: write.entries.slice(0, -1) }, done),
      compact: ignore,
    },
    recovered: { lastIndex: journal.lastIndex },
    writtenBytesMin: 1_000,
  });
  cut.shorten(records.slice(5, 8), fail);
  settle();

  expect(found(disk)).toEqual(records.slice(0, 5));
  const next = opened(disk);
  next.journal.write(records.slice(8, 9), ignore);
  next.settle();
  next.close();
  expect(found(disk)).toEqual([...records.slice(0, 5), ...records.slice(8, 9)]);
});

test("what cannot be read is told: the replica may have forgotten what it promised", () => {
  const disk = formattedDisk(smallSegment);
  const { journal, settle, close } = opened(disk);
  journal.write(records.slice(0, 3), ignore);
  settle();
  close();
  const { recovered } = openedLog(disk, smallSegment);
  const damaged = recovered.tail.slice(0, 1).map(({ index, term }) => ({ index, term, checksum: 1 }));

  expect(readJournal({ ...recovered, damaged }, bftLimits, testHash)).toBe("record 1 of its log is damaged");
  expect(readJournal({ ...recovered, tail: recovered.tail.slice(1) }, bftLimits, testHash)).toMatch(/cannot be read/);
  const unknown = recovered.tail.map((entry) => ({ ...entry, payload: new Uint8Array([0, 99]) }));
  expect(readJournal({ ...recovered, tail: unknown }, bftLimits, testHash)).toMatch(/record 1 .* no form/);
});
