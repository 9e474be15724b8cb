/** A machine with commands that never end, and that want more memory than there is. */
import { define } from "quorate";

const runaway = define({ name: "runaway", version: 1, state: ({ list }) => ({ log: list<string>() }) });

export default runaway.machine({
  commands: {
    write(state, { text }: { text: string }) {
      state.log.push(text);
      return state.log.length;
    },
    loop(state, { text }: { text: string }) {
      state.log.push(text);
      for (;;);
    },
    hoard(state, { text }: { text: string }) {
      state.log.push(text);
      const hoarded: number[][] = [];
      for (;;) hoarded.push(new Array<number>(1_000).fill(hoarded.length));
    },
  },
  queries: { log: (state) => [...state.log] },
});
