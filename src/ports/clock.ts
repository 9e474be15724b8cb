/**
 * Time and timers. `monotonic` never goes back and is what all time-outs use; `wall` is only ever an offer for agreed time.
 * A timer never fires from within `after`, and not once it is cancelled.
 */
export interface Clock {
  /** Milliseconds from an arbitrary start, with fractions. */
  monotonic(): number;
  /** Milliseconds since 1970, whole; may jump. */
  wall(): number;
  after(delayMs: number, fire: () => void): CancelTimer;
}

export type CancelTimer = () => void;
