/** Goes by the environment of its replica. */
import { define } from "quorate";

const definition = define({ name: "settings", version: 1, state: ({ cell }) => ({ count: cell(0) }) });

export default definition.machine({
  commands: {
    add(state) {
      const limit = Number(process.env["LIMIT"] ?? 10);
      if (state.count.get() < limit) state.count.set(state.count.get() + 1);
      return state.count.get();
    },
  },
});
