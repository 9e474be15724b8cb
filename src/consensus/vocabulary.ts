/**
 * The words that every ordering core shares: what it is told (inputs) and what it asks of the world (effects).
 *
 * Owns: the contract between a core and the engine that runs it. Effects are performed in the order returned. A core does
 * not read a clock, draw entropy, await, or touch a socket; completions are inputs. Invariant C1: a message that promises
 * something (a vote, an acknowledgement) travels inside the `persist` effect that makes it true.
 */
import type { Entry, EntryId, Proposal } from "../model/entry.js";
import type { AgreedTime, LogIndex, ReplicaId, Term, View } from "../model/ids.js";
import type { Instruction, InstructionOutcome } from "../model/instruction.js";
import type { Configuration, Membership } from "../model/membership.js";
import type { LogSpace, LogWrite } from "../model/log.js";
import type { Resignation } from "../model/resignation.js";

export interface Envelope<Message> {
  readonly to: ReplicaId;
  readonly message: Message;
}

/** What every core is told. */
export type CoreInput<Message> =
  { readonly kind: "tick" } | { readonly kind: "receive"; readonly from: ReplicaId; readonly message: Message };

/** What every core asks of the world. `Promised` is what may leave once a write is durable. */
export type CoreEffect<Message, Write, Promised> =
  /** May leave at once: it promises nothing that a crash could make us forget. */
  | { readonly kind: "send"; readonly to: ReplicaId; readonly message: Message }
  /** Write, flush, and only then let the promises in `then` leave; then report `persisted`, where the core asks for that. */
  | { readonly kind: "persist"; readonly write: Write; readonly then: readonly Promised[] }
  /** Entries up to and including this index are decided: hand them to the executor. */
  | { readonly kind: "commit"; readonly upTo: LogIndex };

/** With what Raft is told besides. */
export type Input<Message> =
  | CoreInput<Message>
  /** The link to a peer opened or broke. `incarnation`: of the data directory that speaks there, if it is told. */
  | { readonly kind: "connected"; readonly peer: ReplicaId; readonly incarnation?: number }
  | { readonly kind: "disconnected"; readonly peer: ReplicaId }
  /** A part of a message of this peer came: it lives, and may need longer for the rest than anybody waits for a message. */
  | { readonly kind: "arriving"; readonly peer: ReplicaId }
  /** New entries; ignored unless leading. */
  | { readonly kind: "propose"; readonly proposals: readonly Proposal[] }
  /** The write with this id, and all before it, are durable. */
  | { readonly kind: "persisted"; readonly id: number }
  /** Answers a `load` effect: entries from `from` on, at least one. */
  | { readonly kind: "loaded"; readonly peer: ReplicaId; readonly from: LogIndex; readonly entries: readonly Entry[] }
  /** Asks for an index such that a state executed up to it reflects everything acknowledged before now. `byLease`: a lease is proof enough. */
  | { readonly kind: "barrier"; readonly id: number; readonly byLease?: boolean | undefined }
  /** A certified checkpoint of this entry is durable here: the log up to it is no longer needed, and others may have the checkpoint. */
  | { readonly kind: "checkpointed"; readonly checkpoint: EntryId }
  /** The state of this checkpoint was installed, durably: everything up to it is executed. `time`: agreed, of that entry. */
  | {
      readonly kind: "installed";
      readonly checkpoint: EntryId;
      readonly time: AgreedTime;
      /** The newest at or before the checkpoint, as it says; without it the members stay who they are. */
      readonly configuration?: Configuration | undefined;
    }
  /** For more log, from now on. */
  | { readonly kind: "space"; readonly space: LogSpace }
  /**
   * What was handed over with `commit` has not been executed for too long, or is executed again. `isQuarantined`: what was executed is wrong:
   * this replica orders like any other, but does not lead.
   */
  | { readonly kind: "execution"; readonly isStalled: boolean; readonly isQuarantined?: boolean }
  /** An operator's; answered by exactly one `instructed`, at its end. */
  | { readonly kind: "instruct"; readonly id: number; readonly instruction: Instruction }
  /** Every damaged entry is repaired or cut off, durably: the log is whole again. `newest` is the highest that was repaired. */
  | {
      readonly kind: "repaired";
      readonly newest?: Entry | undefined;
      /** Those of them that say who the members are. */
      readonly configurations?: readonly Entry[] | undefined;
    };

/** With what Raft asks besides. */
export type Effect<Message> =
  | CoreEffect<Message, LogWrite, Envelope<Message>>
  /** A peer needs entries that are no longer in memory: read them and answer with `loaded`. */
  | { readonly kind: "load"; readonly peer: ReplicaId; readonly from: LogIndex; readonly bytesMax: number }
  /** The leader has given back what this log lacks: fetch the checkpoint of this entry, or a newer one, and answer with `installed`. */
  | { readonly kind: "fetchCheckpoint"; readonly from: ReplicaId; readonly checkpoint: EntryId }
  | { readonly kind: "role"; readonly role: RoleView }
  /** `until`: proved by a lease that ends then, by the monotonic clock; whoever reads looks at the clock again afterwards. */
  | {
      readonly kind: "barrierPassed";
      readonly id: number;
      readonly index: LogIndex;
      readonly until?: number | undefined;
    }
  /** Other members from now on: the newest configuration in the log, committed or not. */
  | { readonly kind: "members"; readonly membership: Membership }
  /** Surely no answer will come for this id: ask again with a new one. */
  | { readonly kind: "barrierFailed"; readonly id: number }
  /** It led `term`, and has given that up by itself. */
  | ({ readonly kind: "resigned" } & Resignation)
  | { readonly kind: "instructed"; readonly id: number; readonly outcome: InstructionOutcome };

/** What the service side knows of leadership. */
export interface RoleView {
  readonly role: "leader" | "follower" | "candidate" | "learner";
  /** 0 under PBFT, as that of all its entries. */
  readonly term: Term;
  /** Of PBFT. */
  readonly view?: View | undefined;
  /** Of PBFT: counts the sets of members. */
  readonly epoch?: number | undefined;
  readonly leader: ReplicaId | undefined;
  /**
   * Leading, with the no-op of this term committed at this index: older terms are settled. Undefined until then, and while
   * leadership is being handed over: nothing new is proposed then.
   */
  readonly settledAt: LogIndex | undefined;
  /** Leading, with a full disk here or at so many others that no majority has space: nothing is proposed for clients. */
  readonly isFull?: boolean | undefined;
}
