/** Counters, and one process of several may be told to count wrongly: what audits must find, and say why. */
import { define } from "quorate";

// Read while the module is loaded: the guard would refuse it later.
const isOdd = process.env["COUNTS_WRONGLY"] === "1";

const counters = define({
  name: "counters",
  version: 1,
  state: ({ map }) => ({ counts: map<string, number>() }),
});

export default counters.machine({
  commands: {
    add(state, { name, by }: { name: string; by: number }) {
      const count = (state.counts.get(name) ?? 0) + by;
      const counted = isOdd && name === "apples" && count > 5 ? count + 1 : count;
      state.counts.set(name, counted);
      return counted;
    },
  },
});
