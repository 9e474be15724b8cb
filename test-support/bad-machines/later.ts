/** Does something after its end. */
import { define } from "quorate";

const definition = define({ name: "later", version: 1, state: ({ cell }) => ({ open: cell(true) }) });

export default definition.machine({
  commands: {
    close(state) {
      setTimeout(() => state.open.set(false), 1_000);
    },
  },
});
