/** The clock port on Node: `performance.now`, `Date.now`, timers that do not keep the process alive, and turn ends. */
import type { Clock } from "../ports/clock.js";

export const nodeClock: Clock = {
  monotonic: () => performance.now(),
  wall: () => Date.now(),
  after(delayMs, fire) {
    const timer = setTimeout(fire, delayMs);
    return () => clearTimeout(timer);
  },
  /** After all sockets that were readable in this turn have been read. */
  atTurnEnd: (run) => void setImmediate(run),
};
