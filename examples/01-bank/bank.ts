/**
 * A bank with exactly-once deposits: the whole service.
 * Run it with `npx quorate dev examples/01-bank/bank.ts --data .quorate/01-bank`; `client.ts` talks to it.
 */
import { define, rejected } from "quorate";

const bank = define({
  name: "bank",
  version: 1,
  state: ({ map }) => ({ accounts: map<string, bigint>() }),
});

export default bank.machine({
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
  },
  queries: {
    balance: (state, account: string) => state.accounts.get(account) ?? 0n,
  },
});
