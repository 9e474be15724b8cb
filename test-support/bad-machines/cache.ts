/** Lets a query leave something behind for commands, and queries are asked at one replica only. */
import { define } from "quorate";

let cached: number | undefined;

const definition = define({ name: "cache", version: 1, state: ({ cell }) => ({ count: cell(0) }) });

export default definition.machine({
  commands: {
    add(state) {
      const count = (cached ?? state.count.get()) + 1;
      state.count.set(count);
      return count;
    },
  },
  queries: {
    count(state) {
      cached ??= state.count.get();
      return cached;
    },
  },
});
