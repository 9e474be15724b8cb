/** What held the event loop, by the wall clock and by processor time (hazard F5). */
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { newLongestTurns, reportOf, resetTurns, watchEventLoop } from "../../../src/node/event-loop.js";
import { until } from "../../../test-support/dev-cluster.js";

test("a turn that computes is seen in both clocks, and a reset forgets it", async () => {
  const watch = watchEventLoop();

  const end = performance.now() + 80;
  const begun = process.cpuUsage();
  // Beside other work a turn may be long and have little processor time.
  while (performance.now() < end || process.cpuUsage(begun).user < 20_000);
  await until("the long turn", async () => watch.report().longestTurnWallMs > 50 || undefined);

  expect(watch.report().longestTurnCpuMs).toBeGreaterThan(5);
  watch.reset();
  expect(watch.report()).toMatchObject({ longestTurnWallMs: 0, longestTurnCpuMs: 0 });
  watch.stop();
});

test("what holds the loop of another thread is told here, and is not taken for this thread's", async () => {
  const turns = newLongestTurns();
  const own = watchEventLoop();
  const worker = new Worker(
    `const { parentPort, workerData } = require("node:worker_threads");
    import(workerData.module).then(({ watchTurns }) => {
      watchTurns(workerData.turns);
      const end = performance.now() + 80;
      const begun = process.cpuUsage();
      while (performance.now() < end || process.cpuUsage(begun).user < 20_000);
      // Lives on, so that its timer comes.
      parentPort.on("message", () => {});
    });`,
    {
      eval: true,
      workerData: { module: new URL("../../../dist/node/event-loop.js", import.meta.url).href, turns },
    },
  );
  await until("the long turn of the other thread", async () => reportOf(turns).longestTurnWallMs > 50 || undefined);
  await worker.terminate();

  expect(reportOf(turns).longestTurnWallMs).toBeGreaterThan(50);
  expect(reportOf(turns).longestTurnCpuMs).toBeGreaterThan(5);
  expect(reportOf(turns).cpuOf).toBe(own.report().cpuOf);
  resetTurns(turns);
  expect(reportOf(turns)).toMatchObject({ longestTurnWallMs: 0, longestTurnCpuMs: 0 });
  own.stop();
});
