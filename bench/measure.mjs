/**
 * One measurement of one cluster under one load, and medians of several.
 *
 * Owns: what is counted between the marks of a load, and how runs become one figure. Leaves to others: processes (`processes.mjs`), which
 * loads (`run.mjs`, `goals.mjs`).
 */
import { performance } from "node:perf_hooks";
import { cpuSecondsOf, residentMiBOf } from "./processes.mjs";

/** One connection carries at least 16 operations, up to eight connections. */
export const connectionsFor = (outstanding) => Math.min(8, Math.max(1, Math.ceil(outstanding / 16)));

/** Runs the job, and adds to what the load generator saw what the cluster's processes used meanwhile. */
export async function measure(cluster, load, job) {
  const taken = {};
  const onMark = async (mark) => {
    if (mark === "start") await cluster.resetTurns();
    const cpuOfEach = cluster.pids.map(cpuSecondsOf);
    taken[mark] = { cpuOfEach, at: performance.now(), ...(await cluster.observe()) };
    taken[mark].residentMiB = Math.max(...cluster.pids.map(residentMiBOf));
  };
  const result = await load.run(
    { target: cluster.opener ?? cluster.name, endpoints: cluster.endpoints, ...job },
    onMark,
  );
  const { start, stop } = taken;
  const seconds = (stop.at - start.at) / 1000;
  // Counters are read a little outside of the counted time, so they are compared with what was done in their own.
  const operations = result.throughput * seconds;
  const used = stop.cpuOfEach.map((cpu, at) => cpu - start.cpuOfEach[at]);
  const usedByAll = used.reduce((sum, cpu) => sum + cpu, 0);
  return {
    ...result,
    cpuMicrosPerOperation: (usedByAll * 1e6) / operations,
    /** Of the process that used most. */
    busiestCpuMicrosPerOperation: (Math.max(...used) * 1e6) / operations,
    cpuCores: usedByAll / seconds,
    syncsPerSecond: (stop.syncs - start.syncs) / seconds / cluster.pids.length,
    batch: operations / (stop.entries - start.entries),
    residentMiB: stop.residentMiB,
    longestTurnMs: stop.longestTurnMs,
    longestTurnWallMs: stop.longestTurnWallMs,
  };
}

/** The lower of the two in the middle of an even number; not a number if there is none. */
export const median = (values) => {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort((one, other) => one - other);
  return sorted.length === 0 ? Number.NaN : sorted[Math.floor((sorted.length - 1) / 2)];
};

/** The median of each number over the runs, but the longest turn of all; failures of all runs together. */
export function mediansOf(runs) {
  const summary = {};
  for (const [name, sample] of Object.entries(runs[0])) {
    if (typeof sample === "number") summary[name] = median(runs.map((run) => run[name]));
  }
  // A limit on the longest turn holds for every run, so this is no median.
  for (const name of ["longestTurnMs", "longestTurnWallMs"]) summary[name] = Math.max(...runs.map((run) => run[name]));
  summary.failures = {};
  for (const { failures } of runs) {
    for (const [code, count] of Object.entries(failures))
      summary.failures[code] = (summary.failures[code] ?? 0) + count;
  }
  return summary;
}

export const shown = (number, digits = 0) => (Number.isFinite(number) ? number.toFixed(digits) : "–");
