/**
 * Writes, side by side: `npm run bench:writes -- [--outstanding 1,16,64,256,1024] [--rates 1000,5000,20000] [--seconds 5] [--runs 3] [--json]`.
 *
 * Three durable replicas of the key-value service and the raw baseline run side by side, the idle one waiting; they are measured
 * in turn, so that a slow minute of the machine slows both, and the ratio keeps its meaning. Numbers are medians over the runs.
 * Owns: the plan and the tables. Leaves to others: processes (`processes.mjs`), load (`load.mjs`), the floor (`raw.mjs`).
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { changedBuild, withoutAudits } from "./changed-build.mjs";
import { chart } from "./chart.mjs";
import { connectionsFor, measure, median, mediansOf, shown } from "./measure.mjs";
import { names, numbers, readOptions } from "./options.mjs";
import { peers, whyMissing } from "./peers.mjs";
import { commitOf, describeMachine, measureFlush, startLoad, startQuorate, startRaw } from "./processes.mjs";
import { keyBytes, valueBytes } from "./shape.mjs";

const usage = `Usage: npm run bench:writes -- [options]
  --outstanding <counts>  closed loops: operations in flight, default 1,16,64,256,1024; "" for none
  --rates <per second>    open loops: operations begun per second, default 1000,5000,20000; "" for none
  --seconds <seconds>     counted time of one measurement, default 5
  --runs <count>          how often each is measured, default 3
  --dir <directory>       where the logs are, default the system's temporary directory
  --targets <names>       what is compared, in turn; the last column is of the first: raw, quorate, unaudited (the same without
                          audits), and with the engine in a place of its own inline, worker, and etcd, zookeeper, nats, redis; default raw,quorate
  --chart <file>          draw the throughput of the closed loops, as SVG
  --write                 put tables and chart into docs/internals/peers.md and peers.svg
  --json                  everything measured, as one JSON document`;

function isHere(target) {
  const missing = target in peers ? whyMissing(target) : undefined;
  if (missing !== undefined) console.error(missing);
  return missing === undefined;
}

function readPlan() {
  const values = readOptions(usage, {
    outstanding: "1,16,64,256,1024",
    rates: "1000,5000,20000",
    seconds: "5",
    warmup: "1",
    runs: "3",
    targets: "raw,quorate",
    chart: undefined,
  });
  const plan = {
    outstanding: numbers(values.outstanding),
    rates: numbers(values.rates),
    seconds: Number(values.seconds),
    warmupSeconds: Number(values.warmup),
    runs: Number(values.runs),
    dir: values.dir,
    targets: names(values.targets).filter(isHere),
    json: values.json,
    write: values.write,
    chart: values.chart,
  };
  const all = [...plan.outstanding, ...plan.rates, plan.seconds, plan.runs];
  if (all.some((number) => !(number > 0)) || plan.warmupSeconds < 0)
    throw new Error(`Cannot run the benchmark.\n${usage}`);
  return plan;
}

const columns = [
  ["op/s", ({ throughput }) => shown(throughput)],
  ["p50 ms", ({ p50Ms }) => shown(p50Ms, 2)],
  ["p99 ms", ({ p99Ms }) => shown(p99Ms, 2)],
  ["max ms", ({ maxMs }) => shown(maxMs, 1)],
  ["CPU µs/op", ({ cpuMicrosPerOperation }) => shown(cpuMicrosPerOperation, 1)],
  ["load µs/op", ({ loadCpuSeconds, operations }) => shown((loadCpuSeconds * 1e6) / operations, 1)],
  ["syncs/s", ({ syncsPerSecond }) => shown(syncsPerSecond)],
  ["RSS MiB", ({ residentMiB }) => shown(residentMiB)],
  [
    "turn ms: CPU, wall",
    ({ longestTurnMs, longestTurnWallMs }) =>
      Number.isFinite(longestTurnMs) ? `${shown(longestTurnMs, 1)}, ${shown(longestTurnWallMs, 1)}` : "–",
  ],
  [
    "failed",
    ({ failures, heldBack }) =>
      String(Object.values(failures).reduce((sum, count) => sum + count, 0) + (heldBack ?? 0)),
  ],
];

function tableOf(title, rows, first) {
  const header = [title, "target", ...columns.map(([name]) => name), `of ${first}`];
  const cells = rows.map(({ label, target, summary, ratio }) => [
    String(label),
    target,
    ...columns.map(([, cell]) => cell(summary)),
    ratio === undefined ? "" : `${shown(ratio * 100)} %`,
  ]);
  const widths = header.map((name, at) => Math.max(name.length, ...cells.map((row) => row[at].length)));
  const line = (row) =>
    `| ${row.map((text, at) => (at < 2 ? text.padEnd(widths[at]) : text.padStart(widths[at]))).join(" | ")} |`;
  const rule = widths.map((width, at) => (at < 2 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [line(header), `| ${rule.join(" | ")} |`, ...cells.map(line)].join("\n");
}

function rowsOf(measured, kind, first) {
  const rows = [];
  for (const [name, byTarget] of measured[kind]) {
    const floor = byTarget.get(first);
    for (const [target, runs] of byTarget) {
      const summary = mediansOf(runs);
      // Run by run, since the targets of one run saw the same minutes.
      const ratios = target === first ? [] : runs.map((run, at) => run.throughput / floor[at].throughput);
      rows.push({ label: name, target, summary, ratio: ratios.length === 0 ? undefined : median(ratios) });
    }
  }
  return rows;
}

async function measureAll(plan, clusters, progress) {
  const measured = { closed: new Map(), open: new Map() };
  const keep = (kind, name, target, result) => {
    if (!measured[kind].has(name)) measured[kind].set(name, new Map());
    const byTarget = measured[kind].get(name);
    byTarget.set(target, [...(byTarget.get(target) ?? []), result]);
  };
  const { seconds, warmupSeconds } = plan;
  for (let run = 1; run <= plan.runs; run += 1) {
    for (const outstanding of plan.outstanding) {
      for (const { cluster, load } of clusters) {
        const job = { outstanding, connections: connectionsFor(outstanding), seconds, warmupSeconds };
        const result = await measure(cluster, load, job);
        progress(`run ${run}: ${outstanding} outstanding, ${cluster.name}: ${shown(result.throughput)} op/s`);
        keep("closed", outstanding, cluster.name, result);
      }
    }
    for (const rate of plan.rates) {
      for (const { cluster, load } of clusters) {
        const job = { rate, connections: 8, outstandingMax: 4096, seconds, warmupSeconds };
        const result = await measure(cluster, load, job);
        progress(`run ${run}: ${rate}/s, ${cluster.name}: p50 ${shown(result.p50Ms, 2)} ms`);
        keep("open", rate, cluster.name, result);
      }
    }
  }
  return measured;
}

function print(plan, { commit, machine, flush }, measured) {
  const closed = rowsOf(measured, "closed", plan.targets[0]);
  const open = rowsOf(measured, "open", plan.targets[0]);
  const about = {
    date: new Date().toISOString().slice(0, 10),
    commit,
    command: `npm run bench:writes -- ${process.argv.slice(2).join(" ")}`.trim(),
    machine,
    flush,
    operation: `set of a ${keyBytes} B key and a ${valueBytes} B value, durable on a majority of three processes`,
    runs: plan.runs,
    seconds: plan.seconds,
  };
  const draw = (path) => {
    const caption = `${keyBytes} B keys, ${valueBytes} B values; ${machine.processors} processors for servers and load; ${about.date}, ${commit}`;
    writeFileSync(path, chart(closed, caption));
  };
  if (plan.chart !== undefined) draw(plan.chart);
  const text = `- ${about.date}, commit ${about.commit}: \`${about.command}\`
- ${about.operation}; medians of ${plan.runs} runs of ${plan.seconds} s
- ${machine.processors} processors (${machine.model}), ${machine.memoryGiB} GiB, Node ${machine.node}, shared by replicas and load; load average before: ${shown(machine.loadBefore, 1)}
- write + fdatasync of 4 KiB over zeros: p50 ${shown(flush.p50Ms, 3)} ms, p99 ${shown(flush.p99Ms, 3)} ms${machine.durableFileSystem ? "" : " — on a file system in memory: nothing here is durable"}
- CPU is of all three replicas together, syncs of one replica, RSS and longest turn (processor time of its thread, wall time) of the worst replica in the worst run
${closed.length === 0 ? "" : `\n${tableOf("outstanding", closed, plan.targets[0])}\n`}${open.length === 0 ? "" : `\n${tableOf("op/s due", open, plan.targets[0])}\n`}`;
  if (plan.write) {
    draw(new URL("../docs/internals/peers.svg", import.meta.url));
    const path = new URL("../docs/internals/peers.md", import.meta.url);
    writeFileSync(path, `# Beside other systems\n\n${aboutPeers}\n\n${text}`);
  }
  console.log(plan.json ? JSON.stringify({ ...about, closed, open }, undefined, 2) : `\n${text}`);
}

const aboutPeers = `How each is run and driven: [benchmarks](benchmarks.md#beside-other-systems). NATS does not flush before it acknowledges, and Redis is one copy.

![Writes a second, by writes outstanding](peers.svg)`;

async function startTarget(target, directory) {
  if (target === "raw") return startRaw(directory);
  if (target in peers) return peers[target].start(join(directory, target));
  const isPlain = target === "quorate" || target === "unaudited";
  const build = target === "unaudited" ? await changedBuild(directory, "without-audits", withoutAudits) : undefined;
  const options = isPlain ? [] : ["--engine", target];
  const cluster = await startQuorate(join(directory, target), {}, options, build);
  return Object.assign(cluster, { name: target, opener: "quorate" });
}

async function main() {
  const plan = readPlan();
  const directory = mkdtempSync(join(plan.dir, "quorate-bench-"));
  const closing = [];
  try {
    const machine = describeMachine(directory);
    const flush = measureFlush(directory);
    // What runs is what is built now, whatever is committed meanwhile.
    const commit = commitOf();
    const clusters = [];
    for (const target of plan.targets) {
      const cluster = await startTarget(target, directory);
      closing.push(async () => cluster.stop());
      const load = startLoad();
      closing.push(async () => load.stop());
      clusters.push({ cluster, load });
    }
    const progress = (line) => process.stderr.write(`${line}\n`);
    const measured = await measureAll(plan, clusters, progress);
    print(plan, { commit, machine, flush }, measured);
  } finally {
    for (const close of closing.reverse()) await close();
    rmSync(directory, { recursive: true, force: true });
  }
}

await main();
