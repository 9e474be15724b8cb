/**
 * Reports of replicas on their way into the order under Byzantine faults: what audits compare, which versions can run, what cannot be finished.
 *
 * Owns: signing this replica's own, and at the primary which wait and how many are ordered: a few of each replica, and one entry for all of
 * them now and then, so that nobody's reports take the place of anybody else's. Leaves to others: saying again what was not ordered (whoever made
 * it), what they mean (`execution/reported.ts`). Called by `bft-driver.ts`. The core is not told of them: a primary that leaves
 * them out is not given up for that.
 */
import { invariant } from "../base/invariant.js";
import { equalBytes } from "../base/bytes.js";
import type { ReplicaId } from "../model/ids.js";
import { decodeSignedReport, encodeReports, reportsMax, type SaidReport } from "../wire/signed-report.js";
import type { ReplicaSeal } from "./replica-seal.js";

export interface BftReportsParts {
  readonly seal: Pick<ReplicaSeal, "sealReport" | "checkReport" | "malformed">;
  /** What an entry may take. */
  readonly payloadBytesMax: number;
  readonly isPrimary: () => boolean;
  readonly toPrimary: (report: Uint8Array) => void;
  /** Asks for a turn: there is something to order. */
  readonly again: () => void;
}

/** Of one replica; more are dropped, and said again by whoever they are of. */
const heldMax = 4;
/** So long the primary gathers them: of all replicas they come at about the same time, and an entry costs as much for one as for all. */
const gatherMs = 200;

export class BftReports {
  readonly #parts: BftReportsParts;
  /** By replica, encoded: of those with something to order, who has waited longest is first. */
  readonly #held = new Map<ReplicaId, Uint8Array[]>();
  /** The first of those that are held. */
  #heldSince: number | undefined;

  constructor(parts: BftReportsParts) {
    this.#parts = parts;
  }

  /** This replica's own. To the primary, and to nobody else: what that leaves out is said again. */
  say(said: SaidReport): void {
    const { seal, isPrimary, toPrimary } = this.#parts;
    const bytes = seal.sealReport(said);
    if (!isPrimary()) return toPrimary(bytes);
    const report = decodeSignedReport(bytes);
    invariant(report !== undefined, "what a replica reports has a form that is known");
    this.#hold(report.by, bytes);
  }

  /** From whom it is: nobody passes on another's, so what a replica reports takes the place of its own alone. */
  hear(from: ReplicaId, bytes: Uint8Array): void {
    const { seal, isPrimary } = this.#parts;
    // Nothing is verified that would not be held.
    if (!isPrimary() || (this.#held.get(from)?.length ?? 0) >= heldMax) return;
    const report = decodeSignedReport(bytes);
    if (report?.by !== from) return seal.malformed(from);
    seal.checkReport(report, from, () => {
      if (isPrimary()) this.#hold(from, bytes);
    });
  }

  /** The payload of an entry, once it is time for one. */
  next(now: number): Uint8Array | undefined {
    if (this.#held.size === 0) return undefined;
    this.#heldSince ??= now;
    if (now - this.#heldSince < gatherMs) return undefined;
    this.#heldSince = undefined;
    const taken: Uint8Array[] = [];
    let room = this.#parts.payloadBytesMax - 16;
    // One of each, then another of each.
    for (let isFull = false; this.#held.size > 0 && !isFull;) {
      for (const [by, [first, ...others]] of [...this.#held]) {
        isFull = first === undefined || first.length > room || taken.length >= reportsMax;
        if (first === undefined || isFull) break;
        taken.push(first);
        room -= first.length;
        this.#held.delete(by);
        if (others.length > 0) this.#held.set(by, others);
      }
    }
    return taken.length > 0 ? encodeReports(taken) : undefined;
  }

  /** It leads no more, or another view: whoever made them says them again. */
  restart(): void {
    this.#held.clear();
    this.#heldSince = undefined;
  }

  #hold(by: ReplicaId, bytes: Uint8Array): void {
    const held = this.#held.get(by) ?? [];
    if (held.length >= heldMax || held.some((other) => equalBytes(other, bytes))) return;
    held.push(bytes);
    this.#held.set(by, held);
    this.#parts.again();
  }
}
