/**
 * Tells the others what this replica has at the positions that are compared.
 *
 * Owns: collecting digests of several positions into one report, reporting again what was lost on its way, and asking to be compared: a
 * replica that is named and has nothing to report, or whose scrub has found damage, sends an empty report, behind which there is a position soon. Leaves to others: the
 * positions, the digests and the verdicts (`execution/`). Called by `replica/execution.ts` and `replica/host.ts`. A learner reports too;
 * a replica that is no member yet does not.
 */
import type { Executor } from "../execution/executor.js";
import type { AuditMembers, AuditReport } from "../model/audit.js";
import { noIndex, type LogIndex, type ReplicaId } from "../model/ids.js";
import { encodeAuditReport } from "../wire/audit-codec.js";
import { Scrubber, type ScrubberParts } from "./scrubber.js";

export interface AuditorParts extends ScrubberParts {
  readonly self: ReplicaId;
  readonly incarnation: number;
  readonly executor: Executor;
}

interface Position {
  readonly digest: AuditReport["positions"][number];
  readonly members: AuditMembers;
  reportedAt: number;
}

/** Positions of so long go into one report. */
const reportMs = 100;
/** A report that is not executed by then was lost on its way. */
const reportAgainMs = 1_000;
/** States are kept so long after replicas were found to differ. */
const statesMs = 30 * 60_000;
/** In one report; more wait for the next. */
const positionsMax = 256;

export class Auditor {
  readonly scrubber: Scrubber;
  readonly #parts: AuditorParts;
  readonly #order: (report: Uint8Array) => void;
  /** Executed here and not seen in the order, by index. */
  readonly #positions = new Map<LogIndex, Position>();
  #reportAt = -Infinity;
  #found = { position: noIndex, at: 0 };

  /** `order` gets a report into the order: proposes it, or sends it to the leader. */
  constructor(parts: AuditorParts, order: (report: Uint8Array) => void) {
    this.#parts = parts;
    this.#order = order;
    this.scrubber = new Scrubber(parts);
  }

  /** The entry of this index was just executed. */
  look(index: LogIndex): void {
    const { executor, self, clock } = this.#parts;
    const { due } = executor.audits;
    if (due === undefined || !due.members.executing.includes(self)) return;
    const { output, state, members } = due;
    if (this.#positions.size === 0) this.#reportAt = clock.monotonic() + reportMs;
    this.#positions.set(index, { digest: { index, output, state }, members, reportedAt: -Infinity });
  }

  /** What was executed is thrown away, and executed again. */
  restart(): void {
    this.#positions.clear();
  }

  tick(): void {
    this.#forgetStates();
    const now = this.#parts.clock.monotonic();
    this.scrubber.tick();
    if (now < this.#reportAt) return;
    if (this.#positions.size === 0) return this.#askToBeCompared(now);
    this.#reportAt = now + reportMs;
    this.#report(now);
  }

  #report(now: number): void {
    const { executor, self, incarnation } = this.#parts;
    // What was settled without this replica is settled; after a start most of it is.
    for (const index of this.#positions.keys()) {
      if (executor.audits.table.isReported(index, self) !== false) this.#positions.delete(index);
    }
    const waiting = [...this.#positions.values()].filter(({ reportedAt }) => now - reportedAt >= reportAgainMs);
    const members = waiting[0]?.members;
    if (members === undefined) return;
    const together = waiting.filter((position) => position.members === members).slice(0, positionsMax);
    for (const position of together) position.reportedAt = now;
    this.#order(
      encodeAuditReport({ replica: self, incarnation, members, positions: together.map(({ digest }) => digest) }),
    );
  }

  #askToBeCompared(now: number): void {
    const { executor, self, incarnation } = this.#parts;
    const { audits, configuration } = executor;
    if (!audits.wantsPosition && !audits.table.isNamed(self, incarnation)) return;
    this.#reportAt = now + reportAgainMs;
    const members = audits.membersOf(configuration);
    this.#order(encodeAuditReport({ replica: self, incarnation, members, positions: [] }));
  }

  /** What was kept of a difference holds on to memory: whoever wants to look has half an hour. */
  #forgetStates(): void {
    const { executor, clock } = this.#parts;
    const { trail } = executor.audits;
    const position = trail.finding?.position ?? noIndex;
    if (position === noIndex) return;
    if (position !== this.#found.position) this.#found = { position, at: clock.monotonic() };
    else if (clock.monotonic() - this.#found.at >= statesMs) trail.releaseStates();
  }
}
