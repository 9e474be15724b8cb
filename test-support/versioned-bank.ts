/** A bank in three versions, for tests of upgrades: the second keeps more of an account, the third goes back to the first's state. */
import { define, event, rejected } from "../src/index.js";

const one = define({
  name: "bank",
  version: 1,
  state: ({ map, cell }) => ({ accounts: map<string, number>(), note: cell("one") }),
  events: { moved: event<{ to: string }>() },
  timers: { settle: event<{ to: string }>(), old: event<string>() },
});

export const bankV1 = one.machine({
  commands: {
    deposit(state, { to, amount }: { to: string; amount: number }, { version, emit }) {
      const balance = (state.accounts.get(to) ?? 0) + amount;
      state.accounts.set(to, balance);
      emit("moved", { to });
      return { balance, version };
    },
    remind(_state, { to, inMs }: { to: string; inMs: number }, { timers, now }) {
      timers.set("settle", to, now + inMs, { to });
      timers.set("old", to, now + inMs, to);
    },
  },
  queries: {
    balance: (state, { to }: { to: string }, { version }) => ({ balance: state.accounts.get(to) ?? 0, version }),
  },
  on: {
    settle: (state, { to }) => {
      state.accounts.set(`${to} settled`, 1);
    },
    old: (state, to) => {
      state.accounts.set(`${to} old`, 1);
    },
  },
});

export interface Account {
  readonly balance: number;
  readonly deposits: number;
}

const two = define({
  name: "bank",
  version: 2,
  previous: bankV1,
  state: ({ map, cell }) => ({ accounts: map<string, Account>(), largest: cell(0) }),
  events: { moved: event<{ to: string }>(), migrated: event<{ accounts: number }>() },
  timers: { settle: event<{ to: string }>() },
});

export const bankV2 = two.machine({
  migrate(state, before, { emit }) {
    for (const [to, balance] of before.accounts) {
      state.accounts.set(to, { balance, deposits: 0 });
      state.largest.set(Math.max(state.largest.get(), balance));
    }
    emit("migrated", { accounts: before.accounts.size });
  },
  commands: {
    deposit(state, { to, amount }: { to: string; amount: number }, { version, emit }) {
      const { balance, deposits } = state.accounts.get(to) ?? { balance: 0, deposits: 0 };
      state.accounts.set(to, { balance: balance + amount, deposits: deposits + 1 });
      state.largest.set(Math.max(state.largest.get(), balance + amount));
      emit("moved", { to });
      return { balance: balance + amount, version };
    },
    withdraw(state, { from, amount }: { from: string; amount: number }) {
      const { balance, deposits } = state.accounts.get(from) ?? { balance: 0, deposits: 0 };
      if (balance < amount) return rejected("insufficientFunds", { balance });
      state.accounts.set(from, { balance: balance - amount, deposits });
      return { balance: balance - amount };
    },
  },
  queries: {
    balance: (state, { to }: { to: string }, { version }) => ({
      balance: state.accounts.get(to)?.balance ?? 0,
      version,
    }),
    largest: (state) => state.largest.get(),
  },
  on: {
    settle: (state, { to }) => {
      state.accounts.set(`${to} settled`, { balance: 2, deposits: 0 });
    },
  },
});

const three = define({
  name: "bank",
  version: 3,
  previous: bankV2,
  state: ({ map, cell }) => ({ accounts: map<string, number>(), note: cell("three") }),
  events: { moved: event<{ to: string }>() },
  timers: { settle: event<{ to: string }>() },
});

/** Version 1 again. */
export const bankV3 = three.machine({
  migrate(state, before) {
    for (const [to, { balance }] of before.accounts) state.accounts.set(to, balance);
  },
  commands: {
    deposit(state, { to, amount }: { to: string; amount: number }, { version, emit }) {
      const balance = (state.accounts.get(to) ?? 0) + amount;
      state.accounts.set(to, balance);
      emit("moved", { to });
      return { balance, version };
    },
  },
  queries: {
    balance: (state, { to }: { to: string }, { version }) => ({ balance: state.accounts.get(to) ?? 0, version }),
  },
  on: {
    settle: (state, { to }) => {
      state.accounts.set(`${to} settled`, 3);
    },
  },
});

/** A second version whose migration throws behind its first change. */
export const spoiltV2 = two.machine({
  migrate(state, before) {
    for (const [to, balance] of before.accounts) {
      state.accounts.set(to, { balance: -balance, deposits: 0 });
      throw new Error(`cannot migrate ${to}`);
    }
  },
  commands: {},
  on: { settle: () => undefined },
});
