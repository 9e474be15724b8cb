/** Counts in its module, where a replica that starts again begins anew. */
import { define } from "quorate";

let count = 0;

const definition = define({ name: "counter", version: 1, state: ({ map }) => ({ tickets: map<number, string>() }) });

export default definition.machine({
  commands: {
    take(state, { who }: { who: string }) {
      count += 1;
      state.tickets.set(count, who);
      return count;
    },
  },
});
