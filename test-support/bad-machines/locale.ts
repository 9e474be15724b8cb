/** Sorts by the language of its replica. */
import { define } from "quorate";

const definition = define({ name: "locale", version: 1, state: ({ set }) => ({ names: set<string>() }) });

export default definition.machine({
  commands: {
    add(state, { name }: { name: string }) {
      state.names.add(name);
      return [...state.names].sort((left, right) => left.localeCompare(right));
    },
  },
});
