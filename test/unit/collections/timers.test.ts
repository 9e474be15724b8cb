/** Timers of a machine: when their handlers run, in which order, and what becomes of them. */
import { describe, expect, test } from "vitest";

import { defaultLimits } from "../../../src/api/config.js";
import type { MachineInstance, Outcome } from "../../../src/api/low-level.js";
import { define, event } from "../../../src/index.js";
import { firstSession, logIndex, noIndex } from "../../../src/model/ids.js";
import { nodeHash } from "../../../src/node/hash.js";
import { applyAlone } from "../../../src/sim/apply-alone.js";
import { decodeValue, encodeValue } from "../../../src/wire/canonical.js";

interface Setting {
  readonly name?: "ring" | "ping";
  readonly key: string;
  readonly at: number;
  readonly mode?: "throw" | "again" | "overflow" | "cancel b" | "replace b" | "promise";
}

const clock = define({
  name: "clock",
  version: 1,
  state: ({ list }) => ({ rung: list<string>() }),
  timers: { ring: event<{ mode?: Setting["mode"] }>(), ping: event<undefined>() },
});

const machine = clock.machine({
  commands: {
    set(_state, { name, key, at, mode }: Setting, { timers }) {
      if (name === "ping") timers.set("ping", key, at, undefined);
      else timers.set("ring", key, at, mode === undefined ? {} : { mode });
    },
    setAndThrow(state, key: string, context) {
      state.rung.push("never");
      context.timers.set("ring", key, 1, {});
      throw new Error("taken back");
    },
    cancel: (_state, key: string, context) => context.timers.cancel("ring", key),
    wrong: (_state, _input, context) => context.timers.set("other" as "ring", "a", 1, {}),
    wrongTime: (_state, at: number, context) => context.timers.set("ring", "a", at, {}),
    mark: (state) => state.rung.push("command"),
  },
  queries: { rung: (state) => [...state.rung] },
  on: {
    ring(state, { mode }, context) {
      state.rung.push(`ring ${context.now}@${context.index}${mode === undefined ? "" : ` ${mode}`}`);
      if (mode === "throw") throw new Error("as asked");
      if (mode === "again") context.timers.set("ring", "again", 0, {});
      if (mode === "cancel b") context.timers.cancel("ring", "b");
      if (mode === "replace b") context.timers.set("ring", "b", context.now, {});
      if (mode === "promise") return Promise.resolve() as never;
      if (mode === "overflow") descend(0);
    },
    ping(state, data, { random }) {
      state.rung.push(`ping ${String(data)} ${random() < 1}`);
    },
  },
});

function descend(depth: number): number {
  return 1 + descend(depth + 1);
}

class Harness {
  readonly instance: MachineInstance;
  #index = 0;

  constructor(timersPerEntryMax = 256) {
    this.instance = machine.open({ hash: nodeHash, limits: { ...defaultLimits.machine, timersPerEntryMax } });
  }

  entry(time: number, ...asked: readonly (readonly [name: string, input?: unknown])[]): readonly Outcome[] {
    this.#index += 1;
    const commands = asked.map(([name, input], ordinal) => {
      return { name, input: encodeValue(input), ordinal, session: firstSession };
    });
    return applyAlone(this.instance, { index: logIndex(this.#index) ?? noIndex, time, commands });
  }

  set(...settings: readonly Setting[]): void {
    const outcomes = this.entry(0, ...settings.map((setting) => ["set", setting] as const));
    expect(outcomes.map(({ status }) => status)).toEqual(settings.map(() => "ok"));
  }

  get rung(): unknown {
    const outcome = this.instance.query("rung", encodeValue(undefined), { index: noIndex, time: 0 });
    return outcome.status === "ok" ? decodeValue(outcome.output) : outcome;
  }
}

describe("a timer", () => {
  test("fires once, in the first entry at or behind its time, before the commands of that entry", () => {
    const harness = new Harness();
    harness.set({ key: "a", at: 500 });
    expect(harness.instance.dueAt()).toBe(500);
    harness.entry(499, ["mark"]);
    harness.entry(501, ["mark"]);
    harness.entry(502, ["mark"]);

    expect(harness.rung).toEqual(["command", "ring 501@3", "command", "command"]);
    expect(harness.instance.dueAt()).toBeUndefined();
  });

  test("comes in the order of time, then name, then key, whatever the order in which they were set", () => {
    const settings: Setting[] = [
      { key: "b", at: 300, mode: "throw" },
      { key: "z", at: 100 },
      { key: "a", at: 300 },
      { name: "ping", key: "p", at: 300 },
    ];
    for (const order of [settings, settings.toReversed()]) {
      const harness = new Harness();
      harness.set(...order);
      harness.entry(300);

      expect(harness.rung).toEqual(["ring 300@2", "ping undefined true", "ring 300@2"]);
      expect(harness.instance.statistics).toMatchObject({
        timersFired: 4,
        timersFailed: 1,
        lastTimerFailure: 'ring "b" at 2: as asked',
      });
    }
  });

  test("whose handler throws, or returns a promise, is spent, its writes are taken back, and it is counted", () => {
    const harness = new Harness();
    harness.set({ key: "a", at: 5, mode: "throw" }, { key: "b", at: 6, mode: "promise" });
    harness.entry(10);
    harness.entry(20);

    expect(harness.rung).toEqual([]);
    expect(harness.instance.dueAt()).toBeUndefined();
    expect(harness.instance.statistics).toMatchObject({
      timersFired: 2,
      timersFailed: 2,
      lastTimerFailure: 'ring "b" at 2: Cannot wait for a promise: timers and sweeps are synchronous',
    });
  });

  test("whose handler overflows the stack is spent, and what fired before it in the entry stays", () => {
    const harness = new Harness();
    harness.set({ key: "a", at: 1 }, { key: "b", at: 2, mode: "overflow" }, { key: "c", at: 3 });
    harness.entry(10, ["mark"]);

    expect(harness.rung).toEqual(["ring 10@2", "ring 10@2", "command"]);
    expect(harness.instance.statistics).toMatchObject({
      timersFired: 3,
      timersFailed: 1,
      lastTimerFailure: 'ring "b" at 2: Cannot finish ring "b": its calls are nested too deeply',
    });
    expect(harness.instance.dueAt()).toBeUndefined();
  });

  test("of the same name and key is replaced", () => {
    const harness = new Harness();
    harness.set({ key: "a", at: 100 }, { key: "a", at: 200 }, { name: "ping", key: "a", at: 100 });
    harness.entry(100);
    expect(harness.rung).toEqual(["ping undefined true"]);
    harness.entry(200);

    expect(harness.rung).toEqual(["ping undefined true", "ring 200@3"]);
  });

  test("that is cancelled does not fire", () => {
    const harness = new Harness();
    harness.set({ key: "a", at: 100 });
    const outcomes = harness.entry(50, ["cancel", "a"], ["cancel", "a"]);
    harness.entry(200);

    expect(outcomes.map((outcome) => outcome.status === "ok" && decodeValue(outcome.output))).toEqual([true, false]);
    expect(harness.rung).toEqual([]);
  });

  test("can be cancelled or replaced by one that fires before it in the same entry", () => {
    const cancelled = new Harness();
    cancelled.set({ key: "a", at: 100, mode: "cancel b" }, { key: "b", at: 100 });
    cancelled.entry(100);
    cancelled.entry(200);
    const replaced = new Harness();
    replaced.set({ key: "a", at: 100, mode: "replace b" }, { key: "b", at: 100 });
    replaced.entry(100);
    replaced.entry(200);

    expect(cancelled.rung).toEqual(["ring 100@2 cancel b"]);
    expect(replaced.rung).toEqual(["ring 100@2 replace b", "ring 200@3"]);
  });

  test("set for a time that has passed fires with the next entry, never in the one that sets it", () => {
    const harness = new Harness();
    harness.set({ key: "a", at: 100, mode: "again" });
    harness.entry(100);
    expect(harness.rung).toEqual(["ring 100@2 again"]);
    expect(harness.instance.dueAt()).toBe(100);
    harness.entry(100, ["set", { key: "b", at: 1 }], ["mark"]);
    harness.entry(101);

    expect(harness.rung).toEqual(["ring 100@2 again", "ring 100@3", "command", "ring 101@4"]);
  });

  test("set by a command that throws is not set", () => {
    const harness = new Harness();
    harness.entry(0, ["setAndThrow", "a"]);
    harness.entry(100);

    expect(harness.rung).toEqual([]);
  });

  test("that was not declared, or is not set for a whole number of milliseconds, fails its command", () => {
    const harness = new Harness();
    const [other, fraction, negative] = harness.entry(0, ["wrong"], ["wrongTime", 1.5], ["wrongTime", -1]);

    expect(other).toMatchObject({ message: 'Cannot use the timer "other": the machine declares no such timer' });
    expect(fraction).toMatchObject({ message: expect.stringContaining("whole milliseconds") as string });
    expect(negative).toMatchObject({ status: "failed" });
  });
});

test("one entry fires no more timers than the limit, and the rest is due at once, with the next entries", () => {
  const harness = new Harness(2);
  harness.set(...["a", "b", "c", "d", "e"].map((key) => ({ key, at: 10 })));
  harness.entry(50);
  expect(harness.rung).toEqual(["ring 50@2", "ring 50@2"]);
  // Not 10: the pace of time entries would take that for a question that was answered a moment ago.
  expect(harness.instance.dueAt()).toBe(50);
  harness.entry(51);
  harness.entry(52);

  expect(harness.rung).toEqual(["ring 50@2", "ring 50@2", "ring 51@3", "ring 51@3", "ring 52@4"]);
  expect(harness.instance.dueAt()).toBeUndefined();
});

test("timers are state: in the digest, in snapshots, and equal whatever their history (M11)", () => {
  const [one, other, restored] = [new Harness(), new Harness(), new Harness()];
  const empty = one.instance.digest();
  one.set({ key: "a", at: 10 }, { key: "b", at: 20 });
  other.set({ key: "b", at: 20 }, { key: "c", at: 5 }, { key: "a", at: 10 });
  other.instance.apply({ index: logIndex(2) ?? noIndex, time: 0, commands: [] });
  expect(other.instance.digest()).not.toEqual(one.instance.digest());
  other.entry(0, ["cancel", "c"]);
  restored.entry(0);
  restored.instance.install(one.instance.fork().chunks());

  expect(other.instance.digest()).toEqual(one.instance.digest());
  expect(restored.instance.digest()).toEqual(one.instance.digest());
  expect(one.instance.digest()).not.toEqual(empty);
  expect(restored.instance.dueAt()).toBe(10);
  restored.entry(30);
  expect(restored.rung).toEqual(["ring 30@2", "ring 30@2"]);
});

test("a timer without a handler, and a collection with a name of the library's own, are refused when they are declared", () => {
  expect(() => clock.machine({ commands: {}, on: { ping: () => undefined } })).toThrow(
    'Cannot declare clock: the timer ring has no handler in "on"',
  );
  expect(() => define({ name: "x", version: 1, state: ({ cell }) => ({ $timers: cell(0) }) })).toThrow(
    "Cannot declare state.$timers: names with $ are the library's own",
  );
});
