/** Machines that are not deterministic on purpose, and who finds each of them with which words (hazards N1, N2, N3, N5). */
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";

import type { LowLevelMachine } from "../../../src/api/low-level.js";
import { checkDeterminism, DeterminismFailed, type DeterminismReport } from "../../../src/sim/index.js";
import { nodeHash } from "../../../src/node/hash.js";
import { MachineCopy } from "../../../src/sim/machine-copy.js";
import { standardMachine } from "../../../src/sim/standard-machine.js";
import auction from "../../../examples/02-auction/auction.js";
import { repositoryRoot } from "../../../test-support/source.js";

const folder = join(repositoryRoot, "test-support", "bad-machines");

async function machineIn(name: string): Promise<LowLevelMachine> {
  const module = (await import(join(folder, `${name}.ts`))) as { readonly default: LowLevelMachine };
  return module.default;
}

const check = (machine: LowLevelMachine, commands: readonly object[]): DeterminismReport =>
  checkDeterminism(machine, { commands: commands as never });

describe("is stopped by the guard, on every replica alike:", () => {
  test.each<[string, object, string]>([
    [
      "clock",
      { command: "bid", input: { who: "anna" } },
      "Cannot use Date.now in command bid: replicas execute at different times. Use context.now, the agreed time",
    ],
    [
      "chance",
      { command: "roll" },
      "Cannot use Math.random in command roll: each replica draws for itself. Use context.random() or context.uuid(), which are equal on every replica",
    ],
    [
      "price",
      { command: "add", input: { cents: 5 } },
      "Cannot use Intl.NumberFormat#format in command add: it goes by the locale of the replica and by its version of the language data. Compare with < and >, and let clients format",
    ],
    [
      "digits",
      { command: "turn", input: { by: 1 } },
      "Cannot use Math.sin in command turn: its last digits differ between versions of JavaScript engines. Use whole numbers, or let the client compute it and pass it in the command's input",
    ],
    [
      "settings",
      { command: "add" },
      "Cannot use process.env in command add: what it does or gives is not the same on every replica. Keep such settings in the state, and set them by a command",
    ],
    [
      "later",
      { command: "close" },
      "Cannot use setTimeout in command close: it would run after the end of the command, and not at the same position on every replica. Declare a timer and set it by context.timers",
    ],
  ])("%s", async (name, command, message) => {
    const report = check(await machineIn(name), [command]);

    expect(report.forbidden.map((use) => use.message)).toEqual([message]);
    expect(report.forbidden[0]?.stack.split("\n")[1]).toContain(`${name}.ts`);
    expect(report.difference).toBe(undefined);
    expect(() => report.assertDeterministic()).toThrow(message);
  });

  test("locale, when there is something to sort", async () => {
    const report = check(
      await machineIn("locale"),
      ["zoë", "ähm"].map((name) => ({ command: "add", input: { name } })),
    );

    expect(report.forbidden.map(({ where, used, index }) => [where, used, index])).toEqual([
      ["command add", "String#localeCompare", 2],
    ]);
  });
});

describe("fails on every replica alike:", () => {
  test.each<[string, object, string]>([
    ["promise", {}, "Cannot answer with a promise: commands and queries are synchronous"],
    [
      "mutation",
      { cart: "c", item: "i" },
      "Cannot change a value in command add: what collections give is frozen. Make a changed copy, and set that",
    ],
  ])("%s", async (name, value, message) => {
    const copy = new MachineCopy(await machineIn(name), nodeHash);
    const add = { kind: "command", name: "add", value } as const;
    copy.execute(0, add);
    const { outcome } = copy.execute(1, add);

    expect(outcome).toEqual({ status: "failed", message });
  });
});

test("what fails each time was not compared, and that is said", async () => {
  const report = check(await machineIn("promise"), [{ command: "add" }]);

  expect(() => report.assertDeterministic()).toThrow(
    "Command add was not compared: it failed each time (Cannot answer with a promise: commands and queries are synchronous)",
  );
});

describe("is named by checkDeterminism:", () => {
  test("counter, which goes on where another copy ended", async () => {
    const { difference } = check(
      await machineIn("counter"),
      ["anna", "bert"].map((who) => ({ command: "take", input: { who } })),
    );

    expect(difference).toEqual({
      place: 1,
      command: 'take({ who: "anna" })',
      ways: ["the first time", "a second time in the same process"],
      outputs: ["1", "3"],
      keys: [
        { key: "tickets[1]", expected: '"anna"', found: "nothing" },
        { key: "tickets[3]", expected: "nothing", found: '"anna"' },
      ],
    });
  });

  test("order, of a map that the state does not hold", async () => {
    const bids = [
      ["anna", 1],
      ["bert", 2],
      ["anna", 3],
    ].map(([who, amount]) => ({ command: "bid", input: { who, amount } }));
    const report = check(await machineIn("order"), bids);

    expect(() => report.assertDeterministic()).toThrow(DeterminismFailed);
    expect(() => report.assertDeterministic()).toThrow(
      [
        'Command 1 is not deterministic: bid({ amount: 1, who: "anna" }) gives another output',
        '  the first time:                    "anna"',
        '  a second time in the same process: "bert"',
        '  state winner[0]: "anna", and then "bert"',
      ].join("\n"),
    );
  });

  test("cache, which a query fills", async () => {
    const { difference } = check(await machineIn("cache"), [
      { command: "add" },
      { query: "count" },
      { command: "add" },
      { command: "add" },
    ]);

    expect(difference).toMatchObject({
      place: 4,
      command: "add()",
      ways: ["the first time", "with the queries in between"],
      outputs: ["3", "2"],
    });
  });
});

describe("a machine that is deterministic", () => {
  test.each<[string, LowLevelMachine]>([
    ["the standard one, with everything that there is", standardMachine],
    ["the example with timers and events", auction],
  ])("is the same in every way: %s", (_, machine) => {
    const report = checkDeterminism(machine, { count: 300 });

    expect([report.difference, report.forbidden]).toEqual([undefined, []]);
    // One of the standard machine's fails on purpose.
    expect(report.unchecked.filter(({ command }) => command !== "spoil")).toEqual([]);
    expect(report.commands).toBeGreaterThan(100);
    expect(report.ways.length).toBe(5);
  });
});

test("inputs are guessed for a machine that fails whatever it is given, if that is because of the guard", async () => {
  const { forbidden } = checkDeterminism(await machineIn("clock"), { count: 10 });

  expect(forbidden).toMatchObject([{ where: "command bid", used: "Date.now" }]);
});

test("every bad machine is found by somebody", () => {
  const named = ["clock", "chance", "price", "digits", "settings", "later", "locale", "promise", "mutation"].concat(
    ["counter", "order", "cache"],
    // By processes that differ (test/e2e/check-determinism.test.ts).
    ["setup"],
  );

  expect(readdirSync(folder).map((file) => basename(file, ".ts"))).toEqual(named.sort());
});
