/** A bank in any number of versions, each behind the one before: in even ones an account has more to it, in odd ones it is a number. */
import { define } from "quorate";

/** `same`: what it answers does not tell its version. */
export function bankOf(version, same = false) {
  const isRich = version % 2 === 0;
  const definition = define({
    name: "bank",
    version,
    ...(version > 1 ? { previous: bankOf(version - 1, same) } : {}),
    state: ({ map, cell }) => ({ accounts: map(), ...(isRich ? { deposits: cell(0) } : {}) }),
  });
  return definition.machine({
    ...(version > 1 ? { migrate: isRich ? enrich : flatten } : {}),
    commands: {
      deposit(state, { to, amount }) {
        const balance = balanceOf(state.accounts.get(to)) + amount;
        state.accounts.set(to, isRich ? { balance } : balance);
        if (isRich) state.deposits.set(state.deposits.get() + 1);
        return same ? { balance } : { balance, version };
      },
    },
    queries: { balance: (state, { to }) => ({ balance: balanceOf(state.accounts.get(to)), version }) },
  });
}

function balanceOf(account) {
  return typeof account === "object" ? account.balance : (account ?? 0);
}

function enrich(state, before) {
  for (const [to, balance] of before.accounts) state.accounts.set(to, { balance });
}

function flatten(state, before) {
  for (const [to, { balance }] of before.accounts) state.accounts.set(to, balance);
}

/** Version 2 as someone might have written it: the first large account ends its migration. */
export function spoiltBank() {
  const definition = define({
    name: "bank",
    version: 2,
    previous: bankOf(1),
    state: ({ map }) => ({ accounts: map() }),
  });
  return definition.machine({
    migrate(_state, before) {
      for (const [to, balance] of before.accounts) if (balance > 1) throw new Error(`${to} is too rich`);
    },
    commands: { deposit: () => null },
  });
}
