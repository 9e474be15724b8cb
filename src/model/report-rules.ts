/**
 * What reports are worth: which of what a replica says in them is taken from it, and how many must say the same.
 *
 * Owns: the rules of both fault models. Leaves to others: counting (`execution/`). Given to an executor, the same on every replica.
 */
import { byzantineQuorumOf, quorumOf } from "./membership.js";

export interface ReportRules {
  /**
   * What a replica says of anybody but itself is taken from it: who the members are, with which version a log begins, which checkpoint is
   * certified. Otherwise reports are signed, each counts as said by its signer, and who the members are is known without them.
   */
  readonly believesPeers: boolean;
  /** So many of this many voters skip a step. The rest of them is the most that may be set aside. */
  readonly quorum: (voterCount: number) => number;
}

export const crashRules: ReportRules = { believesPeers: true, quorum: quorumOf };

export const byzantineRules: ReportRules = { believesPeers: false, quorum: byzantineQuorumOf };
