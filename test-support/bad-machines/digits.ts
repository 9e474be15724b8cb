/** Leaves the last digits to the JavaScript engine. */
import { define } from "quorate";

const definition = define({ name: "digits", version: 1, state: ({ cell }) => ({ angle: cell(0) }) });

export default definition.machine({
  commands: {
    turn(state, { by }: { by: number }) {
      state.angle.set(state.angle.get() + by);
      return Math.sin(state.angle.get());
    },
  },
});
