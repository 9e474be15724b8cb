/**
 * Holds what followers were told of events against the events that the decided order gives.
 *
 * Owns: rules V21 and, for the standard machine, V22. The order, executed once more by itself and with room for everything, says which events
 * there are; pages are looked at as they come, and compared with it at the end. Called by simulated followers, and at the end of a run.
 */
import type { Executor } from "../../execution/executor.js";
import type { LogIndex } from "../../model/ids.js";
import {
  comparePositions,
  positionAfter,
  positionBehind,
  type EventPosition,
  type EventsAnswer,
  type StoredEvent,
} from "../../model/events.js";
import { requestLimits } from "../../model/request-limits.js";
import { equalPlain } from "./equal.js";
import type { MemoryJudge } from "./memory-judge.js";
import { must } from "./violation.js";

/** One answer that a follower was given. */
interface Told {
  readonly who: string;
  readonly name: string;
  /** Undefined: the oldest that is kept. */
  readonly from: EventPosition | undefined;
  readonly answer: EventsAnswer;
}

export class EventJudge {
  readonly #told: Told[] = [];
  /** Where each follower must go on. */
  readonly #next = new Map<string, EventPosition>();
  /** By name, in order. */
  readonly #events = new Map<string, StoredEvent[]>();

  readonly #memory: Pick<MemoryJudge, "flips"> | undefined;

  constructor(names: readonly string[], memory?: Pick<MemoryJudge, "flips">) {
    this.#memory = memory;
    for (const name of names) this.#events.set(name, []);
  }

  get told(): number {
    return this.#told.length;
  }

  eventsOf(name: string): readonly StoredEvent[] {
    return this.#events.get(name) ?? [];
  }

  /** He begins anew, from where he likes. */
  begin(who: string): void {
    this.#next.delete(who);
  }

  /** As it comes: a page is in order, behind what was asked for, and its end is behind it. */
  onTold(told: Told): void {
    // A replica with wrong memory may have told anything, and what follows goes on from there.
    if (this.#memory !== undefined && this.#memory.flips.length > 0) return;
    const { who, name, from, answer } = told;
    this.#told.push(told);
    const expected = this.#next.get(who);
    must(expected === undefined || equalPlain(from, expected), "V21", () => {
      return `${who} has followed ${name} up to ${textOf(expected)}, and asks for it from ${textOf(from)} on`;
    });
    this.#next.set(who, answer.kind === "page" ? answer.next : positionAfter(answer.resumeAfter));
    if (answer.kind === "compacted") return;
    let last = from;
    for (const { position } of answer.events) {
      must(last === undefined || comparePositions(last, position) <= 0, "V21", () => {
        return `${who} asked for ${name} from ${textOf(from)} on, and is told of ${textOf(position)} behind ${textOf(last)}`;
      });
      last = positionAfter(position);
    }
    must(last === undefined || comparePositions(last, answer.next) <= 0, "V21", () => {
      return `${who} has followed ${name} up to ${textOf(last)}, and is sent back to ${textOf(answer.next)}`;
    });
  }

  /** At the end, for each entry of the order: its events, by an executor that has just executed it. */
  collect(executor: Executor, index: LogIndex): void {
    for (const [name, events] of this.#events) {
      // Only another version emits it.
      if (executor.versions.machine.eventNames?.includes(name) !== true) continue;
      const from = positionBehind(index - 1);
      const answer = executor.events({ name, from, countMax: requestLimits.eventPageCountMax });
      must(answer?.kind === "page", "V16", () => `the events of entry ${index} were not collected`);
      if (answer?.kind === "page") events.push(...answer.events);
    }
  }

  /** At the end, once all are collected. */
  checkTold(): void {
    for (const told of this.#told) {
      const { answer, name, who, from } = told;
      const events = this.eventsOf(name);
      if (answer.kind === "compacted") {
        const isOne = events.some(({ position }) => comparePositions(position, answer.resumeAfter) === 0);
        must(isOne && (from === undefined || comparePositions(from, answer.resumeAfter) <= 0), "V21", () => {
          return `${who} asked for ${name} from ${textOf(from)} on, and ${textOf(answer.resumeAfter)} is said to be the last that is not kept`;
        });
        continue;
      }
      // Where the oldest is depends on when it was asked for.
      const start = from ?? answer.events[0]?.position ?? answer.next;
      const expected = events.slice(countBelow(events, start), countBelow(events, answer.next));
      must(equalPlain(expected, answer.events), "V21", () => {
        return `${who} is told that ${name} from ${textOf(start)} up to ${textOf(answer.next)} is ${listOf(answer.events)}, and the order has ${listOf(expected)}`;
      });
    }
  }
}

/** Events before this position. They are in order. */
function countBelow(events: readonly StoredEvent[], position: EventPosition): number {
  let low = 0;
  let high = events.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const event = events[middle];
    if (event !== undefined && comparePositions(event.position, position) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function listOf(events: readonly StoredEvent[]): string {
  return events.length === 0 ? "nothing" : events.map(({ position }) => textOf(position)).join(" ");
}

function textOf(position: EventPosition | undefined): string {
  return position === undefined ? "the oldest" : `${position.index}.${position.ordinal}.${position.sequence}`;
}
