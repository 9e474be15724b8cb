/**
 * Long sweeps of PBFT clusters in memory: `npm run soak:bft -- [--twins 20000] [--mutations 50000] [--liars 10000] [--write]`.
 *
 * Prints a line for each kind of run, and every seed that broke a rule; ends with 1 if one did. With `--write`, docs/internals/bft-sweeps.md
 * gets the outcome. Owns: how many runs, on how many threads, and the table. Leaves to others: the runs (`test-support/bft-runs.ts`).
 */
import { rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { commitOf } from "../bench/processes.mjs";
import { compileRuns, root, runsIn } from "./bft-runs.mjs";

/** Seeds that a thread is given at a time. */
const shareCount = 50;

/** In a thread: runs the seeds that it is given. */
async function work() {
  const runs = await import(workerData.runs);
  parentPort.on("message", ({ run, from, count }) => {
    const outcome = { decided: 0, accused: 0, broken: [] };
    for (let seed = from; seed < from + count; seed += 1) {
      try {
        const { decided, accused } = runs[run](seed);
        outcome.decided += decided;
        outcome.accused += accused;
      } catch (error) {
        outcome.broken.push({ run, seed, error: String(error) });
      }
    }
    parentPort.postMessage(outcome);
  });
}

/** Shares the seeds of one kind out among the threads. */
function sweep(threads, run, { from, count }) {
  const total = { decided: 0, accused: 0, broken: [] };
  let next = from;
  const serve = (thread) =>
    new Promise((resolve, reject) => {
      const give = () => {
        if (next >= from + count) return resolve();
        thread.postMessage({ run, from: next, count: Math.min(shareCount, from + count - next) });
        next += shareCount;
      };
      thread.removeAllListeners();
      thread.on("error", reject).on("message", ({ decided, accused, broken }) => {
        total.decided += decided;
        total.accused += accused;
        for (const each of broken) console.error(JSON.stringify(each));
        total.broken.push(...broken);
        give();
      });
      give();
    });
  return Promise.all(threads.map(serve)).then(() => total);
}

async function soak() {
  const { values: given } = parseArgs({
    options: {
      twins: { type: "string", default: "20000" },
      mutations: { type: "string", default: "50000" },
      liars: { type: "string", default: "10000" },
      "seed-base": { type: "string", default: "100001" },
      threads: { type: "string", default: String(availableParallelism()) },
      write: { type: "boolean", default: false },
    },
  });
  const commit = commitOf();
  const folder = compileRuns();
  const runs = runsIn(folder);
  const { pairCount } = await import(runs);
  const from = Number(given["seed-base"]);
  const kinds = [
    { name: "f replicas run twice (twins)", run: "runTwins", from, count: Number(given.twins) },
    { name: "f replicas mutate their messages", run: "runMutations", from, count: Number(given.mutations) },
    { name: "f replicas lie, each in a named way", run: "runLiars", from, count: Number(given.liars) },
    { name: "each pair of named liars in seven", run: "runPair", from: 0, count: pairCount },
  ];
  const threads = Array.from(
    { length: Number(given.threads) },
    () => new Worker(fileURLToPath(import.meta.url), { workerData: { runs } }),
  );
  const rows = [];
  for (const { name, run, ...seeds } of kinds) {
    const [cpu, began] = [process.cpuUsage(), performance.now()];
    const { decided, accused, broken } = await sweep(threads, run, seeds);
    const { user, system } = process.cpuUsage(cpu);
    const [seconds, cpuSeconds] = [(performance.now() - began) / 1000, (user + system) / 1e6];
    const rate = seeds.count / cpuSeconds;
    rows.push({ name, count: seeds.count, broken: broken.length, decided, accused, seconds, rate });
    if (broken.length > 0) process.exitCode = 1;
    console.log(
      `${name}: ${seeds.count} runs, ${broken.length} broke a rule, ${decided} indexes decided, ${Math.round(seconds)} s, ${rate.toFixed(0)} runs per second of CPU`,
    );
  }
  for (const thread of threads) await thread.terminate();
  rmSync(folder, { recursive: true });
  if (given.write) write(rows, { ...given, commit });
}

function write(rows, { twins, mutations, liars, commit }) {
  const table = rows.map(
    ({ name, count, broken, decided, accused, seconds, rate }) =>
      `| ${name} | ${count} | ${broken} | ${decided} | ${accused} | ${Math.round(seconds)} | ${rate.toFixed(0)} |`,
  );
  writeFileSync(
    join(root, "docs/internals/bft-sweeps.md"),
    `# Long sweeps of PBFT clusters

Written by \`npm run soak:bft -- --twins ${twins} --mutations ${mutations} --liars ${liars} --write\` on ${new Date().toISOString().slice(0, 10)}, at commit ${commit}. What a run is: [PBFT](bft.md#how-it-is-tested).

| kind | runs | broke a rule | indexes decided | contradictions told | seconds | runs per second of CPU |
| ---- | ---: | -----------: | --------------: | -------------------: | ------: | ---------------------: |
${table.join("\n")}
`,
  );
}

await (isMainThread ? soak() : work());
