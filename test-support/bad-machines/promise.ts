/** Waits, as no command can. */
import { define } from "quorate";

const definition = define({ name: "promise", version: 1, state: ({ cell }) => ({ count: cell(0) }) });

export default definition.machine({
  commands: {
    add: (async (state: { count: { get(): number; set(count: number): void } }) => {
      state.count.set((await Promise.resolve(1)) + state.count.get());
      return state.count.get();
    }) as never,
  },
});
