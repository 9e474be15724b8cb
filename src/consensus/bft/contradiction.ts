/**
 * What a replica that follows the protocol never says both, whatever the others do and however often it restarts.
 *
 * Owns: the rule by which two statements of one replica are evidence against it. Leaves to others: noticing them (`turn.ts`), and
 * whether it signed them. Called by whoever judges evidence.
 */
import { isSameCheckpoint } from "./certificate.js";
import type { NewView, Statement } from "./messages.js";

/** Nothing here depends on who the others are or what they said, so it can be judged by anybody, later. */
export function contradicts(first: Statement, second: Statement): boolean {
  switch (first.kind) {
    case "Prepare":
    case "Commit":
      return (
        second.kind === first.kind &&
        second.view === first.view &&
        second.index === first.index &&
        second.digest !== first.digest
      );
    case "Checkpoint":
      return second.kind === "Checkpoint" && second.index === first.index && !isSameCheckpoint(first, second);
    case "NewView":
      return second.kind === "NewView" && second.view === first.view && differsIn(first, second);
    // It is said once for a view, but the core takes the first that comes, and accuses nobody.
    case "ViewChange":
      return false;
  }
}

function differsIn({ proposals }: NewView, other: NewView): boolean {
  if (proposals.length !== other.proposals.length) return true;
  return proposals.some(({ index, digest }, at) => {
    const beside = other.proposals[at];
    return beside?.index !== index || beside.digest !== digest;
  });
}
