/**
 * A counter on a host that computes wrongly: with `WRONG_AT` in its environment, the command that brings the count there counts one too many,
 * in the machine that was opened first. A machine that is opened later computes rightly, so a rebuilt replica is healed.
 */
import { define } from "quorate";
import type { Batch, LowLevelMachine, MachineInstance } from "../src/api/low-level.js";
import { decodeValue, encodeValue } from "../src/wire/canonical.js";

const counter = define({ name: "counter", version: 1, state: ({ cell }) => ({ count: cell<number>(0) }) });

export const rightCounter = counter.machine({
  commands: {
    add(state, { by }: { by: number }) {
      const count = state.count.get() + by;
      state.count.set(count);
      return count;
    },
  },
  queries: { count: (state) => state.count.get() },
});

function spoiled(instance: MachineInstance, wrongAt: number): MachineInstance {
  let commands = 0;
  const wronged = (batch: Batch): Batch => ({
    ...batch,
    commands: batch.commands.map((command) => {
      commands += 1;
      if (commands !== wrongAt) return command;
      const { by } = decodeValue(command.input) as { by: number };
      return { ...command, input: encodeValue({ by: by + 1 }) };
    }),
  });
  return new Proxy(instance, {
    get: (target, name) => {
      if (name === "apply") return (batch: Batch) => target.apply(wronged(batch));
      const found: unknown = Reflect.get(target, name, target);
      return typeof found === "function" ? (found as () => unknown).bind(target) : found;
    },
  });
}

/** Computes wrongly at its so manieth command, in the machine that was opened first; undefined: never. */
export function counterWrongAt(wrongAt: number | undefined): LowLevelMachine {
  let hasOpened = false;
  return {
    ...rightCounter,
    open: (environment) => {
      const instance = rightCounter.open(environment);
      if (wrongAt === undefined || hasOpened) return instance;
      hasOpened = true;
      return spoiled(instance, wrongAt);
    },
  };
}

const { WRONG_AT: wrongAt } = process.env;

export default counterWrongAt(wrongAt === undefined ? undefined : Number(wrongAt));
