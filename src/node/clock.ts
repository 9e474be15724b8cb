/**
 * The clock port on Node: the processor's monotonic clock, `Date.now`, timers, and the end of a turn of the event loop.
 *
 * Owns: the queue of what runs at a turn's end, after every socket and file that was ready in this turn has been handled.
 */
import type { Clock } from "../ports/clock.js";

export function createNodeClock(): Clock {
  let due: (() => void)[] = [];
  let isScheduled = false;

  function runAll(): void {
    // What is added while this runs belongs to the same turn, and is seen by this loop.
    for (let at = 0; at < due.length; at += 1) due[at]?.();
    due = [];
    isScheduled = false;
  }

  return {
    monotonic() {
      // `performance.now` counts from the start of its thread: an engine and its host on two threads must mean the same time.
      const [seconds, nanoseconds] = process.hrtime();
      return seconds * 1_000 + nanoseconds / 1_000_000;
    },
    wall: () => Date.now(),
    after(delayMs, fire) {
      const timer = setTimeout(fire, delayMs);
      return () => clearTimeout(timer);
    },
    atTurnEnd(run) {
      due.push(run);
      if (isScheduled) return;
      isScheduled = true;
      setImmediate(runAll);
    },
    nextTurn: (run) => void setImmediate(run),
  };
}
