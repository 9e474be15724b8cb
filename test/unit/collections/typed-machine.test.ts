/** A typed machine through the low-level contract. One file, and for this reason long: all of it tests one small machine. */
import { describe, expect, test } from "vitest";
import { z } from "zod";

import { defaultLimits } from "../../../src/api/config.js";
import type { MachineInstance, Outcome } from "../../../src/api/low-level.js";
import { define, rejected } from "../../../src/index.js";
import { logIndex, sessionId } from "../../../src/model/ids.js";
import { nodeHash } from "../../../src/node/hash.js";
import { applyAlone } from "../../../src/sim/apply-alone.js";
import { decodeValue, encodeValue } from "../../../src/wire/canonical.js";

const environment = { hash: nodeHash, limits: defaultLimits.machine };

const ledger = define({
  name: "ledger",
  version: 3,
  state: ({ map, list, sortedMap, cell }) => ({
    accounts: map<string, bigint>(),
    log: list<string>(),
    due: sortedMap<number, string>(),
    swept: cell(0),
  }),
});

let timesExecuted = 0;

const machine = ledger.machine({
  commands: {
    deposit(state, { account, amount }: { account: string; amount: bigint }) {
      const balance = (state.accounts.get(account) ?? 0n) + amount;
      state.accounts.set(account, balance);
      return { balance };
    },
    withdraw(state, { account, amount }: { account: string; amount: bigint }) {
      const balance = state.accounts.get(account) ?? 0n;
      if (balance < amount) return rejected("insufficientFunds", { balance });
      state.accounts.set(account, balance - amount);
      return { balance: balance - amount };
    },
    writeThen(
      state,
      mode: "throw" | "throwText" | "throwObject" | "nan" | "promise" | "emit" | "timer" | "deep",
      context,
    ) {
      state.log.push(mode);
      state.accounts.clear();
      if (mode === "throw") throw new Error("as asked");
      if (mode === "throwText") throw "text";
      if (mode === "throwObject") throw { odd: true };
      if (mode === "nan") return { value: [NaN] };
      if (mode === "promise") return Promise.resolve(1) as never;
      if (mode === "emit") context.emit("moved" as never, {} as never);
      if (mode === "timer") context.timers.cancel("settle" as never, "a");
      return null;
    },
    overflow(state, depth: number) {
      state.log.push("before");
      const sink = (left: number): number => (left === 0 ? 0 : 1 + sink(left - 1));
      return sink(depth);
    },
    /** As no command may: it does not follow from its input and the state alone. */
    overflowTheSecondTime() {
      timesExecuted += 1;
      const sink = (left: number): number => (left === 0 ? 0 : 1 + sink(left - 1));
      return timesExecuted < 2 ? 0 : sink(1e9);
    },
    /** Overflows inside of collections, again and again, and catches it each time. */
    overflowWithin(state, caught: boolean) {
      let count = 0;
      const descend = (): void => {
        count += 1;
        try {
          state.due.set(count, "deep");
          state.accounts.set(`account ${count}`, 1n);
          descend();
          state.due.delete(count);
        } catch (cause) {
          if (!caught) throw cause;
        }
      };
      descend();
      return null;
    },
    draw: (_state, _input, context) => ({
      random: [context.random(), context.random()],
      uuid: context.uuid(),
      at: [context.now, context.index, context.ordinal, context.session, context.version],
    }),
    later(state, at: number) {
      state.due.set(at, "due");
    },
    checked: ledger.command(z.object({ text: z.string().trim() }), (state, { text }) => {
      state.log.push(text);
      return text.length;
    }),
  },
  queries: {
    balance: (state, account: string) => state.accounts.get(account) ?? 0n,
    log: (state) => [...state.log],
    writes(state) {
      (state as unknown as { log: { push(text: string): void } }).log.push("from a query");
      return null;
    },
    now: (_state, _input, context) => [context.now, context.index],
  },
  sweep: {
    dueAt: (state) => state.due.first()?.[0],
    run(state, context) {
      for (const [at] of state.due.range({ through: context.now, limit: 2 })) {
        if (at === 13) throw new Error("unlucky");
        state.due.delete(at);
        state.swept.set(state.swept.get() + 1);
      }
    },
  },
});

type Asked = readonly [name: string, input?: unknown];

class Harness {
  readonly instance: MachineInstance;
  #index = 0;

  constructor(instance: MachineInstance = machine.open(environment)) {
    this.instance = instance;
  }

  entry(asked: readonly Asked[], time = 1000): readonly Outcome[] {
    this.#index += 1;
    const index = logIndex(this.#index);
    const session = sessionId(7);
    if (index === undefined || session === undefined) throw new Error("unreachable");
    return applyAlone(this.instance, {
      index,
      time,
      commands: asked.map(([name, input], ordinal) => ({ name, input: encodeValue(input), ordinal, session })),
    });
  }

  query(name: string, input?: unknown): unknown {
    const index = logIndex(this.#index);
    if (index === undefined) throw new Error("unreachable");
    return readable(this.instance.query(name, encodeValue(input), { index, time: 1000 }));
  }
}

function readable(outcome: Outcome | undefined): unknown {
  if (outcome?.status === "ok") return decodeValue(outcome.output);
  if (outcome?.status === "rejected") return { rejected: outcome.code, data: decodeValue(outcome.data) };
  return outcome;
}

describe("outcomes", () => {
  test("are outputs, rejections and failures, each its own", () => {
    const harness = new Harness();
    const outcomes = harness.entry([
      ["deposit", { account: "a", amount: 5n }],
      ["withdraw", { account: "a", amount: 9n }],
      ["withdraw", { account: "a", amount: 2n }],
      ["nothing"],
    ]);

    expect(outcomes.map(readable)).toEqual([
      { balance: 5n },
      { rejected: "insufficientFunds", data: { balance: 5n } },
      { balance: 3n },
      { status: "failed", message: "Cannot do nothing: version 3 of ledger does not know it" },
    ]);
    expect(harness.query("balance", "a")).toBe(3n);
  });

  test.each([
    ["throw", "as asked"],
    ["throwText", "text"],
    ["throwObject", "a value that is not an error was thrown"],
    ["nan", "Cannot encode the output at value[0]: NaN is not a finite number"],
    ["promise", "Cannot answer with a promise: commands and queries are synchronous"],
    ["emit", "Cannot emit an event: the machine declares none"],
    ["timer", "Cannot use a timer: the machine declares none"],
  ])("of a command that ends by %s are a failure, and its writes are rolled back", (mode, message) => {
    const harness = new Harness();
    harness.entry([["deposit", { account: "a", amount: 5n }]]);
    const before = harness.instance.digest();
    const outcomes = harness.entry([
      ["writeThen", mode],
      ["deposit", { account: "b", amount: 1n }],
      ["writeThen", mode],
    ]);

    expect(outcomes[0]).toEqual({ status: "failed", message });
    expect(readable(outcomes[1])).toEqual({ balance: 1n });
    harness.entry([["withdraw", { account: "b", amount: 1n }]]);
    expect(harness.query("balance", "a")).toBe(5n);
    expect(harness.query("log")).toEqual([]);
    expect(harness.instance.digest()).not.toEqual(before);
  });

  test("of an input that cannot be decoded are a failure", () => {
    const harness = new Harness();
    const [index, session] = [logIndex(1), sessionId(1)];
    if (index === undefined || session === undefined) throw new Error("unreachable");
    const command = { name: "deposit", input: Uint8Array.of(99), ordinal: 0, session };

    expect(harness.instance.apply({ index, time: 1, commands: [command] })).toEqual([
      { status: "failed", message: "Cannot decode the input: the bytes are not in canonical form" },
    ]);
  });

  test("of a query that writes are a failure without effect", () => {
    const harness = new Harness();

    expect(harness.query("writes")).toEqual({ status: "failed", message: "Cannot write to log: queries only read" });
    expect(harness.query("log")).toEqual([]);
  });
});

describe("a stack that overflows", () => {
  test("is a failure of its command alone: what came before and after in the entry stays", () => {
    const harness = new Harness();
    const plain = new Harness();
    const outcomes = harness.entry([
      ["deposit", { account: "a", amount: 5n }],
      ["overflow", 1e9],
      ["deposit", { account: "a", amount: 5n }],
      ["overflow", 1e9],
      ["overflow", 10],
    ]);
    plain.entry([
      ["deposit", { account: "a", amount: 5n }],
      ["writeThen", "throw"],
      ["deposit", { account: "a", amount: 5n }],
      ["writeThen", "throw"],
      ["overflow", 10],
    ]);

    expect(outcomes.map(readable)).toEqual([
      { balance: 5n },
      { status: "failed", message: "Cannot finish overflow: its calls are nested too deeply" },
      { balance: 10n },
      { status: "failed", message: "Cannot finish overflow: its calls are nested too deeply" },
      10,
    ]);
    expect(harness.instance.digest()).toEqual(plain.instance.digest());
  });

  test("keeps what earlier entries did, however many, also after an installation", () => {
    const harness = new Harness();
    const plain = new Harness();
    for (let at = 0; at < 150; at += 1) {
      const deposit = ["deposit", { account: `account ${at % 7}`, amount: BigInt(at) }] as const;
      harness.entry([deposit, ...(at % 40 === 39 ? [["overflowWithin", false] as const] : [])]);
      plain.entry([deposit]);
      if (at !== 100) continue;
      harness.instance.install(plain.instance.fork().chunks());
      harness.entry([["overflowWithin", false]]);
    }
    expect(harness.instance.digest()).toEqual(plain.instance.digest());
    expect(harness.query("balance", "account 6")).toBe(plain.query("balance", "account 6"));
  });

  test("keeps what was done before and behind a fork, which is a mark between entries and none within one", () => {
    let looking: MachineInstance | undefined;
    const forking = new Harness(machine.open({ ...environment, stepped: () => looking?.fork() }));
    const plain = new Harness();
    for (let at = 0; at < 20; at += 1) {
      const deposit = ["deposit", { account: `account ${at % 3}`, amount: BigInt(at) }] as const;
      looking = at % 2 === 0 ? forking.instance : undefined;
      forking.entry(at % 5 === 4 ? [deposit, ["overflowWithin", false], deposit] : [deposit, deposit]);
      plain.entry([deposit, deposit]);
      if (at % 7 === 6) forking.instance.fork();
    }
    expect(forking.instance.digest()).toEqual(plain.instance.digest());
  });

  test("is no reason to go on with a machine that overflows in what it had executed before (M13)", () => {
    const harness = new Harness();
    harness.entry([["overflowTheSecondTime", null]]);
    expect(() => harness.entry([["overflow", 1e9]])).toThrow("M13 what was executed once can be executed again");
  });

  test("within a collection leaves nothing half done, thrown or caught", () => {
    const harness = new Harness();
    harness.entry([
      ["deposit", { account: "a", amount: 5n }],
      ["later", 1_000_000],
    ]);
    const before = harness.instance.digest();
    const outcomes = harness.entry([
      ["overflowWithin", false],
      ["overflowWithin", false],
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(["failed", "failed"]);
    expect(harness.instance.digest()).toEqual(before);
    expect(harness.instance.dueAt()).toBe(1_000_000);
    expect(harness.query("balance", "a")).toBe(5n);

    // Caught, it may end either way; but the state is whole, so a copy of it is equal in every respect.
    harness.entry([["overflowWithin", true]]);
    harness.entry([["deposit", { account: "b", amount: 1n }]]);
    const restored = new Harness();
    restored.instance.install(harness.instance.fork().chunks());
    expect(restored.instance.digest()).toEqual(harness.instance.digest());
    expect(restored.query("balance", "b")).toBe(1n);
    expect(restored.instance.dueAt()).toBe(harness.instance.dueAt());
  });
});

describe("context", () => {
  test("gives the position, and numbers that follow from the position alone", () => {
    const one = new Harness();
    const other = new Harness();
    const [first, second] = one.entry([["draw"], ["draw"]], 5000).map(readable) as { at: unknown; uuid: string }[];
    const [sameFirst] = other.entry([["draw"]], 5000).map(readable);

    expect(first?.at).toEqual([5000, 1, 0, 7, 3]);
    expect(second?.at).toEqual([5000, 1, 1, 7, 3]);
    expect(first).toEqual(sameFirst);
    expect(first?.uuid).not.toBe(second?.uuid);
    expect(first?.uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(one.query("now")).toEqual([1000, 1]);
  });
});

describe("a sweep", () => {
  test("runs at the start of every entry and says when the next is due", () => {
    const harness = new Harness();
    harness.entry(
      [
        ["later", 100],
        ["later", 200],
        ["later", 300],
        ["later", 4000],
      ],
      50,
    );
    expect(harness.instance.dueAt()).toBe(100);

    harness.entry([], 1000);
    expect(harness.instance.dueAt()).toBe(300);
    harness.entry([], 1000);
    expect(harness.instance.dueAt()).toBe(4000);
    harness.entry([], 5000);
    expect(harness.instance.dueAt()).toBeUndefined();
  });

  test("that throws is rolled back, and is not due again until the next entry", () => {
    const harness = new Harness();
    harness.entry(
      [
        ["later", 12],
        ["later", 13],
      ],
      1,
    );
    harness.entry([["deposit", { account: "a", amount: 1n }]], 20);

    expect(harness.instance.dueAt()).toBeUndefined();
    expect(harness.query("balance", "a")).toBe(1n);
    harness.entry([], 10);
    expect(harness.instance.dueAt()).toBe(12);
  });
});

describe("forks", () => {
  test("are unaffected by later batches and restore an equal machine", () => {
    const harness = new Harness();
    harness.entry([
      ["deposit", { account: "a", amount: 5n }],
      ["later", 9000],
    ]);
    const fork = harness.instance.fork();
    const digest = harness.instance.digest();
    harness.entry([
      ["deposit", { account: "a", amount: 5n }],
      ["writeThen", "throw"],
    ]);
    const restored = new Harness();
    restored.instance.install(fork.chunks());

    expect(restored.instance.digest()).toEqual(digest);
    expect(fork.digest()).toEqual(digest);
    expect(restored.query("balance", "a")).toBe(5n);
    expect(restored.instance.dueAt()).toBe(9000);
    expect(harness.query("balance", "a")).toBe(10n);
    fork.release();
  });
});

describe("admission", () => {
  test("orders what the schema returns, and refuses what it does not accept", async () => {
    const admitted = await machine.admit("checked", encodeValue({ text: "  hi " }));
    const refused = await machine.admit("checked", encodeValue({ text: 5 }));

    expect(admitted).toEqual({ status: "admitted", input: encodeValue({ text: "hi" }) });
    expect(refused).toMatchObject({ status: "invalid" });
    expect(refused.status === "invalid" ? refused.message : "").toMatch(/^text: /);
    expect(await machine.admit("checked", Uint8Array.of(99))).toMatchObject({ status: "invalid" });
    expect(await machine.admit("deposit", encodeValue(1))).toEqual({ status: "admitted", input: encodeValue(1) });
  });

  test("waits for schemas that take time, and survives those that throw", async () => {
    const schemaOf = (validate: (value: unknown) => never) => ({
      "~standard": { version: 1 as const, vendor: "test", validate },
    });
    const slow = schemaOf(() => Promise.resolve({ value: "slow" }) as never);
    const broken = schemaOf(() => {
      throw new Error("broken");
    });
    const failing = schemaOf(() => Promise.reject(new Error("later")) as never);
    const odd = ledger.machine({
      commands: {
        slow: ledger.command(slow, () => null),
        broken: ledger.command(broken, () => null),
        failing: ledger.command(failing, () => null),
      },
    });

    expect(await odd.admit("slow", encodeValue(1))).toEqual({ status: "admitted", input: encodeValue("slow") });
    expect(await odd.admit("broken", encodeValue(1))).toEqual({
      status: "invalid",
      message: "the schema threw: broken",
    });
    expect(await odd.admit("failing", encodeValue(1))).toEqual({
      status: "invalid",
      message: "the schema threw: later",
    });
  });
});

describe("declarations that types alone cannot refuse", () => {
  const base = { version: 1, state: () => ({}) };

  test("names, versions and states are checked when the machine is defined", () => {
    expect(() => define({ ...base, name: "has space" })).toThrow('Cannot define a machine named "has space"');
    expect(() => define({ ...base, name: "x", version: 0 })).toThrow("versions are whole numbers from 1");
    expect(() => define({ name: "x", version: 1, state: () => ({ plain: {} as never }) })).toThrow(
      "Cannot declare state.plain: it is not one of the collections",
    );
    expect(() =>
      define({
        name: "x",
        version: 1,
        state: ({ map }) => {
          const one = map<string, string>();
          return { one, two: one };
        },
      }),
    ).toThrow("Cannot declare state.two: it has another name already");
  });

  test("names that the client needs, and names shared by a command and a query", () => {
    const plain = define({ ...base, name: "x" });
    const untyped = plain.machine as (parts: unknown) => unknown;

    expect(() => untyped({ commands: { $close: () => 1 } })).toThrow("names with $ are the client's own");
    expect(() => untyped({ commands: { then: () => 1 } })).toThrow("a client would look like a promise");
    expect(() => untyped({ commands: { a: () => 1 }, queries: { a: () => 1 } })).toThrow("may not share a name");
  });

  test("names are sorted for those who look them up", () => {
    expect(machine.commandNames).toEqual([
      "checked",
      "deposit",
      "draw",
      "later",
      "overflow",
      "overflowTheSecondTime",
      "overflowWithin",
      "withdraw",
      "writeThen",
    ]);
    expect(machine.queryNames).toEqual(["balance", "log", "now", "writes"]);
  });
});
