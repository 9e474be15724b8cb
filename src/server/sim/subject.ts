/**
 * What is simulated: the standard machine, or a module of the user's with the workload that it exports.
 *
 * Owns: the export named `workload`, and the guess if there is none. Leaves to others: the module (`machine-module.ts`). Called by
 * each thread (`worker.ts`).
 */
import { pathToFileURL } from "node:url";
import { standard, type RunOptions } from "../../sim/simulate.js";
import { guessWorkload, plainWorkload, type PlainWorkload } from "../../sim/workload.js";
import { usageFailure } from "../exit-codes.js";
import { loadMachine } from "../machine-module.js";
import { bundledName } from "../options.js";
import type { MachineFile } from "./setting.js";

export interface Subject extends Pick<RunOptions, "machine" | "workload"> {
  /** Nobody said what to ask. */
  readonly isGuessed: boolean;
}

export interface OwnSubject extends Pick<Subject, "machine" | "isGuessed"> {
  readonly workload: PlainWorkload;
}

export async function loadSubject(file: MachineFile | undefined): Promise<Subject> {
  if (file === undefined) return { ...standard, isGuessed: false };
  const { machine, workload, isGuessed } = await loadOwn(file);
  return { machine, workload: () => workload, isGuessed };
}

/** A user's. */
export async function loadOwn(file: MachineFile): Promise<OwnSubject> {
  const machine = await loadMachine(file.prepared, file.given);
  const given = await exportedWorkload(file);
  const workload = given === undefined ? guessWorkload(machine) : plainWorkload(given);
  return { machine, workload, isGuessed: given === undefined };
}

async function exportedWorkload({ given, prepared }: MachineFile): Promise<((draw: unknown) => object) | undefined> {
  if (prepared === bundledName) return undefined;
  const module: unknown = await import(pathToFileURL(prepared).href);
  if (typeof module !== "object" || module === null || !("workload" in module)) return undefined;
  const { workload } = module;
  if (typeof workload === "function") return workload as (draw: unknown) => object;
  throw usageFailure(
    `Cannot use the workload of ${given}: it is no function. Write: export const workload = (draw) => ({ command: "…", input: … })`,
  );
}
