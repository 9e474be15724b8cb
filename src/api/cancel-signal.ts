/**
 * Cancelling, without a platform type: every `AbortSignal` is a `CancelSignal`.
 *
 * Owns: the shape.
 */

export interface CancelSignal {
  readonly aborted: boolean;
  readonly reason?: unknown;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}
