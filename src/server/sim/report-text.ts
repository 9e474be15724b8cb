/**
 * What came of runs, for people.
 *
 * Owns: the text. Leaves to others: the sums (`tally.ts`), what one failure is (`sim/report.ts`). Called by `sweep.ts`.
 */
import { faultClasses, faultKinds, type FaultKind, type PlannedFault } from "../../sim/faults.js";
import { describeFailure } from "../../sim/report.js";
import { timeText } from "../../sim/trace.js";
import type { Paint } from "../paint.js";
import { commandOf, faultsText, type Setting } from "./setting.js";
import type { Tally } from "./tally.js";
import type { Ran } from "./tasks.js";

export interface Measured {
  readonly seconds: number;
  readonly threads: number;
  readonly isGuessed: boolean;
}

/** Failing seeds that are listed at most; JSON has them all. */
const failedMax = 20;
/** Of a sweep's failure; a replay prints them all. */
const traceLinesMax = 40;

export function renderTally(tally: Tally, { seconds, threads, isGuessed }: Measured, paint: Paint): string {
  const { seeds, seedBase, events, simulatedMs, operations, setting } = tally;
  const { shape, machine } = setting;
  const sizes = `${counted(shape.replicas, "replica")}, ${counted(shape.clients, "client")}, ${counted(shape.operations, "operation")} a seed`;
  const hours = simulatedMs / 3_600_000;
  const simulated =
    hours < 0.1 ? `${grouped(hours * 3_600, 1)} simulated seconds` : `${grouped(hours, 2)} simulated hours`;
  const count = tally.failed.length;
  return [
    `${counted(seeds, "seed")} from ${seedBase}: ${count === 0 ? paint("green", "no violation") : paint("red", counted(count, "violation"))}`,
    `  machine     ${machine?.given ?? "the simulator's own"}; ${sizes}, faults ${faultsText(shape)}`,
    ...(isGuessed
      ? ["              asked with guessed inputs: export a function named workload, and more is found"]
      : []),
    `  time        ${grouped(seconds, 1)} s in ${counted(threads, "thread")}: ${grouped(seeds / seconds, 2)} seeds a second, ${grouped(events / seconds)} events a second`,
    `              ${simulated}, ${grouped(simulatedMs / 1_000 / seconds, 1)} times real time`,
    `  operations  ${grouped(operations.answered)} answered, ${grouped(operations.refused)} refused, ${grouped(operations.notExecuted)} not executed, ${grouped(operations.unknown)} unknown`,
    `  faults      ${renderFaults(tally).join("\n              ")}`,
    `  markers     ${renderMarkers(tally).join("\n              ")}`,
    `  trace hash  ${tally.traceHash}`,
  ].join("\n");
}

function renderFaults({ faults }: Tally): readonly string[] {
  const lines = Object.entries(faultClasses).map(([name, kinds]) => {
    const counts = kinds.filter((kind) => faults[kind] > 0).map((kind) => `${kind} ${grouped(faults[kind])}`);
    return counts.length === 0 ? undefined : `${name.padEnd(9)}  ${counts.join(", ")}`;
  });
  const shown = lines.filter((line) => line !== undefined);
  return shown.length === 0 ? ["none"] : shown;
}

function renderMarkers({ markers, seeds }: Tally): readonly string[] {
  const reached = [...markers].filter(([, count]) => count > 0).sort(([, left], [, right]) => right - left);
  // One run reaches few: then it says nothing.
  const never = seeds === 1 ? [] : [...markers].filter(([, count]) => count === 0);
  return [
    `${reached.length} of ${markers.size} were reached, in so many of ${counted(seeds, "seed")}`,
    ...reached.map(([name, count]) => `${grouped(count).padStart(7)}  ${name}`),
    ...never.map(([name]) => `  never  ${name}`),
  ];
}

export function renderFailed({ failed }: Tally, paint: Paint): string {
  const lines = failed.slice(0, failedMax).map(({ seed, violation: { rule, fact } }) => {
    return `  seed ${String(seed).padEnd(8)}  ${paint("red", rule.padEnd(3))}  ${fact.split("\n")[0] ?? ""}`;
  });
  const left = failed.length - lines.length;
  return [...lines, ...(left > 0 ? [`  and ${left} more`] : [])].join("\n");
}

/** A run that failed: what broke, its faults, its trace. Undefined if it did not fail. */
export function renderFailure(ran: Ran, setting: Setting, lines: "all" | "last"): string | undefined {
  const { plan, machine, violation, cut, trace } = ran;
  if (violation === undefined) return undefined;
  const command = commandOf(setting, plan.seed, cut);
  const shown = lines === "all" ? trace : trace.slice(-traceLinesMax);
  return [
    describeFailure({ plan, machine, violation, trace: [], command }),
    "",
    plan.faults.length === 0 ? "No fault is planned." : "Faults",
    ...plan.faults.map(faultLine),
    "",
    renderTrace(shown, trace.length),
  ].join("\n");
}

/** The last lines of a trace, or all of them. */
export function renderTrace(shown: readonly string[], length: number): string {
  const left = length - shown.length;
  return [left === 0 ? "Trace" : `Trace, without its first ${left} lines`, ...shown].join("\n");
}

/** Whom it met is in the trace. */
function faultLine({ number, kind, at, lastsMs }: PlannedFault): string {
  return `${timeText(at)}  fault ${String(number).padEnd(4)}  ${kind.padEnd(kindWidth)}  for ${timeText(lastsMs).trim()}`;
}

const kindWidth = Math.max(...faultKinds.map((kind: FaultKind) => kind.length));

function counted(count: number, what: string): string {
  return `${grouped(count)} ${what}${count === 1 ? "" : "s"}`;
}

/** Alike whatever the language of the terminal. */
function grouped(value: number, digits = 0): string {
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
