/**
 * What many runs come to. Runs may be added in any order: the sums and the hash are the same.
 *
 * Owns: the sums and the JSON form. Leaves to others: text (`report-text.ts`). Called by `sweep.ts`.
 */
import { createHash } from "node:crypto";
import type { Violation } from "../../sim/checkers/violation.js";
import { faultKinds, type FaultKind } from "../../sim/faults.js";
import { markersOf, type Marker } from "../../sim/markers.js";
import { commandOf, type Setting } from "./setting.js";
import type { Ran } from "./tasks.js";

export interface Failed {
  readonly seed: number;
  readonly violation: Violation;
  readonly command: string;
}

export class Tally {
  readonly seedBase: number;
  readonly setting: Setting;
  seeds = 0;
  events = 0;
  simulatedMs = 0;
  readonly operations = { answered: 0, refused: 0, unknown: 0, notExecuted: 0 };
  readonly faults = Object.fromEntries(faultKinds.map((kind) => [kind, 0])) as Record<FaultKind, number>;
  /** Seeds in which each was reached. */
  readonly markers: Map<Marker, number>;
  readonly #hashes: string[] = [];
  readonly #failed: Failed[] = [];

  constructor(seedBase: number, setting: Setting) {
    this.seedBase = seedBase;
    this.setting = setting;
    this.markers = new Map(markersOf(setting.shape.model).map((name) => [name, 0]));
  }

  /** By seed. */
  get failed(): readonly Failed[] {
    return this.#failed.toSorted((left, right) => left.seed - right.seed);
  }

  add({ plan, cut, violation, traceHash, simulatedMs, events, operations, faults, markers }: Ran): void {
    this.seeds += 1;
    this.events += events;
    // Whole milliseconds: sums of fractions depend on their order.
    this.simulatedMs += Math.round(simulatedMs);
    for (const end of ["answered", "refused", "unknown", "notExecuted"] as const)
      this.operations[end] += operations[end];
    for (const kind of faultKinds) this.faults[kind] += faults[kind];
    for (const name of markers) this.markers.set(name, (this.markers.get(name) ?? 0) + 1);
    this.#hashes[plan.seed - this.seedBase] = traceHash;
    if (violation === undefined) return;
    this.#failed.push({ seed: plan.seed, violation, command: commandOf(this.setting, plan.seed, cut) });
  }

  /** Over the hashes of all runs, by seed. */
  get traceHash(): string {
    return createHash("sha256").update(this.#hashes.join(" ")).digest("hex").slice(0, 16);
  }
}

/** `shrunk` is a smaller run that fails like the first that failed, unless it did not fail again. */
export function tallyAsJson(tally: Tally, seconds: number, shrunk: Ran | undefined): Record<string, unknown> {
  const { seeds, seedBase, events, simulatedMs, operations, faults, markers, traceHash } = tally;
  const violations = tally.failed.map(({ seed, violation: { rule, claim, fact, at }, command }) => {
    const failed = { seed, rule, claim, fact, atMs: rounded(at), command };
    return shrunk?.violation !== undefined && shrunk.plan.seed === seed
      ? { ...failed, shrunk: shrunkAsJson(tally.setting, shrunk) }
      : failed;
  });
  return {
    seeds,
    seedBase,
    violations,
    seconds: rounded(seconds),
    seedsPerSecond: rounded(seeds / seconds),
    simulatedHours: rounded(simulatedMs / 3_600_000),
    timesRealTime: rounded(simulatedMs / 1_000 / seconds),
    events,
    eventsPerSecond: Math.round(events / seconds),
    operations,
    faults,
    markers: {
      reached: Object.fromEntries([...markers].filter(([, count]) => count > 0)),
      never: [...markers].filter(([, count]) => count === 0).map(([name]) => name),
    },
    traceHash,
  };
}

function shrunkAsJson(setting: Setting, { plan, cut }: Ran): Record<string, unknown> {
  const { seed, replicas, clients, operations } = plan;
  const faults = plan.faults.map(({ number, kind, at, lastsMs }) => {
    return { number, kind, atMs: rounded(at), lastsMs: rounded(lastsMs) };
  });
  return { command: commandOf(setting, seed, cut), replicas, clients, operations, faults };
}

function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
