/**
 * How fast the simulator is: 5 replicas and 200 operations a second on a good day, every invariant and checker on.
 *
 * Prints simulated time over real time, events per second, and processor time per event; medians of five seeds, after two that warm
 * up. Run it on a quiet machine: `npm run bench:sim`, with `--json` for one JSON document.
 */
import { simulateStandard } from "quorate/sim";

const options = { replicas: 5, clients: 4, operations: 3_000, pace: 200, calm: true, faults: "none" };
const warmUps = 2;
const seeds = 5;

function run(seed) {
  const cpu = process.cpuUsage();
  const start = performance.now();
  const result = simulateStandard({ ...options, seed });
  const realMs = performance.now() - start;
  result.assertCorrect();
  const { user, system } = process.cpuUsage(cpu);
  return {
    timesRealTime: result.simulatedMs / realMs,
    eventsPerSecond: (result.events / realMs) * 1_000,
    cpuUsPerEvent: (user + system) / result.events,
    simulatedSeconds: result.simulatedMs / 1_000,
  };
}

const runs = Array.from({ length: warmUps + seeds }, (_, at) => run(at + 1)).slice(warmUps);
const median = (name) => runs.map((each) => each[name]).sort((left, right) => left - right)[Math.floor(seeds / 2)];
const found = Object.fromEntries(Object.keys(runs[0]).map((name) => [name, median(name)]));

if (process.argv.includes("--json")) console.log(JSON.stringify({ options, ...found }));
else {
  console.log(`5 replicas, 200 operations a second, all checks on (medians of ${seeds} seeds)`);
  console.log(`  ${found.timesRealTime.toFixed(0)} times real time`);
  console.log(`  ${Math.round(found.eventsPerSecond).toLocaleString("en")} events a second`);
  console.log(`  ${found.cpuUsPerEvent.toFixed(2)} µs of processor time an event`);
}
