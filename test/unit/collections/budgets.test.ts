/** Runaways that count: each ends as the same failure on every copy of the machine, whatever its history, and leaves no trace. */
import { describe, expect, test } from "vitest";

import { defaultLimits } from "../../../src/api/config.js";
import type { MachineInstance, Outcome } from "../../../src/api/low-level.js";
import { define, event, rejected } from "../../../src/index.js";
import { logIndex, sessionId } from "../../../src/model/ids.js";
import { nodeHash } from "../../../src/node/hash.js";
import { encodeValue } from "../../../src/wire/canonical.js";

/** Small in memory, and 2^depth values in canonical form. */
function folded(depth: number): unknown {
  let value: unknown = "leaf";
  for (let at = 0; at < depth; at += 1) value = [value, value];
  return value;
}

const definition = define({
  name: "runaway",
  version: 1,
  state: ({ map, list, set, sortedMap }) => ({
    map: map<string, unknown>(),
    list: list<unknown>(),
    set: set<string>(),
    sorted: sortedMap<readonly string[], unknown>(),
  }),
  events: { told: event<unknown>() },
  timers: { later: event<unknown>() },
  limits: { operationsMax: 1_000, bytesMax: 6_000_000, outputBytesMax: 5_000 },
});

const machine = definition.machine({
  commands: {
    sizeOfMap: (state) => {
      state.map.set("a", 1);
      while (state.map.size > 0);
    },
    sizeOfSet: (state) => {
      state.set.add("a");
      while (state.set.size > 0);
    },
    sizeOfSorted: (state) => {
      state.sorted.set(["a"], 1);
      while (state.sorted.size > 0);
    },
    lengthOfList: (state) => {
      state.list.push(1);
      while (state.list.length > 0);
    },
    emptyWalks: (state) => {
      while ([...state.map, ...state.list, ...state.sorted].length === 0);
    },
    emptyScans: (state) => {
      while (state.map.scan(0, 10).entries.length === 0);
    },
    draws: (_state, _input, context) => {
      while (context.random() < 2);
    },
    uuids: (_state, _input, context) => {
      while (context.uuid() !== "");
    },
    timers: (_state, _input, context) => {
      for (let at = 0; ; at += 1) context.timers.set("later", `${at}`, 1e9, null);
    },
    emits: (_state, _input, context) => {
      for (;;) context.emit("told", null);
    },
    caught: (state) => {
      try {
        for (;;) state.map.set("a", 1);
      } catch {
        return "went on";
      }
    },
    manyBytes: (state) => {
      for (let at = 0; ; at += 1) state.list.push("x".repeat(1_000_000));
    },
    longKeys: (state) => {
      for (let at = 0; ; at += 1) state.set.add(`${at}${"k".repeat(1_000_000)}`);
    },
    longKey: (state) => {
      state.sorted.set(["a", "k".repeat(1_048_576)], 1);
    },
    longTimer: (_state, _input, context) => {
      context.timers.set("later", "a", 1e9, "x".repeat(5_000_000));
    },
    longValue: (state) => {
      state.map.set("a", "x".repeat(5_000_000));
    },
    foldedValue: (state) => {
      state.map.set("a", folded(60) as string);
    },
    foldedEvent: (_state, _input, context) => {
      context.emit("told", folded(60));
    },
    foldedOutput: (state) => {
      state.map.set("a", 1);
      return folded(60) as string[];
    },
    foldedRejection: (state) => {
      state.map.set("a", 1);
      return rejected("no", folded(60) as string[]);
    },
    longOutput: (state) => {
      state.map.set("a", 1);
      return "x".repeat(6_000);
    },
    deepOutput: () => {
      let value: unknown = 1;
      for (let at = 0; at < 70; at += 1) value = [value];
      return value as string[];
    },
    fits: (state) => {
      state.map.set("a", "x".repeat(4_000_000));
      return "x".repeat(4_000);
    },
  },
  queries: {
    endless: (state) => {
      while (state.map.size >= 0);
    },
    folded: () => folded(60) as string[],
  },
  on: { later: () => undefined },
});

const environment = { hash: nodeHash, limits: defaultLimits.machine };

class Copy {
  readonly instance: MachineInstance = machine.open(environment);
  #index = 0;

  run(name: string): Outcome | undefined {
    this.#index += 1;
    const [index, session] = [logIndex(this.#index), sessionId(1)];
    if (index === undefined || session === undefined) throw new Error("unreachable");
    const command = { name, input: encodeValue(undefined), ordinal: 0, session };
    return this.instance.apply({ index, time: 1_000, commands: [command] })[0];
  }
}

const operations = "Cannot use the state more than 1000 times in one command (operationsMax)";
const bytes = "Cannot write more than 6000000 bytes in one command (bytesMax)";

describe("a command that runs away", () => {
  test.each([
    ["sizeOfMap", operations],
    ["sizeOfSet", operations],
    ["sizeOfSorted", operations],
    ["lengthOfList", operations],
    ["emptyWalks", operations],
    ["emptyScans", operations],
    ["draws", operations],
    ["uuids", operations],
    ["timers", operations],
    ["emits", operations],
    ["caught", operations],
    ["manyBytes", bytes],
    ["longKeys", bytes],
    ["longKey", "Cannot encode value at a key of sorted: it takes more than 1048576 bytes"],
    ["longTimer", "it takes more than 4194304 bytes"],
    ["longValue", 'Cannot encode value at map["a"]: it takes more than 4194304 bytes'],
    ["foldedValue", 'Cannot encode value at map["a"]: it takes more than 4194304 bytes'],
    ["foldedEvent", "Cannot emit told: it takes more than 1048576 bytes"],
    ["foldedOutput", "Cannot encode the output: it takes more than 5000 bytes"],
    ["foldedRejection", "Cannot encode the output: it takes more than 5000 bytes"],
    ["longOutput", "Cannot encode the output: it takes more than 5000 bytes"],
    ["deepOutput", "it is nested deeper than 64 levels, or contains itself"],
  ])("by %s fails, on every copy alike, and without a trace", (name, message) => {
    const [one, another] = [new Copy(), new Copy()];
    // Another history, the same state.
    another.instance.install(one.instance.fork().chunks());
    const before = one.instance.digest();
    const outcome = one.run(name);

    expect(outcome).toMatchObject({ status: "failed", message: expect.stringContaining(message) as string });
    expect(another.run(name)).toEqual(outcome);
    expect(one.instance.digest()).toEqual(before);
    expect(another.instance.fingerprint?.()).toEqual(one.instance.fingerprint?.());
    expect(one.run("fits")).toMatchObject({ status: "ok" });
  });

  test("as a query fails as well", () => {
    const { instance } = new Copy();
    const index = logIndex(1);
    if (index === undefined) throw new Error("unreachable");

    expect(instance.query("endless", encodeValue(undefined), { index, time: 1 })).toEqual({
      status: "failed",
      message: operations,
    });
    expect(instance.query("folded", encodeValue(undefined), { index, time: 1 })).toEqual({
      status: "failed",
      message: "Cannot encode the output: it takes more than 5000 bytes",
    });
  });
});

test("limits that are no limits are refused when the machine is defined", () => {
  const withLimits = (limits: object) => (): unknown => define({ name: "m", version: 1, state: () => ({}), limits });

  expect(withLimits({ operationsMax: 0 })).toThrow("limits.operationsMax is 0 and must be a whole number from 1");
  expect(withLimits({ bytesMax: NaN })).toThrow("limits.bytesMax is NaN");
  expect(withLimits({ outputBytesMax: 5_000_000 })).toThrow(
    "limits.outputBytesMax is 5000000 and must be at most 4194304",
  );
});
