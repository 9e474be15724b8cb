/**
 * How far a client has followed the events of one name.
 *
 * Owns: the position that is asked for next. It never goes back, whichever replica answers, and moves only over what was answered: so nothing is
 * missed and nothing comes twice (hazard C8). Used by `node/`, by the HTTP door and by simulated clients.
 */
import { isPosition, positionAfter, positionBehind, type EventPosition, type EventsAnswer } from "../model/events.js";

export class EventCursor {
  #from: EventPosition | undefined;

  /** Undefined: the oldest that is kept. */
  constructor(from: EventPosition | undefined) {
    this.#from = from;
  }

  get from(): EventPosition | undefined {
    return this.#from;
  }

  accept(answer: EventsAnswer): void {
    this.#from = answer.kind === "page" ? answer.next : positionAfter(answer.resumeAfter);
  }
}

/** Behind an event, or behind an entry; undefined if it is neither. */
export function startBehind(after: EventPosition | number): EventPosition | undefined {
  if (typeof after !== "number") return isPosition(after) ? positionAfter(after) : undefined;
  return Number.isSafeInteger(after) && after >= 0 ? positionBehind(after) : undefined;
}
