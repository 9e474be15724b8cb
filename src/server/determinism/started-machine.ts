/**
 * A machine that begins with a state instead of an empty one: what was executed before the commands in a log begin.
 *
 * Owns: installing it into whatever is opened, and going on from its position and time. Called by the processes that are compared.
 */
import type { LowLevelMachine, MachineInstance, Position } from "../../api/low-level.js";
import type { LogIndex } from "../../model/ids.js";
import { firstTime } from "../../sim/machine-copy.js";
import { bytesOf } from "../forensics/finding-json.js";
import { machineOfVersion } from "../machine-module.js";

/** Of a checkpoint. */
export interface StartState extends Position {
  /** Of the machine that executed. */
  readonly version: number;
  /** Base64. */
  readonly chunks: readonly string[];
}

/** @throws Error if the module lacks that version. */
export function startingWith(machine: LowLevelMachine, { version, chunks, index, time }: StartState): LowLevelMachine {
  const started = machineOfVersion(machine, version);
  const bytes = chunks.map(bytesOf);
  const later = <Given extends Position>(at: Given): Given => ({
    ...at,
    index: (index + at.index) as LogIndex,
    time: time + at.time - firstTime,
  });
  return {
    ...started,
    open: (environment) => {
      const instance = started.open(environment);
      instance.install(bytes);
      const own: Pick<MachineInstance, "apply" | "query"> = {
        apply: instance.apply.bind(instance),
        query: instance.query.bind(instance),
      };
      // The same object: what it is decides how it is taken apart.
      return Object.assign(instance, {
        apply: (batch) => own.apply(later(batch)),
        query: (name, input, at) => own.query(name, input, later(at)),
      } satisfies typeof own);
    },
  };
}
