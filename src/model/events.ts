/**
 * Positions of events in the one order, and what a replica answers about the events from a position on.
 *
 * Owns: the shapes, their order and their text. Leaves to others: keeping events (`collections/event-log.ts`), their bytes on the wire
 * (`wire/events-codec.ts`).
 */

/** Where an event stands in the one order: equal on every replica and for ever. */
export interface EventPosition {
  /** Of the entry in the log. */
  readonly index: number;
  /** Of the command in its entry; -1 for what comes before the commands: the timers, then the sweep. */
  readonly ordinal: number;
  /** Among the events of that name and command, or of that name from the timers and the sweep together, from 0. */
  readonly sequence: number;
}

export interface StoredEvent {
  readonly position: EventPosition;
  /** Canonical form. */
  readonly data: Uint8Array;
}

export type EventsAnswer =
  /** Every event from the position asked for up to, but not including, `next`. */
  | { readonly kind: "page"; readonly events: readonly StoredEvent[]; readonly next: EventPosition }
  /** Some of what was asked for is no longer kept; behind this position everything is. */
  | { readonly kind: "compacted"; readonly resumeAfter: EventPosition };

/** Which events are asked for, and how much of them. */
export interface EventsQuestion {
  readonly name: string;
  /** The first position wanted; undefined: the oldest that is kept. */
  readonly from: EventPosition | undefined;
  readonly countMax: number;
}

/** The first position behind an event. */
export function positionAfter({ index, ordinal, sequence }: EventPosition): EventPosition {
  return { index, ordinal, sequence: sequence + 1 };
}

/** The first position behind an entry. */
export function positionBehind(index: number): EventPosition {
  return { index: index + 1, ordinal: -1, sequence: 0 };
}

/** Below 0 if `left` comes first. */
export function comparePositions(left: EventPosition, right: EventPosition): number {
  return left.index - right.index || left.ordinal - right.ordinal || left.sequence - right.sequence;
}

export function isPosition({ index, ordinal, sequence }: EventPosition): boolean {
  const isWhole = [index, ordinal, sequence].every((part) => Number.isSafeInteger(part));
  return isWhole && index >= 0 && ordinal >= -1 && sequence >= 0;
}
