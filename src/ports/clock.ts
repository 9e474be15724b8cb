/**
 * Time and turns. `monotonic` never goes back and is what all time-outs use; `wall` is only ever an offer for agreed time.
 * Nothing given to `after` or `atTurnEnd` runs from within the call.
 */
export interface Clock {
  /** Milliseconds from an arbitrary start, with fractions. */
  monotonic(): number;
  /** Milliseconds since 1970, whole; may jump. */
  wall(): number;
  /** Fires once, not before `delayMs`, and not after it is cancelled. */
  after(delayMs: number, fire: () => void): CancelTimer;
  /**
   * Runs once what has arrived in this turn of the event loop is handled: here gathered messages leave together. What asks for
   * the turn's end while it is being run still belongs to this turn.
   */
  atTurnEnd(run: () => void): void;
  /** Runs in a later turn, after whatever has arrived by then: for work that is cut into slices. */
  nextTurn(run: () => void): void;
}

export type CancelTimer = () => void;
