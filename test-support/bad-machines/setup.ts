/** Remembers when and where it was loaded. */
import { define } from "quorate";

const loadedIn = new Date().getUTCFullYear();
const home = process.env["HOME"] ?? "nowhere";
const zone = new Date(0).getTimezoneOffset();

const definition = define({ name: "setup", version: 1, state: ({ cell }) => ({ at: cell("") }) });

export default definition.machine({
  commands: {
    open(state) {
      state.at.set(`${home} ${loadedIn} ${zone}`);
      return state.at.get();
    },
  },
});
