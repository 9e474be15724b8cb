/**
 * What crosses between the ordering engine and the service host: plain messages, in batches, in both directions.
 *
 * Owns: the vocabulary. Nothing else crosses, so the same two halves run on one event loop or with the engine on a worker thread.
 * `forward` carries what one host says to another over the engine's links; the engine does not read it.
 */
import type { RoleView } from "../consensus/vocabulary.js";
import type { Checkpoint } from "../model/checkpoint.js";
import type { Entry, EntryId, EntryKind } from "../model/entry.js";
import type { AgreedTime, LogIndex, ReplicaId } from "../model/ids.js";
import type { Configuration } from "../model/membership.js";
import type { Instruction, InstructionOutcome } from "../model/instruction.js";

export type ToEngine =
  /** Make entries of these, if leading; the engine stamps the agreed time. */
  | {
      readonly kind: "propose";
      readonly entries: readonly { readonly kind: EntryKind; readonly payload: Uint8Array }[];
    }
  | { readonly kind: "readBarrier"; readonly id: number; readonly byLease: boolean }
  /** Executed up to here: the engine may deliver more. */
  | { readonly kind: "appliedUpTo"; readonly index: LogIndex }
  /** A certified checkpoint of this entry is durable: the log up to it may be given back. */
  | { readonly kind: "checkpointed"; readonly last: EntryId }
  /** Answers `install`. */
  | {
      readonly kind: "installed";
      readonly last: EntryId;
      readonly time: AgreedTime;
      /** The members by the executed entries: whatever the log behind them said is gone if the log is. */
      readonly configuration: Configuration;
    }
  | { readonly kind: "instruct"; readonly id: number; readonly instruction: Instruction }
  | { readonly kind: "forward"; readonly to: ReplicaId; readonly payload: Uint8Array }
  | { readonly kind: "forwardInstruction"; readonly to: ReplicaId; readonly payload: Uint8Array };

export type ToHost =
  | { readonly kind: "committed"; readonly entries: readonly Entry[] }
  /** This checkpoint was fetched and is durable: put its state in place of an older one. */
  | { readonly kind: "install"; readonly checkpoint: Checkpoint }
  | {
      readonly kind: "barrierPassed";
      readonly id: number;
      readonly index: LogIndex;
      readonly until?: number | undefined;
    }
  | { readonly kind: "barrierFailed"; readonly id: number }
  | { readonly kind: "roleChanged"; readonly role: RoleView }
  | { readonly kind: "forwarded"; readonly from: ReplicaId; readonly payload: Uint8Array }
  /** The engine has stepped aside for good. */
  | { readonly kind: "broken"; readonly reason: string };

/** For `instructions.ts`, which stands beside the host. */
export type ToInstructions =
  | { readonly kind: "instructed"; readonly id: number; readonly outcome: InstructionOutcome }
  | { readonly kind: "instructionForwarded"; readonly from: ReplicaId; readonly payload: Uint8Array };
