/**
 * Whatever survives of the writes in flight when the power goes (D2, D6, D15): what was acknowledged is there, and what is there
 * was written, in order.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Entry } from "../../src/model/entry.js";
import { entryOf, formattedDisk, hardStateOf, indexOf, openedLog, smallSegment } from "../../test-support/log-world.js";
import type { LogWorld } from "../../test-support/log-world.js";
import type { MemoryDisk } from "../../test-support/memory-disk.js";

type Step =
  | { readonly kind: "append"; readonly sizes: readonly number[] }
  | { readonly kind: "replace"; readonly back: number; readonly sizes: readonly number[] }
  | { readonly kind: "vote"; readonly sizes: readonly number[] }
  /** Lets some operations of the disk complete. */
  | { readonly kind: "wait"; readonly operations: number }
  | { readonly kind: "idle" };

const sizes = fc.array(fc.oneof({ weight: 5, arbitrary: fc.nat(300) }, fc.nat(20_000)), { minLength: 1, maxLength: 4 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("append" as const), sizes }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("replace" as const), back: fc.nat(6), sizes }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("vote" as const), sizes: fc.constant([]) }) },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant("wait" as const), operations: fc.integer({ min: 1, max: 8 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("idle" as const) }) },
);
const life = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 25 }),
  seed: fc.nat(),
  inFlight: fc.integer({ min: 1, max: 3 }),
});

type Life = { readonly steps: readonly Step[]; readonly seed: number; readonly inFlight: number };

/** What the log may hold: the names of its entries after each record, and from which on nothing may be missing. */
interface Model {
  names: string[];
  /** Every state since the last acknowledged one, that one first. */
  possible: string[][];
  term: number;
  acknowledgedTerm: number;
}

function nameOf(entry: Entry): string {
  return `${entry.index}/${entry.term}/${entry.payload.length}`;
}

function grow(model: Model, entries: readonly Entry[], keep: number): void {
  if (keep < model.names.length) model.possible.push(model.names.slice(0, keep));
  let names = model.names.slice(0, keep);
  for (const entry of entries) {
    names = [...names, nameOf(entry)];
    model.possible.push(names);
  }
  model.names = names;
}

function perform(world: LogWorld, model: Model, one: Step): void {
  if (one.kind === "wait") {
    for (let count = 0; count < one.operations; count += 1) world.disk.step();
    world.clock.endTurn();
    return;
  }
  if (one.kind === "idle") {
    world.settle();
    world.clock.advance(25);
    return;
  }
  const replaces = one.kind === "replace" ? Math.min(one.back, model.names.length) : 0;
  const isNewTerm = one.kind !== "append";
  if (isNewTerm) model.term += 1;
  const keep = model.names.length - replaces;
  const entries = one.sizes.map((length, at) =>
    entryOf("batch", { index: keep + 1 + at, term: model.term, payload: new Uint8Array(length).fill(length % 251) }),
  );
  grow(model, entries, keep);
  const seen = model.possible.length - 1;
  const { term } = model;
  const before = world.completed.length;
  const id = world.begin({
    hardState: isNewTerm ? hardStateOf(term, "a") : undefined,
    truncateFrom: replaces > 0 ? indexOf(keep + 1) : undefined,
    entries,
  });
  expect(world.completed.length).toBe(before);
  acknowledgements.push({ id, seen, term });
}

let acknowledgements: { readonly id: number; readonly seen: number; readonly term: number }[] = [];

function acknowledgedBy(world: LogWorld): { readonly seen: number; readonly term: number } {
  let best = { seen: 0, term: 0 };
  for (const { id, seen, term } of acknowledgements) if (world.completed.includes(id)) best = { seen, term };
  return best;
}

function liveAndCrash(disk: MemoryDisk, model: Model, { steps, seed, inFlight }: Life): void {
  acknowledgements = [];
  const world = openedLog(disk, smallSegment, inFlight);
  for (const one of steps) perform(world, model, one);
  expect(world.failures).toEqual([]);
  expect(world.completed).toEqual(acknowledgements.slice(0, world.completed.length).map(({ id }) => id));
  const { seen, term } = acknowledgedBy(world);
  model.possible = model.possible.slice(seen);
  model.acknowledgedTerm = Math.max(model.acknowledgedTerm, term);
  disk.crash({ seed });
}

/** The log after a start must be one of the possible ones; from then on it is the only one. */
function recover(disk: MemoryDisk, model: Model): void {
  const { recovered } = openedLog(disk, smallSegment);
  // What that process has begun by itself (a next segment) ends with it: the next life is another process.
  disk.kill();
  const names = recovered.tail.map(nameOf);
  expect(model.possible.map((possible) => possible.join())).toContain(names.join());
  expect(recovered).toMatchObject({ damaged: [], amnesia: undefined, lastIndex: names.length });
  expect(recovered.hardState.term).toBeGreaterThanOrEqual(model.acknowledgedTerm);
  expect(recovered.hardState.term).toBeLessThanOrEqual(model.term);
  model.names = names;
  model.possible = [names];
  model.term = recovered.hardState.term;
  model.acknowledgedTerm = model.term;
}

describe("storage under power cuts", () => {
  test("a log holds what was acknowledged and nothing that was not written, life after life (D2, D4, D6)", () => {
    fc.assert(
      fc.property(fc.array(life, { minLength: 1, maxLength: 4 }), (lives) => {
        const disk = formattedDisk(smallSegment);
        const model: Model = { names: [], possible: [[]], term: 0, acknowledgedTerm: 0 };
        for (const one of lives) {
          liveAndCrash(disk, model, one);
          recover(disk, model);
        }
      }),
      { seed: 20_261, numRuns: 150 },
    );
  });
});
