/**
 * Makes a failing run smaller: fewer operations, faults, replicas and clients, less going wrong around it, as long as it still fails.
 *
 * Owns: the order of tries (delta debugging: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE TSE
 * 2002, over the planned faults) and the text of a cut, so that one command runs the small run again. A smaller run is another run:
 * whatever is drawn falls differently, so every try is simply run. Called by the command when a seed has failed.
 */
import type { Violation } from "./checkers/violation.js";
import { calmDisk, calmLimits, calmNetwork, type Plan } from "./plan.js";
import { runPlan, type RunOptions } from "./simulate.js";

const calmParts = ["network", "disk", "limits"] as const;

/** What is left of a plan. Absent: all of it. */
export interface Cut {
  readonly replicas?: number;
  readonly clients?: number;
  readonly operations?: number;
  readonly healAtMs?: number;
  /** Numbers of the faults that are kept. */
  readonly faults?: readonly number[];
  /** What is as on a good day. */
  readonly calm?: readonly (typeof calmParts)[number][];
}

export function cutPlan(plan: Plan, cut: Cut): Plan {
  const calm = cut.calm ?? [];
  return {
    ...plan,
    replicas: cut.replicas ?? plan.replicas,
    clients: cut.clients ?? plan.clients,
    operations: cut.operations ?? plan.operations,
    healAtMs: cut.healAtMs ?? plan.healAtMs,
    faults: plan.faults.filter(({ number }) => cut.faults?.includes(number) ?? true),
    network: calm.includes("network") ? calmNetwork : plan.network,
    disk: calm.includes("disk") ? calmDisk : plan.disk,
    limits: calm.includes("limits") ? calmLimits : plan.limits,
  };
}

/** `replicas=3,operations=12,faults=4+9,calm=disk`: what `--cut` takes. */
export function cutText(cut: Cut): string {
  const parts: string[] = [];
  for (const [name, value] of Object.entries(cut) as [string, number | readonly (number | string)[] | undefined][]) {
    if (value !== undefined) parts.push(`${name}=${typeof value === "number" ? value : value.join("+")}`);
  }
  return parts.join(",");
}

/** A sentence if it cannot be read. */
export function readCut(text: string): Cut | string {
  const cut: Record<string, unknown> = {};
  for (const part of text.split(",")) {
    const [name = "", value = ""] = part.split("=");
    const list = value === "" ? [] : value.split("+");
    if (["replicas", "clients", "operations", "healAtMs"].includes(name) && /^\d+(\.\d+)?$/.test(value))
      cut[name] = Number(value);
    else if (name === "faults" && list.every((item) => /^\d+$/.test(item))) cut[name] = list.map(Number);
    else if (name === "calm" && list.every((item) => calmParts.some((known) => known === item))) cut[name] = list;
    else
      return `Cannot read the cut "${part}": expected replicas=, clients=, operations=, healAtMs=, faults=1+2, calm=network+disk+limits`;
  }
  return cut;
}

export interface Shrunk {
  readonly cut: Cut;
  readonly plan: Plan;
  readonly violation: Violation;
  readonly runs: number;
}

export interface ShrinkLimits {
  readonly runsMax: number;
  /** Asked before each run: once it is true, what was found by then is the answer. */
  readonly isOver: () => boolean;
}

export function shrink(options: RunOptions, violation: Violation, limits: ShrinkLimits): Shrunk {
  return new Shrinker(options, violation, limits).run();
}

class Shrinker {
  readonly #options: RunOptions;
  readonly #limits: ShrinkLimits;
  #violation: Violation;
  #cut: Cut = {};
  #runs = 0;

  constructor(options: RunOptions, violation: Violation, limits: ShrinkLimits) {
    this.#options = options;
    this.#violation = violation;
    this.#limits = limits;
  }

  run(): Shrunk {
    const { plan } = this.#options;
    this.#stopSooner();
    this.#fewerFaults();
    for (const part of calmParts) this.#try({ calm: [...(this.#cut.calm ?? []), part] });
    for (const replicas of [1, 3, 5]) if (replicas < plan.replicas && this.#try({ replicas })) break;
    for (const clients of [1, 2]) if (clients < plan.clients && this.#try({ clients })) break;
    this.#fewerOperations();
    this.#fewerFaults();
    this.#stopSooner();
    return { cut: this.#cut, plan: cutPlan(plan, this.#cut), violation: this.#violation, runs: this.#runs };
  }

  get #isOver(): boolean {
    return this.#runs >= this.#limits.runsMax || this.#limits.isOver();
  }

  /** Whether the run with this cut too breaks the same rule; then it is kept. */
  #try(more: Cut): boolean {
    if (this.#isOver) return false;
    this.#runs += 1;
    const cut = { ...this.#cut, ...more };
    const { violation } = runPlan({ ...this.#options, plan: cutPlan(this.#options.plan, cut), trace: false });
    if (violation === undefined || violation.rule !== this.#violation.rule) return false;
    this.#cut = cut;
    this.#violation = violation;
    return true;
  }

  /** What is planned for later than the violation cannot have caused it. */
  #stopSooner(): void {
    const { plan } = this.#options;
    const { at } = this.#violation;
    if (at >= (this.#cut.healAtMs ?? plan.healAtMs)) return;
    const kept = this.#kept().filter((number) => (plan.faults.find((fault) => fault.number === number)?.at ?? 0) <= at);
    this.#try({ healAtMs: Math.ceil(at) + 1, faults: kept });
  }

  #fewerOperations(): void {
    for (let tries = 0; tries < 12; tries += 1) {
      const now = this.#cut.operations ?? this.#options.plan.operations;
      if (now <= 1 || !this.#try({ operations: Math.floor(now / 2) })) return;
    }
  }

  #kept(): readonly number[] {
    return this.#cut.faults ?? this.#options.plan.faults.map(({ number }) => number);
  }

  #fewerFaults(): void {
    if (this.#kept().length > 0 && this.#try({ faults: [] })) return;
    for (let parts = 2; parts <= 2 * this.#kept().length;) {
      const kept = this.#kept();
      const size = Math.ceil(kept.length / parts);
      let isSmaller = false;
      for (let from = 0; from < kept.length && !isSmaller; from += size) {
        isSmaller = this.#try({ faults: [...kept.slice(0, from), ...kept.slice(from + size)] });
      }
      if (this.#isOver) return;
      if (isSmaller) parts = Math.max(2, parts - 1);
      else if (size <= 1) return;
      else parts *= 2;
    }
  }
}
