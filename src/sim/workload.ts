/**
 * What simulated clients ask: given by the user, typed by the machine, or guessed.
 *
 * Owns: the shape of a workload, and the guess for a machine that comes without one. The guess tries inputs on a scratch instance and
 * keeps those that the machine does not fail on, or only because it uses something forbidden: field names come from the machine's own source (`inputFields`), values from a few
 * kinds. It is a beginning, not a substitute: a workload that knows the service finds more. Called by `simulate.ts`.
 */
import type { CommandsIn, QueriesIn, Read } from "../api/client-types.js";
import { defaultLimits } from "../api/config.js";
import type { LowLevelMachine, MachineInstance } from "../api/low-level.js";
import type { InputOf } from "../api/machine.js";
import { firstSession, type LogIndex } from "../model/ids.js";
import { encodeValue } from "../wire/canonical.js";
import { applyAlone } from "./apply-alone.js";
import type { Draw } from "./draw.js";
import { simHash } from "./sim-hash.js";

/** One thing to ask of a machine: a command or a query, with its input. */
export type Ask<M = LowLevelMachine> = CommandAskOf<CommandsIn<M>> | QueryAskOf<QueriesIn<M>>;

type CommandAskOf<Commands> = {
  readonly [Name in keyof Commands]: { readonly command: Name } & Input<InputOf<Commands[Name]>>;
}[keyof Commands];

type QueryAskOf<Queries> = {
  readonly [Name in keyof Queries]: { readonly query: Name; readonly read?: AskedRead } & Input<InputOf<Queries[Name]>>;
}[keyof Queries];

/** As in a client's options. `ownWrites`: at least the newest index that the client was told of. */
export type AskedRead = Read | "ownWrites";

type Input<Value> = [Value] extends [never] ? { readonly input?: undefined } : { readonly input: Value };

/** Drawn anew for each operation; `draw` is a stream of the client's own. It must draw from nothing else. */
export type Workload<M = LowLevelMachine> = (draw: Draw) => Ask<M>;

/** The workload cannot be asked: whoever wrote it must know, and no rule of the product is broken. */
export class WorkloadFailed extends Error {
  override readonly name = "WorkloadFailed";
}

/** The same, its types forgotten. */
export interface PlainAsk {
  readonly kind: "command" | "query";
  readonly name: string;
  readonly value: unknown;
  readonly read?: AskedRead | undefined;
}

export type PlainWorkload = (draw: Draw) => PlainAsk;

interface PlainQuestion {
  readonly command?: string;
  readonly query?: string;
  readonly input?: unknown;
  readonly read?: AskedRead;
}

export function plainWorkload(workload: (draw: Draw) => object): PlainWorkload {
  return (draw) => {
    const { command, query, input, read } = workload(draw) as PlainQuestion;
    if (command !== undefined) return { kind: "command", name: command, value: input };
    if (query !== undefined) return { kind: "query", name: query, value: input, read };
    throw new WorkloadFailed("Cannot ask: a workload answers { command, input } or { query, input }");
  };
}

/** Three commands to one query, as far as there are queries. */
export function guessWorkload(machine: LowLevelMachine): PlainWorkload {
  const scratch = new Scratch(machine);
  const commands = machine.commandNames.map((name) => ({
    name,
    inputs: guessInputs(machine, scratch, name, "command"),
  }));
  const queries = machine.queryNames.map((name) => ({ name, inputs: guessInputs(machine, scratch, name, "query") }));
  return (draw) => {
    const isQuery = commands.length === 0 || (queries.length > 0 && draw.chance(0.25));
    const { name, inputs } = draw.pick(isQuery ? queries : commands);
    return { kind: isQuery ? "query" : "command", name, value: draw.pick(inputs)(draw) };
  };
}

type MakeValue = (draw: Draw) => unknown;

/** Few names, so that operations meet; small numbers, so that sums and orders matter. */
const kinds: readonly { readonly sample: unknown; readonly make: MakeValue }[] = [
  { sample: "a", make: (draw) => draw.pick(["a", "b", "c"]) },
  { sample: 1, make: (draw) => draw.between(1, 5) },
  { sample: 1n, make: (draw) => BigInt(draw.between(1, 5)) },
  { sample: true, make: (draw) => draw.chance(0.5) },
  { sample: ["a"], make: (draw) => [draw.pick(["a", "b", "c"])] },
];

/** Combinations tried for one command at most. */
const triesMax = 1_000;

/** Every guess that the machine executes or rejects; a plain guess if it fails on all. */
function guessInputs(
  machine: LowLevelMachine,
  scratch: Scratch,
  name: string,
  kind: PlainAsk["kind"],
): readonly MakeValue[] {
  const fields = machine.inputFields?.(name) ?? [];
  const accepted: MakeValue[] = [];
  const accepts = (value: unknown): boolean => scratch.accepts(name, kind, value);
  if (fields.length > 0) {
    const count = Math.min(triesMax, kinds.length ** fields.length);
    for (let choice = 0; choice < count; choice += 1) {
      const chosen = fields.map((field, at) => {
        const { sample, make } = kinds[Math.floor(choice / kinds.length ** at) % kinds.length] ?? {
          sample: "a",
          make: () => "a",
        };
        return { field, sample, make };
      });
      if (!accepts(Object.fromEntries(chosen.map(({ field, sample }) => [field, sample])))) continue;
      accepted.push((draw) => Object.fromEntries(chosen.map(({ field, make }) => [field, make(draw)])));
    }
  } else {
    for (const { sample, make } of kinds) if (accepts(sample)) accepted.push(make);
    if (accepts(undefined)) accepted.push(() => undefined);
  }
  return accepted.length > 0 ? accepted : [() => undefined];
}

class Scratch {
  readonly #instance: MachineInstance;
  #forbiddenUses = 0;

  constructor(machine: LowLevelMachine) {
    this.#instance = machine.open({
      hash: simHash,
      limits: defaultLimits.machine,
      forbidden: () => (this.#forbiddenUses += 1),
    });
  }

  /** Twice, on a state that remembers the first: a key of the wrong kind is often taken once. */
  accepts(name: string, kind: PlainAsk["kind"], value: unknown): boolean {
    const input = encodeValue(value);
    const at = { index: 1 as LogIndex, time: 0 };
    const usesBefore = this.#forbiddenUses;
    const commands = [0, 1].map((ordinal) => ({ ordinal, session: firstSession, name, input }));
    const outcomes =
      kind === "query" ? [this.#instance.query(name, input, at)] : applyAlone(this.#instance, { ...at, commands });
    return this.#forbiddenUses > usesBefore || outcomes.every(({ status }) => status !== "failed");
  }
}
