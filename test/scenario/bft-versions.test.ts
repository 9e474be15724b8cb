/** Under Byzantine faults too, a version starts once all can run it, and a command that nobody can finish is skipped. */
import { expect, test } from "vitest";
import { CannotFinish, type LowLevelMachine, type MachineInstance, type Outcome } from "../../src/api/low-level.js";
import type { Door } from "../../src/api/door.js";
import { decodeUtf8, encodeUtf8 } from "../../src/base/bytes.js";
import { peerMessageTypes } from "../../src/replica/engine.js";
import { BftGroup } from "../../test-support/bft-group.js";
import { tally } from "../../test-support/tally-machine.js";

const ids = ["a", "b", "c", "d"];

/** Everything that it answers ends with an exclamation mark. */
const second: LowLevelMachine = {
  ...tally,
  version: 2,
  previous: tally,
  open: (environment) => loud(tally.open(environment)),
  migrate: (environment, from) => {
    const instance = loud(tally.open(environment));
    instance.install(from.fork().chunks());
    return { status: "migrated", instance };
  },
};

function loud(instance: MachineInstance): MachineInstance {
  const apply = instance.apply.bind(instance);
  const louder = (outcome: Outcome): Outcome =>
    outcome.status === "ok" ? { ...outcome, output: encodeUtf8(`${decodeUtf8(outcome.output) ?? ""}!`) } : outcome;
  return Object.assign(instance, { apply: (batch: Parameters<typeof apply>[0]) => apply(batch).map(louder) });
}

/** Adds to "deep" are nested too deeply, here. */
function shallow(isShallow: () => boolean): LowLevelMachine {
  return {
    ...tally,
    open: (environment) => {
      const instance = tally.open(environment);
      const apply = instance.apply.bind(instance);
      return Object.assign(instance, {
        apply: (batch: Parameters<typeof apply>[0]): readonly Outcome[] => {
          const isDeep = batch.commands.map(({ input }) => decodeUtf8(input) === "deep");
          const isSkipped = isDeep.map((deep, step) => deep && batch.held?.get(step)?.isSkipped === true);
          const step = isDeep.findIndex((deep, at) => deep && isSkipped[at] !== true && isShallow());
          if (step >= 0) throw new CannotFinish(step, "stack");
          const outcomes = apply({ ...batch, commands: batch.commands.filter((_, at) => isSkipped[at] !== true) });
          const left = [...outcomes];
          return isSkipped.map((skipped) =>
            skipped ? { status: "failed", message: "skipped" } : (left.shift() ?? { status: "failed", message: "?" }),
          );
        },
      });
    },
  };
}

async function untilAlike(group: BftGroup): Promise<void> {
  const states = (): readonly string[] =>
    [...group.running.values()].map(
      ({ executor, core }) => `${core.status().executedIndex} ${Buffer.from(executor.digest()).toString("hex")}`,
    );
  await group.until("equal states", () => new Set(states()).size === 1);
}

function activeAt(group: BftGroup): readonly number[] {
  return [...group.running.values()].map(({ core }) => core.status().machine.active);
}

async function answered(group: BftGroup, asked: Promise<unknown>): Promise<unknown> {
  let answer: unknown;
  void asked.then((outcome) => (answer = outcome));
  return group.until("an answer", () => answer);
}

const addDeep = (door: Door): Promise<unknown> => door.command("add", encodeUtf8("deep"), undefined);

test("the second version starts at one entry, once the last of four can run it", async () => {
  const upgraded = new Set<string>();
  const group = new BftGroup(ids, { machineOf: (id) => (upgraded.has(id) ? second : tally) });
  const door = group.door("a");
  let count = 0;
  for (const id of ["b", "c", "d"]) {
    expect(await group.add(door, "x")).toBe(String((count += 1)));
    group.crash(id);
    upgraded.add(id);
    group.start(id);
    group.advance(3_000);
    expect(await group.add(door, "x")).toBe(String((count += 1)));
    expect(new Set(activeAt(group))).toEqual(new Set([1]));
  }
  group.crash("a");
  upgraded.add("a");
  group.start("a");
  await group.until("the start", () => activeAt(group).every((active) => active === 2));

  const again = group.door("a");
  expect(await group.add(again, "x")).toBe(`${count + 1}!`);
  await untilAlike(group);
  const since = [...group.running.values()].map(({ core }) => core.status().machine.since);
  expect(new Set(since).size).toBe(1);
  expect([group.broken, group.found]).toEqual([[], []]);
});

test("a version whose log begins with it cannot be run", () => {
  const { previous: _, ...alone } = second;
  expect(() => new BftGroup(ids, { machineOf: () => alone })).toThrow("its log begins with version 1");
});

test.each([
  ["four", ids, []],
  ["three of four, one of which is away", ids, ["d"]],
])("a command that none of %s can finish is skipped, and those around it are executed", async (_, names, away) => {
  const group = new BftGroup(names, { machineOf: () => shallow(() => true) });
  for (const id of away) group.crash(id);
  const door = group.door("b");
  expect(await group.add(door, "x")).toBe("1");
  const outcomes = await Promise.all([
    answered(group, addDeep(door)),
    answered(group, door.command("add", encodeUtf8("x"), undefined)),
  ]);

  expect(outcomes[0]).toMatchObject({ status: "failed", message: "skipped" });
  expect(await group.add(door, "x")).toBe("3");
  await untilAlike(group);
  expect([group.broken, group.found]).toEqual([[], []]);
});

test("a full window does not keep the reports out by which a command is skipped", async () => {
  let isDeaf = true;
  const isDeafTo = (_from: string, type: number): boolean => isDeaf && type === peerMessageTypes.report;
  const byzantine = { windowEntries: 8, checkpointEntries: 4 };
  const group = new BftGroup(ids, { machineOf: () => shallow(() => true), isDeafTo, byzantine });
  const door = group.door("a");
  expect(await group.add(door, "x")).toBe("1");
  const deep = addDeep(door);
  // All replicas renew the age of their reads by entries that do nothing.
  const { state } = group.replica("a").core.engine.driver;
  const taken = (): number => state.proposed - state.stable.index;
  await group.until("a full window", () => taken() >= 6);
  group.advance(300);
  expect([state.view, taken()]).toEqual([0, 6]);

  isDeaf = false;
  expect(await answered(group, deep)).toMatchObject({ status: "failed", message: "skipped" });
  expect(await group.add(door, "x")).toBe("2");
  await untilAlike(group);
  expect([group.broken, group.found]).toEqual([[], []]);
});

test("who alone cannot finish a command is carried over it by a certified checkpoint, and it is not skipped", async () => {
  const group = new BftGroup(ids, { machineOf: (id) => shallow(() => id === "c") });
  const door = group.door("b");
  expect(await answered(group, addDeep(door))).toMatchObject({ status: "ok" });
  await group.until("it to stand still", () => group.replica("c").executor.unfinished);
  for (let count = 1; count <= 20; count += 1) expect(await group.add(door, "x")).toBe(String(count));
  await untilAlike(group);

  expect(group.replica("c").executor.unfinished).toBeUndefined();
  expect([group.broken, group.found]).toEqual([[], []]);
});
