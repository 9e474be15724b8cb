/**
 * How fast the simulator is: 5 replicas and 200 operations a second on a good day, every invariant and checker on.
 *
 * Prints simulated time over real time, events per second, and processor time per event, for one thread and for as many as there are
 * cores, each with a seed of its own: for the first seeds of new threads, and, as in a sweep, medians of five rounds after the twelve
 * in which the compiler learns what is hot. Processor time is that of the whole process, with the compiler's and the collector's
 * threads. Run it on a quiet machine: `npm run bench:sim`, with `--json` for one JSON document.
 */
import { availableParallelism } from "node:os";

const { Pool, workerUrl } = await import(new URL("../dist/server/sim/pool.js", import.meta.url).href);
const options = { replicas: 5, clients: 4, operations: 3_000, pace: 200, calm: true, faults: "none" };
const warmUps = 12;
const rounds = 5;

/** Every thread runs one seed. */
async function round(pool, threads, first) {
  let [seed, simulatedMs, events] = [first, 0, 0];
  const cpu = process.cpuUsage();
  const start = performance.now();
  await pool.runSeeds(
    () => (seed < first + threads ? seed++ : undefined),
    (ran) => {
      if (ran.violation !== undefined) throw new Error(`seed ${ran.plan.seed} breaks ${ran.violation.rule}`);
      simulatedMs += ran.simulatedMs;
      events += ran.events;
    },
  );
  const realMs = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  return {
    timesRealTime: simulatedMs / realMs,
    eventsPerSecond: (events / realMs) * 1_000,
    cpuUsPerEvent: (user + system) / events,
    cpuUsPerOperation: (user + system) / (threads * options.operations),
  };
}

async function measured(threads) {
  const pool = await Pool.open(threads, workerUrl, { shape: options });
  const runs = [];
  for (let at = 0; at < warmUps + rounds; at += 1) runs.push(await round(pool, threads, 1 + at * threads));
  await pool.close();
  const kept = runs.slice(warmUps);
  const median = (name) => kept.map((each) => each[name]).sort((left, right) => left - right)[Math.floor(rounds / 2)];
  return {
    threads,
    first: runs[0],
    warm: Object.fromEntries(Object.keys(kept[0]).map((name) => [name, median(name)])),
  };
}

const found = [await measured(1), await measured(availableParallelism())];

function print({ timesRealTime, eventsPerSecond, cpuUsPerEvent, cpuUsPerOperation }) {
  console.log(`    ${timesRealTime.toFixed(1)} times real time`);
  console.log(`    ${Math.round(eventsPerSecond).toLocaleString("en")} events a second`);
  console.log(
    `    ${cpuUsPerEvent.toFixed(2)} µs of processor time an event, ${cpuUsPerOperation.toFixed(0)} an operation`,
  );
}

if (process.argv.includes("--json")) console.log(JSON.stringify({ options, found }));
else {
  console.log("5 replicas, 200 operations a second, all checks on");
  for (const { threads, first, warm } of found) {
    console.log(threads === 1 ? "one thread" : `${threads} threads, a seed each`);
    console.log("  the first seed");
    print(first);
    console.log(`  after ${warmUps * options.operations} operations a thread (medians of ${rounds} rounds)`);
    print(warm);
  }
}
