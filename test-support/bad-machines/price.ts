/** Formats as people of its country do. */
import { define } from "quorate";

const euros = new Intl.NumberFormat(undefined, { style: "currency", currency: "EUR" });

const definition = define({ name: "price", version: 1, state: ({ cell }) => ({ cents: cell(0) }) });

export default definition.machine({
  commands: {
    add(state, { cents }: { cents: number }) {
      state.cents.set(state.cents.get() + cents);
      return euros.format(state.cents.get() / 100);
    },
  },
});
