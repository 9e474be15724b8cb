/**
 * What shapes a run beside its seed, and the command that runs it again.
 *
 * Owns: the usual shape, the text of the command, durations. Leaves to others: flags (`commands/sim.ts`), drawing a plan
 * (`sim/plan.ts`). Called by everything in `server/sim/`.
 */
import { defaultFaultModel, type FaultModel } from "../../api/config.js";
import { cutText, type Cut } from "../../sim/shrink.js";

export interface Shape {
  readonly model: FaultModel;
  readonly replicas: number;
  readonly clients: number;
  readonly operations: number;
  readonly faults: "all" | "none" | readonly string[];
  readonly untilMs?: number;
}

/** Those flags that were given. */
export type GivenShape = Partial<Shape>;

export function usualShapeOf(model: FaultModel = defaultFaultModel): Shape {
  return { model, replicas: model === "crash" ? 3 : 4, clients: 4, operations: 500, faults: "all" };
}

/** A machine's module: the path that was given, and one that can be imported. */
export interface MachineFile {
  readonly given: string;
  readonly prepared: string;
}

export interface Setting {
  readonly shape: Shape;
  /** Undefined: the simulator's own. */
  readonly machine?: MachineFile | undefined;
  /** The id of a planted bug. */
  readonly planted?: string | undefined;
}

/** Names every option that shaped the plan, so that other defaults one day do not change what it runs. */
export function commandOf({ shape, machine, planted }: Setting, seed: number, cut: Cut): string {
  const words = ["quorate sim"];
  if (planted !== undefined) words.push(`--planted ${planted}`);
  if (machine !== undefined) words.push(`--machine ${quoted(machine.given)}`);
  if (shape.model !== defaultFaultModel) words.push(`--model ${shape.model}`);
  words.push(`--seed ${seed}`, `--replicas ${shape.replicas}`, `--clients ${shape.clients}`);
  words.push(`--operations ${shape.operations}`, `--faults ${faultsText(shape)}`);
  if (shape.untilMs !== undefined) words.push(`--until ${shape.untilMs}ms`);
  const text = cutText(cut);
  if (text !== "") words.push(`--cut '${text}'`);
  return words.join(" ");
}

export function faultsText({ faults }: Shape): string {
  return typeof faults === "string" ? faults : faults.join(",");
}

function quoted(text: string): string {
  return /^[\w./@+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000 };

/** Milliseconds of `500ms`, `30s`, `2m`; undefined if it is none of these. */
export function readDuration(text: string): number | undefined {
  const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text) ?? [];
  const ms = Number(number) * (unitMs[unit] ?? 0);
  return ms > 0 ? ms : undefined;
}
