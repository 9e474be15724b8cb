/**
 * A machine's copy that nobody votes with: what it cannot finish is skipped at once, as replicas do that all say the same.
 *
 * Owns: giving a batch again with what is skipped. Called by what executes commands without a group.
 */
import { CannotFinish, type Batch, type HeldStep, type MachineInstance, type Outcome } from "../api/low-level.js";

export function applyAlone(instance: MachineInstance, batch: Batch): readonly Outcome[] {
  const held = new Map<number, HeldStep>();
  for (;;) {
    try {
      return instance.apply({ ...batch, held });
    } catch (cause) {
      if (!(cause instanceof CannotFinish) || held.has(cause.step)) throw cause;
      held.set(cause.step, { reason: cause.reason, isSkipped: true });
    }
  }
}
