/**
 * The goals of speed, and whether a figure meets one: nothing is measured here.
 *
 * Owns: which goals there are, verdicts, and the table. Leaves to others: measuring (`goal-loads.mjs`, `goal-faults.mjs`, `goal-state.mjs`), the order of it all
 * (`goals.mjs`). A figure is one number, and a goal one bound on it, so that nobody has to judge; whatever else was seen stands behind it as a note.
 */
import { shown } from "./measure.mjs";

/**
 * By group, in the order of the table. Each has either `atLeast` or `atMost`. `of` what a ratio is a ratio of: the other system of the same run. Ratios
 * are medians of the ratios run by run.
 */
/** @type {Record<string, { id: string, figure: string, unit: string, atLeast?: number, atMost?: number }[]>} */
export const goals = {
  writes: [
    { id: "writes-256-raw", figure: "writes/s, 256 outstanding", unit: "of raw", atLeast: 0.6 },
    { id: "writes-256-etcd", figure: "writes/s, 256 outstanding", unit: "of etcd", atLeast: 7 },
    { id: "writes-1024-raw", figure: "writes/s, 1024 outstanding", unit: "of raw", atLeast: 0.6 },
    { id: "writes-1024-etcd", figure: "writes/s, 1024 outstanding", unit: "of etcd", atLeast: 7 },
    { id: "writes-1-raw", figure: "writes/s, 1 outstanding", unit: "of raw", atLeast: 0.7 },
    { id: "writes-1-etcd", figure: "writes/s, 1 outstanding", unit: "of etcd", atLeast: 1.3 },
    { id: "p99-256", figure: "p99 of writes, 256 outstanding", unit: "of etcd", atMost: 0.3 },
    { id: "p99-rate", figure: "p99 of writes, 4,000 begun each second", unit: "of etcd", atMost: 0.6 },
    { id: "cpu-256", figure: "server CPU a write, 256 outstanding, three replicas", unit: "µs", atMost: 25 },
    { id: "cpu-256-etcd", figure: "server CPU a write, 256 outstanding", unit: "of etcd", atMost: 1 / 6 },
    { id: "memory-256", figure: "resident memory of a replica, 256 outstanding", unit: "MB", atMost: 250 },
  ],
  reads: [
    { id: "reads-etcd", figure: "linearizable reads/s, 256 outstanding", unit: "of etcd", atLeast: 15 },
    {
      id: "reads-spread",
      figure: "reads for each CPU second of the busiest replica, spread over three",
      unit: "of all at the leader",
      atLeast: 2,
    },
  ],
  resp: [
    { id: "resp-1", figure: "RESP: redis-benchmark -c 256 -P 1", unit: "of raw with 256 connections", atLeast: 0.8 },
    {
      id: "resp-16",
      figure: "RESP: redis-benchmark -c 256 -P 16",
      unit: "of one Redis, appendfsync always",
      atLeast: 1,
    },
  ],
  failover: [
    { id: "kill-median", figure: "longest gap between writes, leader killed (-9): median", unit: "ms", atMost: 150 },
    { id: "kill-max", figure: "the same: longest", unit: "ms", atMost: 500 },
    {
      id: "pause-median",
      figure: "the same, leader stopped (SIGSTOP): median",
      unit: "shortest election time-outs",
      atMost: 1.5,
    },
  ],
  flat: [
    { id: "elections", figure: "times that a replica lost its leader, full load", unit: "", atMost: 0 },
    { id: "memory-flat", figure: "live memory of a replica, end : begin of full load", unit: "", atMost: 1.05 },
  ],
  sizes: [
    { id: "size-1", figure: "writes of 1 KiB, 64 outstanding", unit: "of raw", atLeast: 0.6 },
    { id: "size-16", figure: "writes of 16 KiB, 64 outstanding", unit: "of raw", atLeast: 0.6 },
    { id: "size-256", figure: "writes of 256 KiB, 16 outstanding", unit: "of raw", atLeast: 0.6 },
    {
      id: "heartbeats",
      figure: "values of 1 MB one by one: heartbeats late by more than 100 ms",
      unit: "",
      atMost: 0,
    },
  ],
  state: [
    { id: "memory-million", figure: "resident memory of a replica, 1 million keys", unit: "MB", atMost: 400 },
    { id: "checkpoint-p99", figure: "p99 of writes with a checkpoint under way", unit: "of without", atMost: 2 },
    { id: "checkpoint-turn", figure: "longest turn of an event loop meanwhile, CPU", unit: "ms", atMost: 50 },
    {
      id: "restart",
      figure: "restart of a member, 1 million keys, until it answers a read",
      unit: "of etcd",
      atMost: 0.5,
    },
    { id: "growth", figure: "writes for each CPU second, 1 million keys", unit: "of 1 thousand keys", atLeast: 0.8 },
    {
      id: "growth-latency",
      figure: "p50 of writes, 2,000 begun each second, 1 million keys",
      unit: "of 1 thousand keys",
      atMost: 1.2,
    },
  ],
  disk: [
    {
      id: "growth-lmdb",
      figure: "writes for each CPU second, 10 million keys outside of memory",
      unit: "of 1 thousand keys",
      atLeast: 0.8,
    },
  ],
};

/**
 * `value` is not a number, or undefined, where nothing was measured: that is no pass.
 *
 * @param {{ atLeast?: number, atMost?: number }} goal
 * @param {number | undefined} value
 */
export function verdictOf({ atLeast, atMost }, value) {
  if (value === undefined || Number.isNaN(value)) return "not measured";
  const isMet = atLeast === undefined ? value <= atMost : value >= atLeast;
  return isMet ? "pass" : "short";
}

/**
 * `measured` has for an id what was found. Rows of groups that were not asked for are left out.
 *
 * @param {string[]} groups
 * @param {Map<string, { value: number | undefined, note?: string }>} measured
 */
export function rowsOf(groups, measured) {
  return groups.flatMap((group) =>
    goals[group].map((goal) => {
      const { value, note = "" } = measured.get(goal.id) ?? {};
      const verdict = verdictOf(goal, value);
      // `null` stays there in JSON.
      return { group, ...goal, value: verdict === "not measured" ? null : value, note, verdict };
    }),
  );
}

const digitsOf = (value) => (Number.isInteger(value) || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2);
const withUnit = (value, unit) => `${shown(value, digitsOf(value ?? Number.NaN))}${unit === "" ? "" : ` ${unit}`}`;

/** Markdown. */
export function goalTable(rows) {
  const header = ["figure", "measured", "goal", "", "seen"];
  const cells = rows.map(({ figure, unit, value, atLeast, atMost, verdict, note }) => [
    figure,
    verdict === "not measured" ? "–" : withUnit(value, unit),
    atLeast === undefined ? `≤ ${withUnit(atMost, unit)}` : `≥ ${withUnit(atLeast, unit)}`,
    verdict,
    note,
  ]);
  const widths = header.map((name, at) => Math.max(name.length, ...cells.map((row) => row[at].length)));
  const line = (row) => `| ${row.map((text, at) => text.padEnd(widths[at])).join(" | ")} |`;
  const rule = `| ${widths.map((width) => "-".repeat(Math.max(3, width))).join(" | ")} |`;
  return [line(header), rule, ...cells.map(line)].join("\n");
}

/** How many of each verdict, as a sentence. */
export function countsOf(rows) {
  const count = (verdict) => rows.filter((row) => row.verdict === verdict).length;
  return `${count("pass")} pass, ${count("short")} short, ${count("not measured")} not measured`;
}
