/**
 * What replicas say to one another under Byzantine faults: the words of PBFT (Castro and Liskov, OSDI 99; TOCS 2002).
 *
 * Owns: statements (what is signed), certificates (a quorum's worth of them) and messages (what travels). Leaves to others: signing
 * and verifying, at the edge: a core only sees messages of which every signature, digest and client's signature was found good.
 * A signature covers, beside its statement, the cluster and the epoch of the members (hazards B6 and B23). All that a core sees is of its
 * own epoch.
 */
import type { Proposal } from "../../model/entry.js";
import type { LogIndex, ReplicaId, View } from "../../model/ids.js";

/** Collision-resistant, of a batch's proposal or a checkpoint's state; equal text for equal content. */
export type Digest = string;

/** Of the null request, which fills a gap and does nothing (section 4.4). */
export const nullDigest: Digest = "";

/** A client's request as the core knows it. `id` is the digest of what the client signed. */
export interface RequestName {
  readonly client: string;
  readonly id: Digest;
}

/** A member of an epoch. Another key is another identity; opaque here. */
export interface MemberIdentity {
  readonly id: ReplicaId;
  readonly key: string;
}

/** The members of the next epoch. `payload` says all of it: who they are, where, with which keys. */
export interface Successor {
  readonly members: readonly MemberIdentity[];
  readonly payload: Uint8Array;
}

/** Asks for other members after `epoch`. It counts if it is the first that is decided in that epoch, and may be (`epoch.ts`). */
export interface Reconfiguration {
  readonly epoch: number;
  readonly successor: Successor;
}

/** How an epoch ends: what was decided at this index says who comes then. When follows from it (`lastIndexOf`). */
export interface Ending {
  readonly at: LogIndex;
  readonly successor: Successor;
}

/** What one index holds. */
export interface Batch {
  readonly digest: Digest;
  /** Opaque here; it holds the requests with their signatures, so each is provable alone. */
  readonly proposal: Proposal;
  readonly requests: readonly RequestName[];
  /** What the proposal asks for, if it is one of these. The edge has verified who may ask for it. */
  readonly reconfiguration?: Reconfiguration | undefined;
}

export const nullBatch: Batch = {
  digest: nullDigest,
  proposal: { kind: "noop", time: 0, payload: new Uint8Array(0) },
  requests: [],
};

/** What a view orders at an index. */
export interface Ordered {
  readonly view: View;
  readonly index: LogIndex;
  readonly digest: Digest;
}

/** A primary's own PREPARE stands for its PRE-PREPARE: so one kind of statement proves what was prepared. */
export interface Prepare extends Ordered {
  readonly kind: "Prepare";
}

export interface Commit extends Ordered {
  readonly kind: "Commit";
}

/** The state after `index` has this digest, and what was decided up to it ends the epoch so, if anything does. */
export interface Checkpoint {
  readonly kind: "Checkpoint";
  readonly index: LogIndex;
  readonly digest: Digest;
  readonly ending?: Ending | undefined;
}

/** The sender has left every view before `view`. `prepared` is the paper's P: at most one for each index above `stable`. */
export interface ViewChange {
  readonly kind: "ViewChange";
  readonly view: View;
  readonly stable: CheckpointCertificate;
  readonly prepared: readonly PreparedCertificate[];
}

/** The view's beginning: the paper's V, and its O as what follows from V; every backup computes it again (section 4.4). */
export interface NewView {
  readonly kind: "NewView";
  readonly view: View;
  readonly viewChanges: readonly Signed<ViewChange>[];
  readonly proposals: readonly { readonly index: LogIndex; readonly digest: Digest }[];
}

export type Statement = Prepare | Commit | Checkpoint | ViewChange | NewView;

export interface Signed<Kind extends Statement = Statement> {
  readonly statement: Kind;
  readonly by: ReplicaId;
  readonly signature: Uint8Array;
}

/** Equal statements by a quorum of different replicas: nothing else can be prepared at this view and index. */
export interface PreparedCertificate extends Ordered {
  readonly prepares: readonly Signed<Prepare>[];
}

/** Nothing else is ever committed at this index, in any view. */
export interface CommittedCertificate extends Ordered {
  readonly commits: readonly Signed<Commit>[];
}

/** That at which an epoch begins needs no statements: who knows the epoch knows it. In the first one it is index 0. */
export interface CheckpointCertificate {
  readonly index: LogIndex;
  readonly digest: Digest;
  readonly ending?: Ending | undefined;
  readonly checkpoints: readonly Signed<Checkpoint>[];
}

export type BftMessage =
  /** By the primary of its view alone. */
  | { readonly kind: "PrePrepare"; readonly prepare: Signed<Prepare>; readonly batch: Batch }
  | { readonly kind: "Said"; readonly signed: Signed }
  | { readonly kind: "Stable"; readonly certificate: CheckpointCertificate }
  | { readonly kind: "Committed"; readonly certificate: CommittedCertificate; readonly batch: Batch }
  /** Where the sender stands, now and then; answered by what it lacks (TOCS section 5.2). Trusted in nothing. */
  | {
      readonly kind: "Status";
      readonly view: View;
      readonly isChanging: boolean;
      readonly stable: LogIndex;
      readonly committed: LogIndex;
    }
  | { readonly kind: "FetchBatch"; readonly digest: Digest }
  | { readonly kind: "FetchedBatch"; readonly batch: Batch };

/** Every statement of which the edge must verify the signature before the core is given the message. */
export function signedIn(message: BftMessage): readonly Signed[] {
  switch (message.kind) {
    case "PrePrepare":
      return [message.prepare];
    case "Said":
      return [message.signed, ...signedWithin(message.signed.statement)];
    case "Stable":
      return message.certificate.checkpoints;
    case "Committed":
      return message.certificate.commits;
    case "Status":
    case "FetchBatch":
    case "FetchedBatch":
      return [];
  }
}

function signedWithin(statement: Statement): readonly Signed[] {
  switch (statement.kind) {
    case "ViewChange":
      return [...statement.stable.checkpoints, ...statement.prepared.flatMap(({ prepares }) => prepares)];
    case "NewView":
      return statement.viewChanges.flatMap((each) => [each, ...signedWithin(each.statement)]);
    case "Prepare":
    case "Commit":
    case "Checkpoint":
      return [];
  }
}

/** The batch of which the edge must verify the digest and the clients' signatures. */
export function batchIn(message: BftMessage): Batch | undefined {
  return "batch" in message ? message.batch : undefined;
}
