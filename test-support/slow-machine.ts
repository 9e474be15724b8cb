/** A machine whose calls take as long as they are told: the thread that executes is held, the processor is not. */
import { define } from "quorate";

function holdFor(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

const slow = define({
  name: "slow",
  version: 1,
  state: ({ map }) => ({ counts: map<string, number>() }),
});

export default slow.machine({
  commands: {
    hold(state, { key, ms }: { key: string; ms: number }) {
      holdFor(ms);
      const count = (state.counts.get(key) ?? 0) + 1;
      state.counts.set(key, count);
      return count;
    },
  },
  queries: {
    count: (state, key: string) => state.counts.get(key) ?? 0,
  },
});
