/**
 * What PBFT has decided, as entries: in memory from one window below the stable checkpoint on.
 *
 * Owns: what is the same on every replica in place of what is not: an entry's term is 0, since views differ in which it was decided, and its
 * agreed time is the latest that a proposal up to it names. Leaves to others: deciding (`consensus/bft/`), handing over (`delivery.ts`). Called
 * by `bft-driver.ts`.
 */
import { invariant } from "../base/invariant.js";
import type { Batch, RequestName } from "../consensus/bft/messages.js";
import { batchAt, floorOf, type BftState } from "../consensus/bft/state.js";
import { entryBytes, type Entry } from "../model/entry.js";
import { after, before, maxIndex, noIndex, noTerm, type AgreedTime, type LogIndex } from "../model/ids.js";
import { plainBatch } from "../wire/signed-batch.js";
import { decodeReports, plainReports } from "../wire/signed-report.js";
import type { Decided } from "./delivery.js";

const noPayload = new Uint8Array(0);

export interface BftDecidedParts {
  readonly state: BftState;
  /** The checkpoint that the host has loaded. */
  readonly loaded: { readonly index: LogIndex; readonly time: AgreedTime } | undefined;
}

export class BftDecided implements Decided {
  readonly #parts: BftDecidedParts;
  readonly commitIndex: LogIndex;
  /** What was executed before is in the host's state: nothing of it was decided here. */
  #executed: LogIndex;
  /** Up to here each entry has its agreed time. */
  #timedUpTo: LogIndex;
  readonly #times = new Map<LogIndex, AgreedTime>();

  constructor(parts: BftDecidedParts) {
    this.#parts = parts;
    const { index, time } = parts.loaded ?? { index: noIndex, time: 0 };
    this.commitIndex = index;
    this.#executed = index;
    this.#timedUpTo = index;
    this.#times.set(index, time);
  }

  get start(): LogIndex {
    return maxIndex(floorOf(this.#parts.state), this.#executed);
  }

  reach(commitIndex: LogIndex): LogIndex {
    return commitIndex;
  }

  entriesFrom(from: LogIndex, bytesMax: number): readonly Entry[] {
    const { state } = this.#parts;
    const entries: Entry[] = [];
    let bytes = 0;
    for (let index = from; index <= state.committed; index = after(index)) {
      const batch = batchAt(state, index);
      const time = this.#times.get(index);
      invariant(batch !== undefined && time !== undefined, "what is decided and not long stable is in memory");
      const entry = { index, term: noTerm, time, ...this.#content(index, batch) };
      bytes += entryBytes(entry);
      if (entries.length > 0 && bytes > bytesMax) break;
      entries.push(entry);
    }
    return entries;
  }

  read(from: LogIndex): void {
    invariant(false, `entry ${from} is in memory, or in a checkpoint`);
  }

  has({ id }: RequestName): boolean {
    const { state } = this.#parts;
    for (let index = after(this.start); index <= state.committed; index = after(index)) {
      if (batchAt(state, index)?.requests.some((request) => request.id === id) === true) return true;
    }
    return false;
  }

  /** The core has decided up to `upTo`. `each` is told what. */
  commit(upTo: LogIndex, each: (index: LogIndex, batch: Batch) => void): void {
    for (let index = after(this.#timedUpTo); index <= upTo; index = after(index)) {
      const batch = batchAt(this.#parts.state, index);
      const earlier = this.#times.get(before(index));
      invariant(batch !== undefined && earlier !== undefined, "what was just decided is in memory");
      this.#times.set(index, Math.max(earlier, batch.proposal.time));
      this.#timedUpTo = index;
      each(index, batch);
    }
  }

  /** A checkpoint that is ahead of what was decided here has taken the place of all before it. */
  installed(index: LogIndex, time: AgreedTime): void {
    this.#executed = index;
    this.#timedUpTo = index;
    this.#times.clear();
    this.#times.set(index, time);
  }

  /** The stable checkpoint has moved. */
  forget(): void {
    const { start } = this;
    for (const index of this.#times.keys()) if (index < start) this.#times.delete(index);
  }

  /** A change of members is one only where it counts, and the last entry of an epoch asks for the checkpoint with which the next begins. */
  #content(index: LogIndex, batch: Batch): Pick<Entry, "kind" | "payload"> {
    const { kind } = batch.proposal;
    const turning = this.#parts.state.slots.get(index)?.turning;
    if (turning === "last") return { kind: "checkpoint", payload: noPayload };
    if (kind !== "configuration") return { kind, payload: this.#plain(batch) };
    const members = turning === "change" ? batch.reconfiguration?.successor.payload : undefined;
    return members === undefined ? { kind: "noop", payload: noPayload } : { kind, payload: members };
  }

  /** What the executor is given: who has signed, and no signatures. */
  #plain({ proposal: { kind, payload } }: Batch): Uint8Array {
    if (kind === "report") return plainReports(decodeReports(payload) ?? []);
    return kind === "batch" ? plainBatch(payload) : payload;
  }
}
