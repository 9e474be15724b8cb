/**
 * The rules of figure 3 of the Raft paper, which need every replica: whoever breaks one ends the test, with the seed.
 *
 * Owns: what has been decided, who has led, what reads were promised. Leaves to others: running replicas (`raft-cluster.ts`).
 */
import { decodeUtf8 } from "../src/base/bytes.js";
import type { Entry } from "../src/model/entry.js";
import type { ReplicaId } from "../src/model/ids.js";

export interface BarrierResult {
  readonly id: number;
  readonly at: ReplicaId;
  /** Highest index that anybody had committed when the question was asked. */
  readonly floor: number;
  outcome: { kind: "passed"; index: number } | { kind: "failed" } | undefined;
}

export class RaftJudge {
  /** What is decided at each index, from 1. */
  readonly decided: Entry[] = [];
  readonly barriers: BarrierResult[] = [];
  readonly #leaders = new Map<number, ReplicaId>();
  readonly #fail: (rule: string) => never;

  constructor(fail: (rule: string) => never) {
    this.#fail = fail;
  }

  /** State machine safety, and durability: what is executed first is on the disks of a majority of each set at that moment. */
  onExecuted(by: ReplicaId, entry: Entry, voterDisks: readonly ReadonlyMap<ReplicaId, readonly Entry[]>[]): void {
    const decided = this.decided[entry.index - 1];
    if (decided !== undefined) {
      if (!isSameEntry(decided, entry))
        this.#fail(`state machine safety: ${by} executes another entry at ${entry.index}`);
      return;
    }
    for (const disks of voterDisks) {
      const holders = [...disks].filter(([, disk]) => isSameEntry(disk[entry.index - 1], entry)).map(([id]) => id);
      if (holders.length * 2 <= disks.size) {
        this.#fail(`durability: ${entry.index} is committed but on the disks of ${holders.join(", ")} only`);
      }
    }
    this.decided.push(entry);
  }

  /** Election safety and leader completeness. */
  onLeader(id: ReplicaId, term: number, log: readonly Entry[]): void {
    const known = this.#leaders.get(term);
    if (known !== undefined && known !== id) this.#fail(`election safety: ${known} and ${id} lead term ${term}`);
    this.#leaders.set(term, id);
    for (const entry of this.decided) {
      if (entry.term < term && !isSameEntry(log[entry.index - 1], entry)) {
        this.#fail(`leader completeness: ${id} leads term ${term} without ${entry.index}`);
      }
    }
  }

  onBarrierAsked(at: ReplicaId): BarrierResult {
    const result = { id: this.barriers.length + 1, at, floor: this.decided.length, outcome: undefined };
    this.barriers.push(result);
    return result;
  }

  /** One answer for each question, and none that misses what was committed before it. */
  onBarrierAnswered(id: number, index: number | undefined): void {
    const result = this.barriers[id - 1];
    if (result === undefined || result.outcome !== undefined) return this.#fail(`barrier ${id} is answered twice`);
    result.outcome = index === undefined ? { kind: "failed" } : { kind: "passed", index };
    if (index !== undefined && index < result.floor) {
      this.#fail(`stale read: barrier ${id} passed at ${index}, but ${result.floor} was committed before`);
    }
  }

  /** Log matching: whoever has the same entry at an index has the same entries before it. */
  checkLogs(logs: ReadonlyMap<ReplicaId, readonly Entry[]>): void {
    for (const [leftId, left] of logs) {
      for (const [rightId, right] of logs) {
        let at = Math.min(left.length, right.length) - 1;
        while (at >= 0 && left[at]?.term !== right[at]?.term) at -= 1;
        for (; at >= 0; at -= 1) {
          if (!isSameEntry(left[at], right[at]))
            this.#fail(`log matching: ${leftId} and ${rightId} differ at ${at + 1}`);
        }
      }
    }
  }
}

export function isSameEntry(left: Entry | undefined, right: Entry | undefined): boolean {
  if (left === undefined || right === undefined) return false;
  if (left.index !== right.index || left.term !== right.term) return false;
  if (left.kind !== right.kind || left.time !== right.time) return false;
  return left.payload === right.payload || decodeUtf8(left.payload) === decodeUtf8(right.payload);
}
