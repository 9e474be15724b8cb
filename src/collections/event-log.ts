/**
 * The newest events of a machine: hidden collections of the state, so that forks, digests, snapshots and roll-back cover them, and every
 * replica serves them from any position that is kept.
 *
 * Owns: their positions, which of them are kept, and reading them in order. Leaves to others: who follows them (`replica/`).
 *
 * Each name is a stream of its own, with limits of its own: a talkative one does not push out the others.
 *
 * Invariant M12: what is kept of a stream is whole: an event is dropped only after all older ones, and up to where is remembered.
 */
import type { MachineLimits } from "../api/config.js";
import type { Collections, StateMap, StateShape, StateSortedMap } from "../api/state.js";
import { invariant } from "../base/invariant.js";
import { requestLimits } from "../model/request-limits.js";
import {
  comparePositions,
  positionBehind,
  type EventPosition,
  type EventsAnswer,
  type EventsQuestion,
  type StoredEvent,
} from "../model/events.js";
import { encodeValue, NotCanonical, quote } from "../wire/canonical.js";

type Key = readonly [index: number, ordinal: number, sequence: number];

type StreamKey = readonly [name: string, ...Key];

/** The events of one name. */
interface Stream {
  readonly emitted: number;
  /** Kept, and what that weighs. */
  readonly count: number;
  readonly bytes: number;
  readonly last: Key;
  /** The newest that is no longer kept. */
  readonly dropped?: Key;
}

const emptyStream: Stream = { emitted: 0, count: 0, bytes: 0, last: [0, -1, -1] };

/** What an event weighs beside its data. */
const overheadBytes = 64;

export class EventLog {
  readonly #limits: MachineLimits;
  readonly #names: readonly string[];
  readonly #kept: StateSortedMap<StreamKey, Uint8Array>;
  readonly #streams: StateMap<string, Stream>;

  constructor({ sortedMap, map }: Collections, names: readonly string[], limits: MachineLimits) {
    this.#limits = limits;
    this.#names = names;
    this.#kept = sortedMap();
    this.#streams = map();
  }

  get collections(): StateShape {
    return { $events: this.#kept, $eventStreams: this.#streams };
  }

  /** In all, since the machine began. */
  get emitted(): number {
    return this.#names.reduce((sum, name) => sum + this.#streamOf(name).emitted, 0);
  }

  emit({ index, ordinal }: { readonly index: number; readonly ordinal: number }, name: string, value: unknown): void {
    if (!this.#names.includes(name)) throw new Error(`Cannot emit ${quote(name)}: the machine declares no such event`);
    const data = encodeData(name, value);
    const { emitted, count, bytes, last, dropped } = this.#streamOf(name);
    const sequence = last[0] === index && last[1] === ordinal ? last[2] + 1 : 0;
    this.#kept.set([name, index, ordinal, sequence], data);
    const grown: Stream = {
      emitted: emitted + 1,
      count: count + 1,
      bytes: bytes + weightOf(data),
      last: [index, ordinal, sequence],
      ...(dropped === undefined ? {} : { dropped }),
    };
    this.#streams.set(name, this.#trimmed(name, grown));
  }

  /** `executed` is the last entry that the state reflects. */
  read({ name, from, countMax }: EventsQuestion, executed: number): EventsAnswer {
    const { dropped, last } = this.#streamOf(name);
    if (from !== undefined && dropped !== undefined && comparePositions(from, positionOf(dropped)) <= 0)
      return { kind: "compacted", resumeAfter: positionOf(dropped) };
    // Whoever follows has mostly read everything.
    if (from !== undefined && comparePositions(positionOf(last), from) < 0)
      return { kind: "page", events: [], next: endOf(from, executed) };
    const events: StoredEvent[] = [];
    let bytes = 0;
    for (const [[, ...key], data] of this.#from(name, from ?? start)) {
      const position = positionOf(key);
      const isFull = events.length >= countMax || bytes + data.length > requestLimits.eventPageBytesMax;
      if (isFull) return { kind: "page", events, next: position };
      events.push({ position, data });
      bytes += data.length;
    }
    return { kind: "page", events, next: endOf(from, executed) };
  }

  /** Drops the oldest until the rest keeps the limits. */
  #trimmed(name: string, stream: Stream): Stream {
    let trimmed = stream;
    while (trimmed.count > this.#limits.eventsMax || trimmed.bytes > this.#limits.eventsBytesMax) {
      const [oldest] = this.#from(name, start);
      invariant(oldest !== undefined, "M12 what is counted is kept");
      const [[, ...dropped], data] = oldest;
      this.#kept.delete([name, ...dropped]);
      trimmed = { ...trimmed, count: trimmed.count - 1, bytes: trimmed.bytes - weightOf(data), dropped };
    }
    return trimmed;
  }

  #streamOf(name: string): Stream {
    return this.#streams.get(name) ?? emptyStream;
  }

  #from(name: string, { index, ordinal, sequence }: EventPosition): Iterable<readonly [StreamKey, Uint8Array]> {
    return this.#kept.range({ from: [name, index, ordinal, sequence], to: [name, Number.MAX_SAFE_INTEGER, 0, 0] });
  }
}

const start: EventPosition = { index: 0, ordinal: -1, sequence: 0 };

function encodeData(name: string, value: unknown): Uint8Array {
  try {
    return encodeValue(value, requestLimits.eventBytesMax);
  } catch (cause) {
    if (!(cause instanceof NotCanonical)) throw cause;
    throw new Error(`Cannot emit ${name}${cause.path === "" ? "" : ` at ${cause.path}`}: ${cause.reason}`);
  }
}

/** Where to go on after everything up to the entry `executed`; a question may be ahead of it. */
function endOf(from: EventPosition | undefined, executed: number): EventPosition {
  const end = positionBehind(executed);
  return from === undefined || comparePositions(from, end) < 0 ? end : from;
}

function weightOf(data: Uint8Array): number {
  return overheadBytes + data.length;
}

function positionOf([index, ordinal, sequence]: Key): EventPosition {
  return { index, ordinal, sequence };
}
