/** Draws for itself. */
import { define } from "quorate";

const definition = define({ name: "chance", version: 1, state: ({ cell }) => ({ last: cell(0) }) });

export default definition.machine({
  commands: {
    roll(state) {
      const rolled = Math.floor(Math.random() * 6);
      state.last.set(rolled);
      return rolled;
    },
  },
});
