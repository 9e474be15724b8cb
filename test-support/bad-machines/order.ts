/** Goes by the order in which a map of its module was filled. */
import { define } from "quorate";

const seen = new Map<string, number>();

const definition = define({ name: "order", version: 1, state: ({ cell }) => ({ winner: cell("") }) });

export default definition.machine({
  commands: {
    bid(state, { who, amount }: { who: string; amount: number }) {
      seen.delete(who);
      seen.set(who, amount);
      const [first] = seen.keys();
      state.winner.set(first ?? "");
      return first;
    },
  },
});
