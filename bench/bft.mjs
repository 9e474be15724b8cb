/**
 * The benchmark of PBFT: `npm run bench:bft -- [--outstanding 1,16,64,256,1024] [--lies silent,…] [--seconds 5] [--runs 3] [--json | --write]`.
 *
 * Four durable replicas under Byzantine faults, asked by clients that sign and count votes; beside them, in turn, four processes that do three
 * phases with MACs and nothing else (`raw-bft.mjs`), and three replicas under crash faults. Numbers are medians over the runs, ratios are
 * taken run by run. Then clusters of which the first replica lies, each once the others have replaced it, beside the one that nobody lies in.
 * With `--write` all of it becomes `docs/internals/bft-bench.md`. Owns: the plan and the tables. Leaves to others: processes
 * (`processes.mjs`), load (`load.mjs`).
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connectionsFor, median, shown } from "./measure.mjs";
import { names, numbers, readOptions } from "./options.mjs";
import {
  commitOf,
  cpuSecondsOf,
  describeMachine,
  measureFlush,
  startLoad,
  startQuorate,
  startRawBft,
} from "./processes.mjs";
import { keyBytes, valueBytes } from "./shape.mjs";

const { lies, twin } = await import(new URL("../dist/sim/lies.js", import.meta.url).href);

const usage = `Usage: npm run bench:bft -- [options]
  --outstanding <counts>  closed loops: operations in flight, default 1,16,64,256,1024; "" for none
  --lies <names>          how the first replica lies in clusters of their own, default all; "" for none
  --targets <names>       what is compared, in turn: mac, pbft, raft; ratios are of the first; default all
  --seconds <seconds>     counted time of one measurement, default 5
  --warmup <seconds>      before it, default 2
  --runs <count>          how often each is measured, default 3
  --dir <directory>       where the logs are, default the system's temporary directory
  --write                 put the tables into docs/internals/bft-bench.md
  --json                  everything measured, as one JSON document`;

const values = readOptions(usage, {
  outstanding: "1,16,64,256,1024",
  lies: [...lies, twin].join(","),
  targets: "mac,pbft,raft",
  seconds: "5",
  warmup: "2",
  runs: "3",
});
const [seconds, warmupSeconds, runs] = [values.seconds, values.warmup, values.runs].map(Number);
/** Of the load beside which replicas lie, and how long the others have to replace the liar before anything is counted. */
const outstandingWithLiars = 64;
const recoverySeconds = 10;

const starters = {
  mac: async (directory) => ({ cluster: await startRawBft(directory), target: "rawBft" }),
  pbft: (directory) => startByzantine(join(directory, "pbft"), []),
  raft: async (directory) => ({ cluster: await startQuorate(join(directory, "raft"), {}), target: "quorate" }),
};

async function startByzantine(directory, lie) {
  const cluster = await startQuorate(directory, {}, ["--faults", "byzantine", ...lie]);
  const [status] = await cluster.statuses();
  return { cluster, target: "quorate", options: { faults: "byzantine", clusterId: status.clusterId } };
}

async function measure({ cluster, load, target, options }, outstanding, warmup) {
  const taken = {};
  const onMark = async (mark) => {
    const cpu = cluster.pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0);
    taken[mark] = { cpu, at: performance.now(), ...(await cluster.observe()) };
  };
  const job = { outstanding, connections: connectionsFor(outstanding), seconds, warmupSeconds: warmup };
  const result = await load.run({ target, options, endpoints: cluster.endpoints, ...job }, onMark);
  const { start, stop } = taken;
  // Counters are read a little outside of the counted time, so they are compared with what was done in their own.
  const operations = (result.throughput * (stop.at - start.at)) / 1000;
  return {
    ...result,
    cpuMicrosPerOperation: ((stop.cpu - start.cpu) * 1e6) / operations,
    loadMicrosPerOperation: (result.loadCpuSeconds * 1e6) / result.operations,
    madePerOperation: (stop.made - start.made) / operations,
    verifiedPerOperation: (stop.verified - start.verified) / operations,
    syncsPerOperation: (stop.syncs - start.syncs) / operations,
    batch: operations / (stop.entries - start.entries),
    views: stop.view - start.view,
    failed: Object.values(result.failures).reduce((sum, count) => sum + count, 0),
  };
}

function summaryOf(measured, first) {
  const summary = {};
  for (const [name, value] of Object.entries(measured[0])) {
    if (typeof value === "number") summary[name] = median(measured.map((run) => run[name]));
  }
  summary.failed = measured.reduce((sum, { failed }) => sum + failed, 0);
  // Run by run, since the targets of one run saw the same minutes.
  summary.ratio = median(measured.map(({ throughput }, at) => throughput / first[at].throughput));
  summary.cpuRatio = median(measured.map((run, at) => run.cpuMicrosPerOperation / first[at].cpuMicrosPerOperation));
  return summary;
}

const columns = [
  ["op/s", ({ throughput }) => shown(throughput)],
  ["p50 ms", ({ p50Ms }) => shown(p50Ms, 2)],
  ["p99 ms", ({ p99Ms }) => shown(p99Ms, 2)],
  ["CPU µs/op", ({ cpuMicrosPerOperation }) => shown(cpuMicrosPerOperation, 1)],
  ["load µs/op", ({ loadMicrosPerOperation }) => shown(loadMicrosPerOperation, 1)],
  ["made/op", ({ madePerOperation }) => shown(madePerOperation, 3)],
  ["verified/op", ({ verifiedPerOperation }) => shown(verifiedPerOperation, 3)],
  ["syncs/op", ({ syncsPerOperation }) => shown(syncsPerOperation, 3)],
  ["op/entry", ({ batch }) => shown(batch, 1)],
  ["failed", ({ failed }) => String(failed)],
];

function tableOf(rows, first) {
  const header = ["outstanding", "target", ...columns.map(([name]) => name), `op/s : ${first}`, `CPU : ${first}`];
  const cells = rows.map(({ label, target, summary }) => [
    String(label),
    target,
    ...columns.map(([, cell]) => cell(summary)),
    target === first ? "" : shown(summary.ratio, 2),
    target === first ? "" : shown(summary.cpuRatio, 2),
  ]);
  const widths = header.map((name, at) => Math.max(name.length, 4, ...cells.map((row) => row[at].length)));
  const line = (row) =>
    `| ${row.map((cell, at) => (at < 2 ? cell.padEnd(widths[at]) : cell.padStart(widths[at]))).join(" | ")} |`;
  const rule = widths.map((width, at) => (at < 2 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [line(header), `| ${rule.join(" | ")} |`, ...cells.map(line)].join("\n");
}

const closing = [];
async function open(start) {
  const opened = await start();
  closing.push(async () => opened.cluster.stop());
  const load = startLoad();
  closing.push(async () => load.stop());
  return { ...opened, load };
}

async function measureFaultFree(directory) {
  const targets = names(values.targets);
  const opened = new Map();
  for (const target of targets) opened.set(target, await open(() => starters[target](directory)));
  const rows = [];
  const measured = new Map();
  for (let run = 1; run <= runs; run += 1) {
    for (const outstanding of numbers(values.outstanding)) {
      for (const [target, each] of opened) {
        const result = await measure(each, outstanding, warmupSeconds);
        process.stderr.write(`run ${run}: ${outstanding} outstanding, ${target}: ${shown(result.throughput)} op/s\n`);
        const name = `${outstanding} ${target}`;
        measured.set(name, [...(measured.get(name) ?? []), result]);
      }
    }
  }
  for (const outstanding of numbers(values.outstanding)) {
    const first = measured.get(`${outstanding} ${targets[0]}`);
    for (const target of targets) {
      rows.push({ label: outstanding, target, summary: summaryOf(measured.get(`${outstanding} ${target}`), first) });
    }
  }
  while (closing.length > 0) await closing.pop()();
  return rows;
}

async function measureLies(directory) {
  const named = names(values.lies);
  const measured = new Map(named.map((lie) => [lie, []]));
  if (named.length === 0) return [];
  const honest = await open(() => startByzantine(join(directory, "honest"), []));
  for (let run = 1; run <= runs; run += 1) {
    for (const lie of named) {
      const lying = await open(() => startByzantine(join(directory, `${lie}-${run}`), ["--lie", lie]));
      const beside = await measure(honest, outstandingWithLiars, warmupSeconds);
      const result = await measure(lying, outstandingWithLiars, recoverySeconds);
      process.stderr.write(
        `run ${run}: ${lie}: ${shown(result.throughput)} op/s, honest ${shown(beside.throughput)} op/s\n`,
      );
      measured.get(lie).push({ ...result, share: result.throughput / beside.throughput });
      for (const close of closing.splice(2).reverse()) await close();
    }
  }
  while (closing.length > 0) await closing.pop()();
  return named.map((lie) => ({
    lie,
    share: median(measured.get(lie).map(({ share }) => share)),
    runs: measured.get(lie),
  }));
}

function lieTable(rows) {
  const cells = rows.map(({ lie, share, runs: each }) => {
    const [throughput, p99] = [each.map((run) => run.throughput), each.map((run) => run.p99Ms)].map(median);
    return `| ${lie.padEnd(15)} | ${shown(share * 100).padStart(18)} | ${shown(throughput).padStart(5)} | ${shown(p99, 1).padStart(6)} |`;
  });
  return [
    "| the first lies  | share of honest, % |  op/s | p99 ms |",
    "| --------------- | -----------------: | ----: | -----: |",
    ...cells,
  ].join("\n");
}

const directory = mkdtempSync(join(values.dir, "quorate-bft-bench-"));
try {
  const machine = describeMachine(directory);
  const flush = measureFlush(directory);
  const about = { date: new Date().toISOString().slice(0, 10), commit: commitOf(), machine, flush, runs, seconds };
  const closed = await measureFaultFree(directory);
  const lying = await measureLies(directory);
  const first = names(values.targets)[0];
  const page = `${about.date}, commit ${about.commit}: \`${`npm run bench:bft -- ${process.argv.slice(2).join(" ")}`.trim()}\`

One operation sets a ${keyBytes} B key to a ${valueBytes} B value; medians of ${runs} runs of ${seconds} s. ${machine.processors} processors (${machine.model}), ${machine.memoryGiB} GiB, Node ${machine.node}, shared by replicas and load; load average before: ${shown(machine.loadBefore, 1)}. Write and fdatasync of 4 KiB over zeros: p50 ${shown(flush.p50Ms, 3)} ms, p99 ${shown(flush.p99Ms, 3)} ms${machine.durableFileSystem ? "" : "; on a file system in memory, so nothing here is durable"}. CPU, signatures and syncs are of all replicas of a cluster together; a batch's requests lie in bundles, each signed once by its client.

${tableOf(closed, first)}
${lying.length === 0 ? "" : `\n${outstandingWithLiars} outstanding, counted from ${recoverySeconds} s after the start on, beside a cluster in which nobody lies:\n\n${lieTable(lying)}\n`}`;
  if (values.json) console.log(JSON.stringify({ ...about, closed, lying }, undefined, 2));
  else console.log(page);
  if (values.write) {
    const head = `# Benchmark of PBFT\n\nWritten by \`npm run bench:bft -- --write\`. \`mac\`: four processes that do three phases with MACs, durable, and nothing else (\`bench/raw-bft.mjs\`). \`pbft\`: four replicas of the key-value service under Byzantine faults, asked by up to eight clients that sign and count votes. \`raft\`: three replicas under crash faults.\n\n`;
    writeFileSync(new URL("../docs/internals/bft-bench.md", import.meta.url), head + page);
  }
} finally {
  for (const close of closing.reverse()) await close();
  rmSync(directory, { recursive: true, force: true });
}
