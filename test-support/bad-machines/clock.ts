/** Reads the clock of its replica. */
import { define } from "quorate";

const definition = define({ name: "clock", version: 1, state: ({ map }) => ({ bids: map<string, number>() }) });

export default definition.machine({
  commands: {
    bid: (state, { who }: { who: string }) => state.bids.set(who, Date.now()),
  },
});
