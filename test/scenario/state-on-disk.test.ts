/** A machine that keeps its state in a database (`examples/03-on-disk`) is replicated, audited, checkpointed and scrubbed as one in memory is. */
import { describe, expect, test } from "vitest";
import store from "../../examples/03-on-disk/store.js";
import { CannotFinish, type Batch, type MachineInstance, type Outcome } from "quorate/low-level";
import { logIndex, noIndex, type LogIndex } from "../../src/model/ids.js";
import { nodeHash } from "../../src/node/hash.js";
import { simulate, type Workload } from "../../src/sim/index.js";
import { decodeValue, encodeValue } from "../../src/wire/canonical.js";
import { sessionOf } from "../../test-support/order.js";

const limits = { timersPerEntryMax: 1, eventsMax: 1, eventsBytesMax: 1 };

class Told {
  readonly instance: MachineInstance = store.open({ hash: nodeHash, limits });
  #index: LogIndex = noIndex;

  batch(asked: readonly (readonly [name: string, input: unknown])[], held?: Batch["held"]): readonly Outcome[] {
    this.#index = logIndex(this.#index + 1) ?? noIndex;
    const commands = asked.map(([name, input], ordinal) => ({
      ...{ ordinal, name, session: sessionOf(1) },
      input: encodeValue(input),
    }));
    return this.instance.apply({ index: this.#index, time: this.#index, commands, held });
  }

  get(key: string): unknown {
    return outputOf(this.instance.query("get", encodeValue(key), { index: this.#index, time: this.#index }));
  }
}

function outputOf(outcome: Outcome | undefined): unknown {
  return outcome?.status === "ok" ? decodeValue(outcome.output) : outcome;
}

const entryOf = (at: number) => ({ key: `key ${at}`, value: `${at}`.repeat(at % 40) });
const many = (count: number) => Array.from({ length: count }, (_, at) => entryOf(at));

describe("the contract", () => {
  test("equal states have equal digests and pieces, whatever their history", () => {
    const [forward, backward] = [new Told(), new Told()];
    forward.batch([["setAll", many(5_000)]]);
    backward.batch([
      ["set", { key: "other", value: "gone" }],
      ["setAll", many(5_000).reverse()],
      ["set", { key: "key 7", value: "other" }],
    ]);
    expect(backward.instance.digest()).not.toEqual(forward.instance.digest());
    const outcomes = backward.batch([
      ["remove", "other"],
      ["remove", "other"],
      ["set", entryOf(7)],
    ]);

    expect(outcomes.map(outputOf)).toEqual([true, false, undefined]);
    expect(backward.instance.digest()).toEqual(forward.instance.digest());
    expect(backward.instance.fingerprint?.()).toEqual(forward.instance.fingerprint?.());
    const pieces = [...forward.instance.fork().chunks()];
    expect([...backward.instance.fork().chunks()]).toEqual(pieces);
    expect(pieces.length).toBeGreaterThan(1);
  });

  test("a fork stays as it is, and what is installed from it is the whole state", () => {
    const told = new Told();
    told.batch([["setAll", many(3_000)]]);
    const digest = told.instance.digest();
    const fork = told.instance.fork();
    told.batch([["remove", "key 5"]]);
    told.batch([["set", { key: "new", value: "there" }]]);

    const other = new Told();
    other.batch([["set", { key: "of before", value: "gone" }]]);
    const steps = other.instance.installing?.(fork.chunks());
    steps?.next();
    expect(other.get("of before")).toBe("gone");
    for (const _step of steps ?? []);
    fork.release();

    expect(fork.digest()).toEqual(digest);
    expect(other.instance.digest()).toEqual(digest);
    expect([other.get("of before"), other.get("key 5"), other.get("new")]).toEqual([undefined, "55555", undefined]);
    expect([told.get("key 5"), told.get("new")]).toEqual([undefined, "there"]);
  });

  test("a batch with a command that this replica must not try changes nothing", () => {
    const told = new Told();
    told.batch([["set", entryOf(1)]]);
    const digest = told.instance.digest();
    const asked = [
      ["set", { key: "key 1", value: "new" }],
      ["remove", "key 1"],
    ] as const;
    const heldAt = (isSkipped: boolean): Batch["held"] => new Map([[1, { reason: "time", isSkipped }]]);

    expect(() => told.batch(asked, heldAt(false))).toThrow(CannotFinish);
    expect(told.instance.digest()).toEqual(digest);
    expect(told.get("key 1")).toBe("1");
    expect(told.batch(asked, heldAt(true))[1]).toMatchObject({ status: "failed" });
    expect(told.get("key 1")).toBe("new");
  });

  test.each([
    ["set", { key: "", value: "x" }],
    ["set", { key: "ä".repeat(990), value: "x" }],
    ["set", { key: "x", value: 5 }],
    ["setAll", [entryOf(1), null]],
    ["remove", 5],
    ["get", undefined],
    ["size", 1],
  ])("%s, input %#, is refused before it is ordered", async (name, input) => {
    expect(await store.admit(name, encodeValue(input))).toMatchObject({ status: "invalid" });
  });
});

test("seeds with every fault: nothing is lost, done twice, or different", { timeout: 300_000 }, () => {
  const workload: Workload<typeof store> = (draw) => {
    const key = draw.pick(["a", "b", "c"]);
    const value = `${draw.between(1, 1e9)}`;
    if (draw.chance(0.3)) return { query: "get", input: key };
    if (draw.chance(0.1)) return { command: "remove", input: key };
    if (draw.chance(0.2))
      return {
        command: "setAll",
        input: [
          { key, value },
          { key: "d", value },
        ],
      };
    return { command: "set", input: { key, value } };
  };
  const reached = new Set<string>();
  for (let seed = 1; seed <= 6; seed += 1) {
    const result = simulate(store, { seed, workload, operations: 200, faults: "all" });
    result.assertCorrect();
    for (const marker of result.markers) reached.add(marker);
  }
  expect(reached).toContain("a replica started from a checkpoint");
  expect(reached).toContain("a checkpoint was fetched from peers");
});
