/**
 * What a replica under Byzantine faults sends in place of what is right, by name: for looking at how the others bear it.
 *
 * Owns: a few lies. Its core runs correctly beneath; what it signs, it signs with its own key. Leaves to others: sending. Called by
 * `server/`, where a person asked for it; the tests have many more.
 */
import { nullBatch, type BftMessage, type Prepare, type Signed, type Statement } from "../consensus/bft/messages.js";
import type { ReplicaId } from "../model/ids.js";

export const lies = ["silent", "equivocate", "false-votes", "order-nothing"] as const;
export type Lie = (typeof lies)[number];

/** What is sent to a replica in place of a message. */
export type Outgoing = (to: ReplicaId, message: BftMessage) => readonly BftMessage[];

export interface Liar {
  readonly self: ReplicaId;
  /** All replicas. */
  readonly replicas: readonly ReplicaId[];
  readonly seal: (statement: Statement) => Signed;
}

/** Of a batch that nobody has. */
const noBatch = "f".repeat(64);

export function lyingBy(lie: Lie, { self, replicas, seal }: Liar): Outgoing {
  const prepareNothing = (prepare: Signed<Prepare>): BftMessage => {
    const statement: Prepare = { ...prepare.statement, digest: nullBatch.digest };
    return { kind: "PrePrepare", prepare: { ...seal(statement), statement }, batch: nullBatch };
  };
  const vote = (message: BftMessage, digest: string): BftMessage => {
    if (message.kind !== "Said" || message.signed.by !== self) return message;
    const { statement } = message.signed;
    const isVote = statement.kind === "Prepare" || statement.kind === "Commit";
    return isVote ? { kind: "Said", signed: seal({ ...statement, digest }) } : message;
  };
  const nothing: Outgoing = (_to, message) =>
    message.kind === "PrePrepare" ? [prepareNothing(message.prepare)] : [vote(message, nullBatch.digest)];
  switch (lie) {
    case "silent":
      return () => [];
    case "equivocate":
      // Half of the others are told that nothing is ordered, and it votes for both.
      return (to, message) => (replicas.indexOf(to) % 2 === 0 ? nothing(to, message) : [message]);
    case "false-votes":
      return (_to, message) => [vote(message, noBatch)];
    case "order-nothing":
      return nothing;
  }
}
