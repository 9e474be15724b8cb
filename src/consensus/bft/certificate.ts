/**
 * What proves something to others: a quorum of different replicas that signed equal statements.
 *
 * Owns: counting senders of equal statements (hazards B2 and B8), and whether a certificate that someone shows is one (B5, B6, B9).
 * Leaves to others: the signatures, which were verified before. Called by all of `bft/`.
 */
import { equalBytes } from "../../base/bytes.js";
import type { ReplicaId } from "../../model/ids.js";
import type {
  Checkpoint,
  CheckpointCertificate,
  Commit,
  CommittedCertificate,
  Ending,
  Ordered,
  Prepare,
  PreparedCertificate,
  Signed,
  Statement,
  ViewChange,
} from "./messages.js";
import type { BftState } from "./state.js";

export function isEqualOrder(one: Ordered, other: Ordered): boolean {
  return one.view === other.view && one.index === other.index && one.digest === other.digest;
}

/** The votes for exactly `ordered` if they are a quorum's. */
export function quorumFor<Vote extends Prepare | Commit>(
  { quorum }: BftState,
  votes: ReadonlyMap<ReplicaId, Signed<Vote>>,
  ordered: Ordered,
): readonly Signed<Vote>[] | undefined {
  const equal: Signed<Vote>[] = [];
  for (const vote of votes.values()) if (isEqualOrder(vote.statement, ordered)) equal.push(vote);
  return equal.length < quorum ? undefined : equal.slice(0, quorum);
}

/** Exactly a quorum, so that nobody pays for more. */
function isQuorum({ replicas, quorum }: BftState, statements: readonly Signed[]): boolean {
  if (statements.length !== quorum) return false;
  const signers = new Set(statements.map(({ by }) => by));
  return signers.size === quorum && statements.every(({ by }) => replicas.includes(by));
}

function isPreparedCertificate(state: BftState, certificate: PreparedCertificate): boolean {
  const { prepares } = certificate;
  return isQuorum(state, prepares) && prepares.every(({ statement }) => isVote(statement, "Prepare", certificate));
}

export function isCommittedCertificate(state: BftState, certificate: CommittedCertificate): boolean {
  const { commits } = certificate;
  return isQuorum(state, commits) && commits.every(({ statement }) => isVote(statement, "Commit", certificate));
}

function isVote(statement: Statement, kind: "Prepare" | "Commit", ordered: Ordered): boolean {
  return statement.kind === kind && isEqualOrder(statement, ordered);
}

export function isCheckpointCertificate(state: BftState, certificate: CheckpointCertificate): boolean {
  const { index, digest, ending, checkpoints } = certificate;
  const { base } = state;
  if (index <= base.index)
    return index === base.index && digest === base.digest && ending === undefined && checkpoints.length === 0;
  return (
    isQuorum(state, checkpoints) &&
    checkpoints.every(({ statement }) => statement.kind === "Checkpoint" && isSameCheckpoint(statement, certificate))
  );
}

type CheckpointFacts = Pick<Checkpoint, "index" | "digest" | "ending">;

export function isSameCheckpoint(one: CheckpointFacts, other: CheckpointFacts): boolean {
  return one.index === other.index && one.digest === other.digest && isSameEnding(one.ending, other.ending);
}

function isSameEnding(one: Ending | undefined, other: Ending | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return one.at === other.at && equalBytes(one.successor.payload, other.successor.payload);
}

/** What it claims is proved in every part; a claim with one bad part counts for nothing (hazard B5). */
export function isViewChange(state: BftState, { view, stable, prepared }: ViewChange): boolean {
  const { windowCount } = state.settings;
  if (prepared.length > windowCount || !isCheckpointCertificate(state, stable)) return false;
  let last: number = stable.index;
  for (const certificate of prepared) {
    const { index } = certificate;
    if (index <= last || index > stable.index + windowCount || certificate.view >= view) return false;
    if (!isPreparedCertificate(state, certificate)) return false;
    last = index;
  }
  return true;
}

export function isViewChangeQuorum(state: BftState, viewChanges: readonly Signed<ViewChange>[]): boolean {
  return isQuorum(state, viewChanges);
}
