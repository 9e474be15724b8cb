/**
 * The table of goals: `npm run bench -- [--only writes,reads] [--quick] [--kills 100] [--flat-minutes 30] [--write] [--json]`.
 *
 * Measures every figure that speed is judged by, beside the raw baseline and the systems that a user would pick instead, on this machine and in one run,
 * and says of each goal whether it is met. Owns: the order, and what is printed and written. Leaves to others: goals and verdicts (`goal-table.mjs`), figures
 * (`goal-loads.mjs`, `goal-faults.mjs`, `goal-state.mjs`). Ends with 0 whatever the verdicts are: these are figures of one machine, not a test.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { failover, flat, heartbeats } from "./goal-faults.mjs";
import { reads, resp, sizes, writes } from "./goal-loads.mjs";
import { disk, state } from "./goal-state.mjs";
import { countsOf, goals, goalTable, rowsOf } from "./goal-table.mjs";
import { shown } from "./measure.mjs";
import { names, readOptions } from "./options.mjs";
import { commitOf, describeMachine, measureFlush } from "./processes.mjs";

/** Each answers a map from ids of goals to what was found. */
const groups = {
  writes,
  reads,
  resp,
  failover,
  flat,
  sizes: async (plan) => new Map([...(await sizes(plan)), ...(await heartbeats(plan))]),
  state,
  disk,
};

const usual = {
  rounds: 3,
  seconds: 2,
  kills: 10,
  pauses: 5,
  "flat-minutes": 1,
  keys: 1_000_000,
  restarts: 2,
  "disk-keys": 10_000_000,
};
const quick = {
  rounds: 1,
  seconds: 1,
  kills: 2,
  pauses: 1,
  "flat-minutes": 0.2,
  keys: 100_000,
  restarts: 1,
  "disk-keys": 100_000,
};

const usage = `Usage: npm run bench -- [options]
  --only <groups>      some of ${Object.keys(groups).join(", ")}; default all, about twelve minutes
  --rounds <count>     how often each load is measured, default ${usual.rounds}
  --seconds <seconds>  counted time of one measurement, default ${usual.seconds}
  --kills <count>      of the leader, default ${usual.kills}; the goal is of 100
  --pauses <count>     of the leader, default ${usual.pauses}
  --flat-minutes <m>   full load while memory and elections are watched, default ${usual["flat-minutes"]}; the goal is of 30
  --keys <count>       of the large state, default ${usual.keys}
  --disk-keys <count>  of the state outside of memory, default ${usual["disk-keys"]}
  --restarts <count>   of a member with them, default ${usual.restarts}
  --quick              least of everything (${Object.entries(quick)
    .map(([name, value]) => `--${name} ${value}`)
    .join(" ")}): whether it runs, not how fast
  --dir <directory>    where the logs are, default the system's temporary directory
  --write              puts the table into docs/internals/goals.md
  --json               one JSON document`;

function readPlan() {
  const counts = Object.fromEntries(Object.keys(usual).map((name) => [name, undefined]));
  const values = readOptions(usage, { ...counts, only: Object.keys(groups).join(",") }, ["quick"]);
  const fallback = values.quick ? quick : usual;
  const number = (name) => Number(values[name] ?? fallback[name]);
  const plan = {
    ...Object.fromEntries(Object.keys(usual).map((name) => [name, number(name)])),
    flatMinutes: number("flat-minutes"),
    only: names(values.only),
    dir: values.dir,
    write: values.write,
    json: values.json,
  };
  const isWrong = Object.keys(usual).some((name) => !(plan[name] > 0));
  if (isWrong || plan.only.some((name) => !(name in groups))) throw new Error(`Cannot run the benchmark.\n${usage}`);
  return plan;
}

async function measureAll(plan) {
  const measured = new Map();
  for (const group of plan.only) {
    plan.say(group);
    const directory = mkdtempSync(join(plan.dir, "quorate-goals-"));
    try {
      for (const [id, found] of await groups[group]({ ...plan, directory })) measured.set(id, found);
    } catch (cause) {
      // The others are worth having; these rows say why they are empty.
      plan.say(`  ${cause.stack ?? cause}`);
      for (const { id } of goals[group]) measured.set(id, { value: undefined, note: `failed: ${cause.message}` });
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }
  return measured;
}

function describe({ about, rows }) {
  const { date, commit, command, machine, flush, minutes } = about;
  return `Written by \`${command}\` in ${shown(minutes)} minutes: ${countsOf(rows)}.

- date and commit: ${date}, ${commit}
- machine: ${machine.processors} processors (${machine.model}), ${machine.memoryGiB} GiB, Node ${machine.node}, shared by replicas, the other systems and load; load average before: ${shown(machine.loadBefore, 1)}
- write + fdatasync of 4 KiB over zeros: p50 ${shown(flush.p50Ms, 3)} ms, p99 ${shown(flush.p99Ms, 3)} ms${machine.durableFileSystem ? "" : " — on a file system in memory: nothing here is durable"}
- three replicas, each write durable on two of them; 16 B keys and 128 B values unless said; medians of ${about.rounds} rounds of ${about.seconds} s, ratios within a round

${goalTable(rows)}
`;
}

async function main() {
  const begun = performance.now();
  const given = readPlan();
  const plan = { ...given, say: (line) => process.stderr.write(`${line}\n`) };
  const machine = describeMachine(plan.dir);
  const flush = measureFlush(plan.dir);
  // What runs is what is built now, whatever is committed meanwhile.
  const commit = commitOf();
  const measured = await measureAll(plan);
  const rows = rowsOf(plan.only, measured);
  const { rounds, seconds, kills, pauses, flatMinutes, keys } = plan;
  const about = {
    date: new Date().toISOString().slice(0, 10),
    commit,
    command: `npm run bench -- ${process.argv.slice(2).join(" ")}`.replace(/ -- $/, ""),
    machine,
    flush,
    ...{ rounds, seconds, kills, pauses, flatMinutes, keys },
    minutes: (performance.now() - begun) / 60_000,
  };
  const text = describe({ about, rows });
  if (plan.json) console.log(JSON.stringify({ ...about, rows }, undefined, 2));
  else console.log(`\n${text}`);
  if (plan.write) {
    const path = new URL("../docs/internals/goals.md", import.meta.url);
    writeFileSync(
      path,
      `# Goals of speed\n\nWhat each row means: [benchmarks](benchmarks.md#the-table-of-goals). Where the time goes: [performance](performance.md).\n\n${text}`,
    );
  }
}

await main();
