/** `tally` on a host that computes wrongly: from when it is spoiled until the machine is opened again, or for good. */
import type { LowLevelMachine, MachineInstance, Outcome } from "../src/api/low-level.js";
import { concatBytes, encodeUtf8 } from "../src/base/bytes.js";
import { tally } from "./tally-machine.js";

export class FaultyTally {
  readonly machine: LowLevelMachine = { ...tally, open: (environment) => this.#wrap(tally.open(environment)) };
  #spoiled: MachineInstance | undefined;
  #opened: MachineInstance | undefined;
  #isHopeless = false;

  /** What is open now answers wrongly from now on. */
  spoil(): void {
    this.#spoiled = this.#opened;
  }

  /** So does whatever is opened later. */
  spoilForGood(): void {
    this.#isHopeless = true;
  }

  #wrap(instance: MachineInstance): MachineInstance {
    this.#opened = instance;
    const isWrong = (): boolean => this.#isHopeless || this.#spoiled === instance;
    return {
      apply: (batch) => instance.apply(batch).map((outcome) => (isWrong() ? wrong(outcome) : outcome)),
      query: (...asked) => (isWrong() ? wrong(instance.query(...asked)) : instance.query(...asked)),
      fork: () => instance.fork(),
      install: (chunks) => instance.install(chunks),
      digest: () => instance.digest(),
      dueAt: () => instance.dueAt(),
    };
  }
}

function wrong(outcome: Outcome): Outcome {
  return outcome.status === "ok" ? { status: "ok", output: concatBytes([outcome.output, encodeUtf8("!")]) } : outcome;
}
