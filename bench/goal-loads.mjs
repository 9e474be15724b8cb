/**
 * Goals of throughput, latency, CPU and memory under load: writes, reads, values of several sizes, Redis clients. Called by `goals.mjs`.
 *
 * Owns: which loads, and which ratios of them. Leaves to others: loads (`measure.mjs`), bounds (`goal-table.mjs`). The systems of one group run side by
 * side, all but one of them idle, and are measured in turn, round by round.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { connectionsFor, measure, median, shown } from "./measure.mjs";
import { peers, whyMissing } from "./peers.mjs";
import { startLoad, startQuorate, startRaw, until } from "./processes.mjs";
import { usualShape } from "./shape.mjs";

export const mibToMb = (mib) => (mib * 1_048_576) / 1e6;
const none = { value: undefined };
const count = (number) => (Number.isFinite(number) ? Math.round(number).toLocaleString("en") : "–");

/** Starts what is here of these, gives it to `run`, and stops it, whatever happens. */
export async function beside(starters, run) {
  const sides = {};
  try {
    for (const [name, start] of Object.entries(starters)) {
      if (name in peers && whyMissing(name) !== undefined) continue;
      const cluster = await start();
      sides[name] = { cluster, load: startLoad() };
    }
    return await run(sides);
  } finally {
    for (const { cluster, load } of Object.values(sides).reverse()) {
      await load.stop();
      await cluster.stop();
    }
  }
}

/** Rounds of jobs: `jobs` names for each what is run where. Answers all results by name. */
export async function inTurn({ rounds, say }, jobs) {
  const results = Object.fromEntries(Object.keys(jobs).map((name) => [name, []]));
  for (let round = 1; round <= rounds; round += 1) {
    for (const [name, { side, run, ...job }] of Object.entries(jobs)) {
      const result = run === undefined ? await measure(side.cluster, side.load, job) : await run();
      results[name].push(result);
      const { throughput, p99Ms, failures = {} } = result;
      const failed = Object.keys(failures).length === 0 ? "" : `, failed: ${JSON.stringify(failures)}`;
      say(
        `  round ${round}, ${name}: ${count(throughput)}/s${p99Ms === undefined ? "" : `, p99 ${shown(p99Ms, 2)} ms`}${failed}`,
      );
    }
  }
  return results;
}

/** Servers that have just started run slower for some seconds, each in its own way; nobody's first run is counted. */
export async function warmUp(sides, { seconds }, job) {
  for (const { cluster, load } of Object.values(sides))
    await measure(cluster, load, { warmupSeconds: 0, seconds: seconds + 1, ...job });
}

/** Round by round, since what ran in one round shared its minutes. Undefined if one side was not here. */
export function ratio(one, other, figureOf) {
  if (one === undefined || other === undefined) return undefined;
  return median(one.map((run, at) => figureOf(run) / figureOf(other[at])));
}

const throughputOf = ({ throughput }) => throughput;
/** Of an open loop that did not begin all that was due, what was left out would have waited longest. */
export const p99Of = ({ p99Ms, heldBack = 0, operations }) => (heldBack > operations / 100 ? Infinity : p99Ms);
const medianOf = (runs, figureOf) => (runs === undefined ? Number.NaN : median(runs.map(figureOf)));

const each = (runs, figureOf, digits) =>
  runs
    .map((list) => (digits === undefined ? count(medianOf(list, figureOf)) : shown(medianOf(list, figureOf), digits)))
    .join(" : ");

export async function writes(plan) {
  const starters = {
    raw: () => startRaw(plan.directory),
    quorate: () => startQuorate(join(plan.directory, "writes")),
    etcd: () => peers.etcd.start(join(plan.directory, "etcd-writes")),
  };
  return beside(starters, async (sides) => {
    const { seconds } = plan;
    await warmUp(sides, plan, { outstanding: 256, connections: 8 });
    const jobs = {};
    for (const outstanding of [256, 1024, 1]) {
      for (const [name, side] of Object.entries(sides))
        jobs[`${name} ${outstanding}`] = {
          side,
          outstanding,
          connections: connectionsFor(outstanding),
          seconds,
          warmupSeconds: 1,
        };
    }
    for (const [name, side] of Object.entries(sides))
      jobs[`${name} rate`] = { side, rate: 4000, connections: 8, outstandingMax: 4096, seconds, warmupSeconds: 1 };
    const runs = await inTurn(plan, jobs);
    const measured = new Map();
    for (const load of [256, 1024, 1]) {
      const ours = runs[`quorate ${load}`];
      for (const other of ["raw", "etcd"]) {
        const theirs = runs[`${other} ${load}`];
        const note = theirs === undefined ? whyMissing(other) : `${each([ours, theirs], throughputOf)} a second`;
        measured.set(`writes-${load}-${other}`, { value: ratio(ours, theirs, throughputOf), note });
      }
    }
    const [at256, etcd256] = [runs["quorate 256"], runs["etcd 256"]];
    const [rated, etcdRated] = [runs["quorate rate"], runs["etcd rate"]];
    const cpuOf = ({ cpuMicrosPerOperation }) => cpuMicrosPerOperation;
    const noEtcd = whyMissing("etcd");
    measured.set("p99-256", {
      value: ratio(at256, etcd256, p99Of),
      note: noEtcd ?? `${each([at256, etcd256], p99Of, 2)} ms`,
    });
    measured.set("p99-rate", {
      value: ratio(rated, etcdRated, p99Of),
      note: noEtcd ?? `${each([rated, etcdRated], ({ p99Ms }) => p99Ms, 2)} ms${notBegun(rated, etcdRated)}`,
    });
    measured.set("cpu-256", { value: medianOf(at256, cpuOf), note: `raw: ${each([runs["raw 256"]], cpuOf, 1)} µs` });
    measured.set("cpu-256-etcd", {
      value: ratio(at256, etcd256, cpuOf),
      note: noEtcd ?? `${each([at256, etcd256], cpuOf, 1)} µs`,
    });
    // The worst of the rounds: a bound on memory is not one on its median.
    const residentOf = (list) => mibToMb(Math.max(...list.map(({ residentMiB }) => residentMiB)));
    measured.set("memory-256", { value: residentOf(at256), note: `raw: ${shown(residentOf(runs["raw 256"]))} MB` });
    return measured;
  });
}

/** What open loops left out, since too much was outstanding. */
function notBegun(...loads) {
  const sums = loads.map((runs) => runs.reduce((sum, { heldBack }) => sum + heldBack, 0));
  return sums.every((sum) => sum === 0) ? "" : `; ${sums.map(count).join(" : ")} were not begun`;
}

/** Few enough to be written in a moment everywhere. */
const readKeys = 10_000;

export async function reads(plan) {
  const starters = {
    quorate: () => startQuorate(join(plan.directory, "reads")),
    etcd: () => peers.etcd.start(join(plan.directory, "etcd-reads")),
  };
  return beside(starters, async (sides) => {
    const { seconds } = plan;
    for (const side of Object.values(sides)) await fill(side, readKeys);
    // As many clients at each replica, with as many reads outstanding in all.
    const job = { outstanding: 256, connections: 9, seconds, warmupSeconds: 1, operation: "get", keys: readKeys };
    await warmUp(sides, plan, job);
    const jobs = {
      leader: { side: sides.quorate, ...job },
      spread: { side: sides.quorate, ...job, options: { connectTo: "any" } },
    };
    if (sides.etcd !== undefined) jobs.etcd = { side: sides.etcd, ...job };
    const { leader, spread, etcd } = await inTurn(plan, jobs);
    const perCpuOf = ({ busiestCpuMicrosPerOperation }) => 1e6 / busiestCpuMicrosPerOperation;
    const noEtcd = whyMissing("etcd");
    return new Map([
      [
        "reads-etcd",
        { value: ratio(leader, etcd, throughputOf), note: noEtcd ?? `${each([leader, etcd], throughputOf)} a second` },
      ],
      [
        "reads-spread",
        {
          value: ratio(spread, leader, perCpuOf),
          note: `${each([spread, leader], perCpuOf)}; on these processors ${each([spread, leader], throughputOf)} a second`,
        },
      ],
    ]);
  });
}

/** Sets each of so many keys once. */
export function fill(side, keys) {
  return filled(side, { count: keys, keys, outstanding: 1024, connections: 8 });
}

/** Runs a job in which nothing may fail. */
export async function filled({ cluster, load }, job) {
  const result = await measure(cluster, load, job);
  const failed = Object.values(result.failures).reduce((sum, each) => sum + each, 0);
  if (failed > 0)
    throw new Error(`Cannot fill ${cluster.name}: ${failed} writes failed (${JSON.stringify(result.failures)})`);
  return result;
}

export async function sizes(plan) {
  const { seconds } = plan;
  const measured = new Map();
  for (const [kib, outstanding] of [
    [1, 64],
    [16, 64],
    [256, 16],
  ]) {
    const valueBytes = kib * 1024;
    const starters = {
      raw: () => startRaw(plan.directory, valueBytes),
      quorate: () => startQuorate(join(plan.directory, `size-${kib}`)),
    };
    await beside(starters, async (sides) => {
      const job = { outstanding, connections: 4, seconds, warmupSeconds: 1, valueBytes, keys: 200 };
      await warmUp(sides, plan, job);
      const jobs = Object.fromEntries(
        Object.entries(sides).map(([name, side]) => [`${name} ${kib} KiB`, { side, ...job }]),
      );
      const runs = await inTurn(plan, jobs);
      const [ours, raw] = [runs[`quorate ${kib} KiB`], runs[`raw ${kib} KiB`]];
      const mbOf = ({ throughput }) => (throughput * valueBytes) / 1e6;
      measured.set(`size-${kib}`, {
        value: ratio(ours, raw, throughputOf),
        note: `${each([ours, raw], mbOf, 1)} MB/s`,
      });
    });
  }
  return measured;
}

/** Requests a second as `redis-benchmark` tells them; first a short run, so that the counted one takes about `seconds`. */
async function redisBenchmark(endpoint, pipeline, seconds) {
  const first = await redisBenchmarkOf(endpoint, pipeline, 20_000);
  const requests = Math.max(20_000, Math.round(first * seconds));
  return { throughput: await redisBenchmarkOf(endpoint, pipeline, requests) };
}

async function redisBenchmarkOf(endpoint, pipeline, requests) {
  const [host, port] = endpoint.split(":");
  const { keys, valueBytes } = usualShape;
  const words = [
    "-h",
    host,
    "-p",
    port,
    "-c",
    256,
    "-P",
    pipeline,
    "-n",
    requests,
    "-r",
    keys,
    "-d",
    valueBytes,
    "-t",
    "set",
    "--csv",
  ];
  const child = spawn("redis-benchmark", words.map(String), { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.on("data", (chunk) => (text += chunk));
  const code = await new Promise((resolve, reject) => child.once("error", reject).once("close", resolve));
  const rate = requestsPerSecondOf(text);
  if (code !== 0 || rate === undefined) throw new Error(`redis-benchmark ended with ${code}: ${text}`);
  return rate;
}

/** From `redis-benchmark --csv`: a line of names, then `"SET","12345.67",…`. */
export function requestsPerSecondOf(csv) {
  const rate = Number(/^"SET","([\d.]+)"/m.exec(csv)?.[1]);
  return rate > 0 ? rate : undefined;
}

export async function resp(plan) {
  const missing = whyMissing("redis");
  if (missing !== undefined) return new Map(["resp-1", "resp-16"].map((id) => [id, { ...none, note: missing }]));
  const starters = {
    raw: () => startRaw(plan.directory),
    quorate: () => startQuorate(join(plan.directory, "resp")),
    redis: () => peers.redis.start(join(plan.directory, "redis")),
  };
  return beside(starters, async ({ raw, quorate, redis }) => {
    const { seconds } = plan;
    await warmUp({ raw, quorate }, plan, { outstanding: 256, connections: 8 });
    const leader = await leaderOf(quorate.cluster);
    const [redisAddress] = redis.cluster.endpoints;
    const runs = await inTurn(plan, {
      "raw -c 256": { side: raw, outstanding: 256, connections: 256, seconds, warmupSeconds: 1 },
      "quorate -P 1": { run: () => redisBenchmark(leader.redis, 1, seconds) },
      "redis -P 1": { run: () => redisBenchmark(redisAddress, 1, seconds) },
      "quorate -P 16": { run: () => redisBenchmark(leader.redis, 16, seconds) },
      "redis -P 16": { run: () => redisBenchmark(redisAddress, 16, seconds) },
    });
    const [one, sixteen] = [runs["quorate -P 1"], runs["quorate -P 16"]];
    const [rawRuns, redis1, redis16] = [runs["raw -c 256"], runs["redis -P 1"], runs["redis -P 16"]];
    return new Map([
      [
        "resp-1",
        {
          value: ratio(one, rawRuns, throughputOf),
          note: `${each([one, rawRuns], throughputOf)} a second; one Redis: ${each([redis1], throughputOf)}`,
        },
      ],
      [
        "resp-16",
        { value: ratio(sixteen, redis16, throughputOf), note: `${each([sixteen, redis16], throughputOf)} a second` },
      ],
    ]);
  });
}

/** Of all replicas: under load one may be asked more than once before it answers. */
export async function statusesOf(cluster) {
  let statuses = [];
  await until("every replica to tell its status", 60_000, async () => {
    statuses = await cluster.statuses();
    return statuses.every((status) => status !== undefined);
  });
  return statuses;
}

/** Where the leader of a cluster listens. */
export async function leaderOf(cluster) {
  const statuses = await statusesOf(cluster);
  const leader = statuses.find((status) => status?.role === "leader");
  if (leader === undefined) throw new Error("nobody leads");
  return cluster.replicas.get(leader.id);
}
