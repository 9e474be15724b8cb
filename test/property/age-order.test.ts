/** A view of an age order is what was in it, however the order changes while the view is written. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { ByteReader, ByteWriter } from "../../src/base/bytes.js";
import { AgeOrder, type Aged } from "../../src/execution/age-order.js";

interface Thing extends Aged<Thing> {
  readonly id: number;
  value: number;
}

type Step = "append" | "use" | "remove" | "view" | "write" | "release";
const steps = fc.array(
  fc.tuple(
    fc.constantFrom<Step>("append", "append", "use", "use", "remove", "view", "write", "write", "release"),
    fc.nat(1_000),
  ),
  { maxLength: 200 },
);

interface Watched {
  readonly expected: readonly number[];
  readonly written: number[];
  readonly view: ReturnType<AgeOrder<Thing>["view"]>;
}

const write = (writer: ByteWriter, { id, value }: Thing): void => {
  writer.varint(id);
  writer.varint(value);
};
const contentOf = (order: AgeOrder<Thing>): number[] => [...order].flatMap(({ id, value }) => [id, value]);

function writeOne({ view, written }: Watched): boolean {
  const writer = new ByteWriter();
  const isThere = view.writeNext(writer);
  const reader = new ByteReader(writer.finish());
  while (reader.remaining > 0) written.push(reader.varint());
  return isThere;
}

function perform(order: AgeOrder<Thing>, things: Thing[], watched: Watched[], [step, pick]: [Step, number]): void {
  const thing = things[pick % Math.max(1, things.length)];
  const [one] = watched.slice(pick % Math.max(1, watched.length));
  if (step === "append") {
    const made = { id: pick, value: 0, older: undefined, newer: undefined, stamp: 0 };
    things.push(made);
    order.append(made);
  } else if (step === "view") {
    watched.push({ expected: contentOf(order), written: [], view: order.view(write) });
  } else if (step === "write") {
    if (one !== undefined) writeOne(one);
  } else if (step === "release") {
    if (one !== undefined) watched.splice(watched.indexOf(one), 1);
    one?.view.release();
  } else if (thing !== undefined && step === "use") {
    order.makeNewest(thing);
    thing.value += 1;
  } else if (thing !== undefined) {
    things.splice(things.indexOf(thing), 1);
    order.remove(thing);
  }
}

test("each view gives what was there when it was taken, in the order of then", () => {
  fc.assert(
    fc.property(steps, (list) => {
      const order = new AgeOrder<Thing>();
      const things: Thing[] = [];
      const watched: Watched[] = [];
      for (const step of list) perform(order, things, watched, step);

      for (const each of watched) {
        while (writeOne(each));
        expect(each.written).toEqual(each.expected);
      }
    }),
    { numRuns: 500 },
  );
});
