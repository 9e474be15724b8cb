/**
 * A Door without a replica: executes every command at once on one instance of the real machine, one entry each.
 *
 * For tests of what stands before a door (RESP, HTTP). Answers come in a later turn, as from a replica. Agreed time is `nowMs()`.
 */
import { defaultLimits } from "../src/api/config.js";
import type { Door, DoorAnswer, DoorEvents, DoorOutcome } from "../src/api/door.js";
import type { LowLevelMachine, MachineInstance } from "../src/api/low-level.js";
import type { EventsQuestion } from "../src/model/events.js";
import { firstSession, logIndex, noIndex, type LogIndex } from "../src/model/ids.js";
import type { ReadLevel } from "../src/model/request.js";
import { nodeHash } from "../src/node/hash.js";

export interface DoorRequest {
  readonly kind: "command" | "query";
  readonly name: string;
  readonly input: Uint8Array;
  /** Of a query. */
  readonly read?: ReadLevel;
}

export class MachineDoor implements Door {
  readonly instance: MachineInstance;
  /** Everything asked, in order. */
  readonly requests: DoorRequest[] = [];
  nowMs: () => number;
  #index: LogIndex = noIndex;
  #time = 0;
  /** Answers instead of the machine, for tests of what a replica may say. */
  #override: ((request: DoorRequest) => DoorOutcome | undefined) | undefined;
  #held: (() => void)[] | undefined;

  constructor(machine: LowLevelMachine, nowMs: () => number) {
    this.instance = machine.open({ hash: nodeHash, limits: defaultLimits.machine });
    this.nowMs = nowMs;
  }

  answerWith(override: ((request: DoorRequest) => DoorOutcome | undefined) | undefined): void {
    this.#override = override;
  }

  /** From now on answers wait for `release`. Execution does not. */
  hold(): void {
    this.#held = [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const answer of held) answer();
  }

  command(name: string, input: Uint8Array): Promise<DoorOutcome> {
    const request: DoorRequest = { kind: "command", name, input };
    this.requests.push(request);
    return this.#answer(this.#override?.(request) ?? this.#execute(name, input));
  }

  query(name: string, input: Uint8Array, read: ReadLevel): Promise<DoorAnswer> {
    this.requests.push({ kind: "query", name, input, read });
    const at = { index: this.#index, time: this.#time };
    return this.#answer({
      status: "answered",
      outcome: this.instance.query(name, input, at),
      index: this.#index,
      ageMs: 0,
    });
  }

  events(question: EventsQuestion): Promise<DoorEvents> {
    const found = this.instance.events?.(question, { index: this.#index, time: this.#time });
    if (found === undefined) throw new Error("the machine has no events");
    return this.#answer(found);
  }

  /** An entry without commands: only time passes. */
  tick(): void {
    this.instance.apply({ ...this.#next(), commands: [] });
  }

  close(): void {}

  #execute(name: string, input: Uint8Array): DoorOutcome {
    const at = this.#next();
    const [outcome] = this.instance.apply({ ...at, commands: [{ ordinal: 0, session: firstSession, name, input }] });
    if (outcome === undefined) throw new Error("the machine did not answer");
    return { ...outcome, index: at.index, expiresAt: undefined };
  }

  #next(): { readonly index: LogIndex; readonly time: number } {
    this.#index = logIndex(this.#index + 1) ?? noIndex;
    this.#time = Math.max(this.#time, this.nowMs());
    return { index: this.#index, time: this.#time };
  }

  #answer<T>(answer: T): Promise<T> {
    return new Promise((resolve) => {
      const settle = (): void => resolve(answer);
      if (this.#held === undefined) setImmediate(settle);
      else this.#held.push(settle);
    });
  }
}
