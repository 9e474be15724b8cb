/**
 * What others have promised this replica from their disks: a replica that later begins with less runs on an older copy of its disk, or has
 * lost something (hazard M9).
 *
 * Owns: which messages promise what. Leaves to others: comparing it with what a replica says it found at its start (`transport/gate.ts`).
 * Called by `step.ts`. Kept in memory, for one data directory of each peer.
 */
import { noIndex, type ReplicaId } from "../../model/ids.js";
import type { Promised } from "../../model/log.js";
import type { RaftMessage } from "./messages.js";

/** Only what travels with the write that makes it true, or says what is on disk: then the term is on disk too. */
export function notePromise(promises: Map<ReplicaId, Promised>, from: ReplicaId, message: RaftMessage): void {
  const index = promisedIn(message);
  const known = promises.get(from);
  if (index === undefined || (known !== undefined && message.term < known.term)) return;
  if (known?.term === message.term && index <= known.index) return;
  promises.set(from, { term: message.term, index });
}

function promisedIn(message: RaftMessage): Promised["index"] | undefined {
  switch (message.kind) {
    case "RequestVote":
    case "AppendEntries":
      return noIndex;
    case "RequestVoteReply":
      return message.granted ? noIndex : undefined;
    case "AppendEntriesReply":
      return message.outcome.kind === "accepted" ? message.outcome.match : undefined;
    default:
      return undefined;
  }
}
