/**
 * Commands that simulated replicas cannot finish: on some hosts the machine gives up at one step, whenever it is tried there.
 *
 * Owns: which step, on which hosts. It is the first step of the first entry with commands that is executed behind the place where it was asked
 * for, so it is the same for all. Leaves to others: when (`nemesis.ts`), and what must come of it (the product, and the usual rules).
 */
import { CannotFinish, type Batch, type LowLevelMachine } from "../api/low-level.js";
import type { LogIndex } from "../model/ids.js";
import type { UnfinishedReason } from "../model/skip.js";

interface Step {
  /** At this entry or a later one. */
  readonly from: number;
  readonly hosts: ReadonlySet<string>;
  readonly reason: UnfinishedReason;
  /** Once somebody has come to it. */
  index: LogIndex | undefined;
}

export class UnfinishedSteps {
  /** Always the same: of others a majority might be left that can do everything, and for no step f + 1 who can do that. */
  readonly few: readonly string[];
  readonly #steps: Step[] = [];

  constructor(few: readonly string[]) {
    this.few = few;
  }

  /** Behind all that anybody has executed. */
  add(from: number, hosts: readonly string[], reason: UnfinishedReason): void {
    this.#steps.push({ from, hosts: new Set(hosts), reason, index: undefined });
  }

  /** Where the next one would begin is known: one at a time. */
  get isAwaited(): boolean {
    return this.#steps.some(({ index }) => index === undefined);
  }

  /** The first step of this entry can be finished nowhere. */
  isFirstSkipped(at: LogIndex): boolean {
    return this.#steps.some(({ index, hosts }) => index === at && hosts.size > this.few.length);
  }

  on(host: string, machine: LowLevelMachine): LowLevelMachine {
    return {
      ...machine,
      admit: (name, input) => machine.admit(name, input),
      open: (environment) => {
        const instance = machine.open(environment);
        const apply = instance.apply.bind(instance);
        return Object.assign(instance, {
          apply: (batch: Batch) => {
            this.#meet(host, batch);
            return apply(batch);
          },
        });
      },
    };
  }

  #meet(host: string, { index, commands, held }: Batch): void {
    if (commands.length === 0) return;
    for (const step of this.#steps) if (index >= step.from) step.index ??= index;
    const met = this.#steps.find((step) => step.index === index && step.hosts.has(host));
    if (met !== undefined && held?.get(0)?.isSkipped !== true) throw new CannotFinish(0, met.reason);
  }
}
