/**
 * What crosses between the ordering engine and the service host: plain messages, in batches, in both directions.
 *
 * Owns: the vocabulary. Nothing else crosses, so the same two halves run on one event loop or with the engine on a worker thread.
 * `forward` carries what one host says to another over the engine's links, and what fetches checkpoints from there; the engine does not
 * read it.
 */
import type { RoleView } from "../consensus/vocabulary.js";
import type { Certificate } from "../model/checkpoint.js";
import type { Entry, EntryId, EntryKind } from "../model/entry.js";
import type { AgreedTime, LogIndex, ReplicaId } from "../model/ids.js";
import type { Configuration } from "../model/membership.js";
import type { Resignation, ResignReason } from "../model/resignation.js";
import type { Instruction, InstructionOutcome } from "../model/instruction.js";

/** Who speaks with his like at other replicas, over the engine's links. */
export type Correspondent = "host" | "instruction" | "transfer";

/** Whoever lacks an entry up to `last` may be given a checkpoint of that entry; nothing needs the log up to `unneeded`. */
export interface Certified {
  readonly last: EntryId;
  readonly unneeded: LogIndex;
}

export type ToEngine =
  /** Make entries of these, if leading; the engine stamps the agreed time. */
  | {
      readonly kind: "propose";
      readonly entries: readonly { readonly kind: EntryKind; readonly payload: Uint8Array }[];
    }
  | { readonly kind: "readBarrier"; readonly id: number; readonly byLease: boolean }
  /** Executed up to here: the engine may deliver more. */
  | { readonly kind: "appliedUpTo"; readonly index: LogIndex }
  /** A certified checkpoint is durable. */
  | ({ readonly kind: "checkpointed" } & Certified)
  /** A checkpoint of this entry is durable here, with this root; said again until it is certified. Only where the core certifies them. */
  | { readonly kind: "attested"; readonly last: EntryId; readonly root: Uint8Array }
  /** Requests of this replica's clients are on their way, in what goes by these names. Only where the core compares how long they wait. */
  | { readonly kind: "waiting"; readonly ids: readonly string[] }
  /** What has waited too long for its place in the order, as it travels, and what was told so and does not wait any more. */
  | { readonly kind: "overdue"; readonly requests: readonly Uint8Array[]; readonly ended: readonly Uint8Array[] }
  /** Of this replica, to be signed and brought into the order; made when so much was executed. Only where replicas are not believed. */
  | { readonly kind: "report"; readonly report: Uint8Array; readonly executed: LogIndex }
  /** A fetched checkpoint has taken the place of the host's state. */
  | {
      readonly kind: "installed";
      readonly last: EntryId;
      readonly time: AgreedTime;
      /** The members by the executed entries: whatever the log behind them said is gone if the log is. */
      readonly configuration: Configuration;
    }
  /** Execution stands still, and keeps nothing of what was delivered up to here: it is asked for again by a `rewind`. */
  | { readonly kind: "letGo"; readonly index: LogIndex }
  /** What was executed behind this entry is thrown away, or nothing was: what follows it is delivered again, behind a `rewound`. */
  | { readonly kind: "rewind"; readonly id: number; readonly to: LogIndex }
  /** Whether what is executed here is wrong, so that this replica must not lead. */
  | { readonly kind: "quarantined"; readonly isQuarantined: boolean }
  /** What these execute is wrong, from an entry on that was executed here just now. */
  | { readonly kind: "named"; readonly replicas: readonly ReplicaId[] }
  | { readonly kind: "instruct"; readonly id: number; readonly instruction: Instruction }
  | { readonly kind: "forward"; readonly as: Correspondent; readonly to: ReplicaId; readonly payload: Uint8Array };

/** What keeps the ordering side from its work at present, told whenever it changes. */
export interface EngineHealth {
  /** Why the disk has no space for more log, while that is so. */
  readonly full: string | undefined;
  /** Why this replica should not lead now, if so. */
  readonly stalled: ResignReason | undefined;
  /** When it gave leadership up by itself last, and why. */
  readonly resigned: Resignation | undefined;
  /** How often it did, since process start. */
  readonly resignations: Readonly<Partial<Record<ResignReason, number>>>;
}

export const healthy: EngineHealth = { full: undefined, stalled: undefined, resigned: undefined, resignations: {} };

export type ToHost =
  | { readonly kind: "committed"; readonly entries: readonly Entry[] }
  /** Answers a `rewind`: what was delivered before is of no use, what comes from now on is. */
  | { readonly kind: "rewound"; readonly id: number }
  /**
   * What follows is in no log that can be reached: a checkpoint of this entry or a later one is needed from peers. `root`: what it must be,
   * where no peer is believed.
   */
  | { readonly kind: "fetchCheckpoint"; readonly index: LogIndex; readonly root?: Uint8Array | undefined }
  /** Enough replicas have attested the same checkpoint. Only where the core certifies them. */
  | { readonly kind: "certified"; readonly certificate: Certificate }
  | {
      readonly kind: "barrierPassed";
      readonly id: number;
      readonly index: LogIndex;
      readonly until?: number | undefined;
    }
  | { readonly kind: "barrierFailed"; readonly id: number }
  | { readonly kind: "roleChanged"; readonly role: RoleView }
  | { readonly kind: "forwarded"; readonly as: Correspondent; readonly from: ReplicaId; readonly payload: Uint8Array }
  | { readonly kind: "health"; readonly health: EngineHealth }
  | { readonly kind: "instructed"; readonly id: number; readonly outcome: InstructionOutcome }
  /** The engine has stepped aside for good; `isDisowned`: not only its process, its disk may never be used again. */
  | { readonly kind: "broken"; readonly reason: string; readonly isDisowned: boolean };
