/**
 * The types of `define` and of the client, from end to end.
 *
 * The assertions here are the compiler's: `expectTypeOf` does nothing at run time, and a `@ts-expect-error` over a line without
 * an error is an error itself. So it is `tsc -p tsconfig.test.json`, a part of the build, that runs this file; the runner merely lists it.
 */
import { z } from "zod";
import { describe, expectTypeOf, test } from "vitest";

import { define, event, rejected, type Client, type Immutable, type Rejected } from "../../../src/index.js";

const bank = define({
  name: "bank",
  version: 1,
  state: ({ map, sortedMap, set, list, cell }) => ({
    accounts: map<string, bigint>(),
    due: sortedMap<readonly [number, string], { tags: string[] }>(),
    names: set<string>(),
    log: list<string>(),
    total: cell(0n),
  }),
  events: { moved: event<{ from: string; amount: bigint }>() },
  timers: { settle: event<{ account: string }>() },
});

const transferSchema = z.object({ from: z.string(), amount: z.string().transform((text) => BigInt(text)) });

const machine = bank.machine({
  commands: {
    deposit(state, { account, amount }: { account: string; amount: bigint }) {
      const balance = (state.accounts.get(account) ?? 0n) + amount;
      expectTypeOf(balance).toEqualTypeOf<bigint>();
      state.accounts.set(account, balance);
      return { balance };
    },
    withdraw(state, { account, amount }: { account: string; amount: bigint }, context) {
      const balance = state.accounts.get(account) ?? 0n;
      if (account === "") return rejected("noSuchAccount");
      if (balance < amount) return rejected("insufficientFunds", { balance });
      expectTypeOf(context.now).toEqualTypeOf<number>();
      context.emit("moved", { from: account, amount });
      context.timers.set("settle", account, context.now + 1, { account });
      return { balance: balance - amount };
    },
    transfer: bank.command(transferSchema, (state, input, context) => {
      expectTypeOf(input).toEqualTypeOf<{ from: string; amount: bigint }>();
      expectTypeOf(context.session).toEqualTypeOf<number>();
      state.accounts.set(input.from, input.amount);
      return state.accounts.size > 3 ? rejected("full", 3) : input.amount;
    }),
    wipe(state) {
      state.accounts.clear();
    },
    touch(state, _input, context) {
      state.total.set(BigInt(context.index));
      return null;
    },
    rename(state, name?: string) {
      if (name !== undefined) state.names.add(name);
      return [name ?? "none"];
    },
  },
  queries: {
    balance: (state, account: string) => state.accounts.get(account) ?? 0n,
    tags: bank.query(z.number(), (state, at) => state.due.get([at, ""])?.tags.length),
    count: (state) => state.accounts.size,
  },
  on: {
    settle(state, { account }, context) {
      expectTypeOf(account).toEqualTypeOf<string>();
      state.names.add(`${account}${context.uuid()}`);
      context.timers.set("settle", account, context.now + 1, { account });
      context.emit("moved", { from: account, amount: 1n });
    },
  },
  sweep: {
    dueAt: (state) => state.due.first()?.[0][0],
    run(state, context) {
      for (const [key] of state.due.range({ to: [context.now, ""], limit: 10 })) state.due.delete(key);
    },
  },
});

declare const client: Client<typeof machine>;
/** Type-checked and never run: nothing here has a server. */
const neverRun = (_body: () => unknown): void => undefined;

describe("what a client may ask and is answered", () => {
  test("events are typed by their name", () => {
    neverRun(async () => {
      for await (const moved of client.$events("moved", { after: 7 })) {
        expectTypeOf(moved.data).toEqualTypeOf<{ from: string; amount: bigint }>();
        void client.$events("moved", { after: moved.position });
      }
      // @ts-expect-error there is no such event
      void client.$events("other");
    });
  });

  test("inputs and outputs are the command's own", () => {
    neverRun(() => {
      expectTypeOf(client.deposit({ account: "a", amount: 1n })).toEqualTypeOf<Promise<{ balance: bigint }>>();
      // @ts-expect-error amount is a bigint
      void client.deposit({ account: "a", amount: 1 });
      // @ts-expect-error an input is needed
      void client.deposit();
      // @ts-expect-error there is no such command
      void client.nothing();
    });
  });

  test("rejections leave the output and become a union of their own", () => {
    neverRun(async () => {
      expectTypeOf(client.withdraw({ account: "a", amount: 1n })).toEqualTypeOf<Promise<{ balance: bigint }>>();
      const result = await client.$try.withdraw({ account: "a", amount: 1n });
      if (result.status === "ok") expectTypeOf(result.output).toEqualTypeOf<{ balance: bigint }>();
      if (result.status === "rejected") {
        expectTypeOf(result.code).toEqualTypeOf<"noSuchAccount" | "insufficientFunds">();
        if (result.code === "insufficientFunds") expectTypeOf(result.data).toEqualTypeOf<{ balance: bigint }>();
        else expectTypeOf(result.data).toEqualTypeOf<undefined>();
      }
      if (result.status === "unknown") expectTypeOf(result.token.number).toEqualTypeOf<number>();
      const deposit = await client.$try.deposit({ account: "a", amount: 1n });
      // @ts-expect-error deposit never rejects
      void (deposit.status === "rejected");
    });
  });

  test("a schema command takes the schema's input and gives its output to the function", () => {
    neverRun(() => {
      expectTypeOf(client.transfer({ from: "a", amount: "5" })).toEqualTypeOf<Promise<bigint>>();
      // @ts-expect-error the client gives text, the schema makes it a bigint
      void client.transfer({ from: "a", amount: 5n });
    });
  });

  test("no input, and no output, may be left out", () => {
    neverRun(async () => {
      expectTypeOf(client.wipe()).toEqualTypeOf<Promise<undefined>>();
      expectTypeOf(client.touch(undefined, { timeoutMs: 5 })).toEqualTypeOf<Promise<null>>();
      expectTypeOf(client.rename()).toEqualTypeOf<Promise<string[]>>();
      expectTypeOf(client.rename("x")).toEqualTypeOf<Promise<string[]>>();
      // @ts-expect-error it takes no input
      void client.wipe(1);
      const { output, index, ageMs } = await client.$detail.balance("a", { signal: new AbortController().signal });
      expectTypeOf(output).toEqualTypeOf<bigint>();
      expectTypeOf(index + ageMs).toEqualTypeOf<number>();
      const stale = await client.$detail.balance("a", { read: { maxStalenessMs: 500 } });
      expectTypeOf(stale).toEqualTypeOf<{ readonly output: bigint; readonly index: number; readonly ageMs: number }>();
      expectTypeOf(client.balance("a", { read: "local", timeoutMs: 5 })).toEqualTypeOf<Promise<bigint>>();
      expectTypeOf(client.count(undefined, { read: { atLeast: stale.index } })).toEqualTypeOf<Promise<number>>();
      await client.$try.balance("a", { read: "lease" });
      // @ts-expect-error no such level
      await client.balance("a", { read: "eventual" });
      // @ts-expect-error a level with a number names it
      await client.balance("a", { read: { maxStaleness: 500 } });
      // @ts-expect-error a command has no level
      await client.touch(undefined, { read: "local" });
      // @ts-expect-error nor has it in the other forms
      await client.$detail.deposit({ account: "a", amount: 1n }, { read: "local" });
      expectTypeOf(client.tags(3)).toEqualTypeOf<Promise<number | undefined>>();
      expectTypeOf(client.count()).toEqualTypeOf<Promise<number>>();
      expectTypeOf(client.$close()).toEqualTypeOf<Promise<void>>();
    });
  });
});

describe("a version behind another", () => {
  const second = define({
    name: "bank",
    version: 2,
    previous: machine,
    state: ({ map, sortedMap, set }) => ({
      accounts: map<string, { balance: bigint }>(),
      due: sortedMap<readonly [number, string], { tags: string[] }>(),
      owners: set<string>(),
    }),
    events: { closed: event<{ account: string }>() },
    timers: { audit: event<number>() },
  });

  test("its migration has the state of both, the older one to read", () => {
    neverRun(() =>
      second.machine({
        migrate(state, before, context) {
          for (const [account, balance] of before.accounts) {
            expectTypeOf(account).toEqualTypeOf<string>();
            expectTypeOf(balance).toEqualTypeOf<bigint>();
            state.accounts.set(account, { balance });
            // @ts-expect-error it has another type now
            state.accounts.set(account, balance);
          }
          expectTypeOf(before.total.get()).toEqualTypeOf<bigint>();
          // @ts-expect-error the older state is only read
          before.names.add("x");
          // @ts-expect-error and is all that was there
          void before.owners;
          context.emit("closed", { account: "a" });
          context.timers.set("audit", "a", context.now, 7);
          // @ts-expect-error events are those of the new version
          context.emit("moved", { from: "a", amount: 1n });
        },
        commands: {
          open(state, { account }: { account: string }) {
            state.accounts.set(account, { balance: 0n });
            return account;
          },
        },
        on: { audit: (state, amount) => void state.owners.add(String(amount + 1)) },
      }),
    );
  });

  test("its migration is wanted where the type of a collection has changed, and only there", () => {
    neverRun(() => {
      // @ts-expect-error accounts have another type: somebody must change them
      second.machine({ commands: { open: (state) => state.accounts.size }, on: { audit: () => undefined } });
      const same = define({
        name: "bank",
        version: 2,
        previous: machine,
        state: ({ map }) => ({ accounts: map<string, bigint>() }),
      });
      const made = same.machine({ commands: { count: (state) => state.accounts.size } });
      expectTypeOf<Client<typeof made>["count"]>().returns.toEqualTypeOf<Promise<number>>();
    });
  });

  test("without a version before it there is nothing to migrate", () => {
    const first = define({ name: "x", version: 1, state: ({ map }) => ({ all: map<string, number>() }) });
    neverRun(() => {
      // @ts-expect-error there is no version before it
      first.machine({ migrate: () => undefined, commands: { count: (state) => state.all.size } });
    });
  });
});

describe("what a machine may not declare", () => {
  test("an asynchronous command, or an output that is a promise", () => {
    neverRun(() => {
      bank.machine({
        commands: {
          // @ts-expect-error commands are synchronous
          async later(state) {
            state.accounts.clear();
          },
          // @ts-expect-error a promise is not an output
          promised: () => Promise.resolve(1),
        },
      });
      // @ts-expect-error a promise is not an output of a schema command either
      bank.command(transferSchema, async () => 1);
    });
  });

  test("an output of {}, which would swallow the rejections", () => {
    neverRun(() => {
      bank.machine({
        commands: {
          // @ts-expect-error {} is refused
          empty: () => ({}),
          // @ts-expect-error and so is it beside a rejection
          emptyOr: (state) => (state.accounts.size > 0 ? rejected("full") : {}),
        },
      });
    });
  });

  test("a query with the name of a command", () => {
    neverRun(() => {
      bank.machine({
        commands: { both: () => 1 },
        queries: {
          // @ts-expect-error the name is taken
          both: () => 1,
        },
      });
    });
  });

  test("a name that starts with $", () => {
    neverRun(() => {
      bank.machine({
        commands: {
          // @ts-expect-error $ is the client's own
          $close: () => 1,
        },
        queries: {
          // @ts-expect-error $ is the client's own
          $try: () => 1,
        },
      });
    });
  });

  test("a query that writes, or a handler of an unknown timer", () => {
    neverRun(() => {
      bank.machine({
        commands: {},
        queries: {
          writes(state) {
            // @ts-expect-error queries only read
            state.accounts.set("a", 1n);
            // @ts-expect-error queries only read
            state.total.set(1n);
          },
        },
      });
      bank.machine({
        commands: {},
        on: {
          // @ts-expect-error no such timer was declared
          other: () => undefined,
        },
      });
    });
  });

  test("events, keys and values other than declared", () => {
    neverRun(() => {
      bank.machine({
        commands: {
          wrong(state, _input, context) {
            // @ts-expect-error the amount is missing
            context.emit("moved", { from: "a" });
            // @ts-expect-error no such event was declared
            context.emit("other", {});
            // @ts-expect-error the account is missing
            context.timers.set("settle", "a", 1, {});
            // @ts-expect-error no such timer was declared
            context.timers.set("other", "a", 1, {});
            // @ts-expect-error nor cancelled
            context.timers.cancel("other", "a");
            // @ts-expect-error keys are strings
            state.accounts.get(1);
            // @ts-expect-error values are bigints
            state.accounts.set("a", 1);
            // @ts-expect-error what is read is frozen
            state.due.get([1, ""])?.tags.push("x");
          },
        },
      });
    });
  });
});

test("immutable types keep primitives and bytes, and freeze the rest", () => {
  expectTypeOf<Immutable<{ a: string[]; b: Uint8Array; c: [1, { d: bigint }] }>>().toEqualTypeOf<{
    readonly a: readonly string[];
    readonly b: Uint8Array;
    readonly c: readonly [1, { readonly d: bigint }];
  }>();
  expectTypeOf(rejected("x", 1)).toEqualTypeOf<Rejected<"x", number>>();
});
