/** Changes a value that it was given by a collection. */
import { define } from "quorate";

const definition = define({
  name: "mutation",
  version: 1,
  state: ({ map }) => ({ carts: map<string, { items: string[] }>() }),
});

export default definition.machine({
  commands: {
    add(state, { cart, item }: { cart: string; item: string }) {
      const found = state.carts.get(cart);
      if (found === undefined) state.carts.set(cart, { items: [item] });
      else (found.items as string[]).push(item);
    },
  },
});
