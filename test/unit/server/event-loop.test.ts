/** What held the event loop, by the wall clock and by processor time (hazard F5). */
import { expect, test } from "vitest";
import { watchEventLoop } from "../../../src/server/event-loop.js";

test("a turn that computes is seen in both clocks, and a reset forgets it", async () => {
  const watch = watchEventLoop();
  await nextTimer(15);

  const end = performance.now() + 80;
  while (performance.now() < end);
  await nextTimer(15);

  expect(watch.report().longestTurnWallMs).toBeGreaterThan(50);
  expect(watch.report().longestTurnCpuMs).toBeGreaterThan(5);
  watch.reset();
  expect(watch.report()).toMatchObject({ longestTurnWallMs: 0, longestTurnCpuMs: 0 });
  watch.stop();
});

function nextTimer(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
