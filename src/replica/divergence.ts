/**
 * What follows from comparing the replicas, at each of them: the program is told of what was found, those who are named are told by the
 * others, the engine is told of them, and whoever is named is set aside.
 *
 * Owns: noticing. Leaves to others: the verdicts (`execution/audit-table.ts`), whether this replica is set aside (`quarantine.ts`), what
 * that means for its clients and its state (`host.ts`, `execution.ts`). Called by `host.ts`.
 *
 * Until this process has once executed everything that was decided it is not set aside: what it meets before may be about an earlier one.
 */
import type { Executor } from "../execution/executor.js";
import type { AuditedPosition, NamedReplica } from "../model/audit.js";
import { noIndex, type LogIndex, type ReplicaId } from "../model/ids.js";
import { memberOf } from "../model/membership.js";
import { isSpared, type Accusation, type QuarantineState } from "../model/quarantine.js";
import type { Clock } from "../ports/clock.js";
import { encodeHostMessage } from "../wire/host-codec.js";
import type { ToEngine } from "./channel.js";
import { Quarantine, type QuarantineLimits } from "./quarantine.js";

export interface DivergenceParts {
  readonly self: ReplicaId;
  readonly incarnation: number;
  readonly limits: QuarantineLimits;
  readonly executor: Executor;
  readonly clock: Clock;
  /** Everything that was decided before this process started is executed. */
  readonly isCaughtUp: () => boolean;
  readonly toEngine: (message: ToEngine) => void;
  /** Once for each position at which something differed for the first time. */
  readonly found: (finding: AuditedPosition) => void;
  readonly changed: (state: QuarantineState, before: QuarantineState) => void;
  /** What was executed is to be thrown away, and made again. */
  readonly rebuild: () => void;
}

/** Who is named is told so often. */
const tellEveryMs = 1_000;
/** Positions of which the program was told already: more than an audit table keeps. */
const toldMax = 64;

export class Divergence {
  readonly #parts: DivergenceParts;
  readonly #quarantine: Quarantine;
  #state: QuarantineState = "sound";
  #hasCaughtUp = false;
  #tellAt = -Infinity;
  #findings: readonly AuditedPosition[];
  #told: readonly LogIndex[];
  /** Of each replica that was named, up to where. */
  readonly #named = new Map<ReplicaId, LogIndex>();

  constructor(parts: DivergenceParts) {
    this.#parts = parts;
    this.#quarantine = new Quarantine(parts.self, parts.incarnation, parts.limits, parts.executor.reportRules);
    this.#findings = parts.executor.audits.table.state.findings;
    this.#told = this.#findings.map(({ index }) => index);
  }

  get quarantine(): Quarantine {
    return this.#quarantine;
  }

  /** What is said only as long as this replica is not set aside. */
  whileServing<Said>(say: (said: Said) => void): (said: Said) => void {
    return (said) => {
      if (this.#quarantine.isServing) say(said);
    };
  }

  /** A replica says that it has executed this. */
  accused(by: ReplicaId, accusation: Accusation): void {
    this.#quarantine.accused(by, accusation);
  }

  /** After what was executed in a turn. */
  look(): void {
    this.#tellProgram();
    const { executor, clock, isCaughtUp } = this.#parts;
    this.#hasCaughtUp ||= isCaughtUp();
    const { named } = executor.audits.table.state;
    this.#tellEngine(named);
    if (!this.#hasCaughtUp) return;
    const { membership } = executor.configuration;
    const mustRebuild = this.#quarantine.look({
      now: clock.monotonic(),
      index: executor.executedIndex,
      named,
      membership,
    });
    this.#follow(mustRebuild);
  }

  /**
   * Its checkpoint is not the one that enough others have. False if the group cannot do without this replica: then nobody can say
   * that the others are right.
   */
  disproved(): boolean {
    const { executor, clock, self, incarnation } = this.#parts;
    const { executedIndex: index, configuration } = executor;
    const named = [{ replica: self, incarnation, from: index, to: index }];
    if (!isSpared(named, configuration.membership, self, executor.reportRules)) return false;
    this.#follow(this.#quarantine.disproved({ now: clock.monotonic(), index }));
    return true;
  }

  tick(): void {
    const { clock, executor, self, toEngine } = this.#parts;
    this.look();
    const { named } = executor.audits.table.state;
    const now = clock.monotonic();
    if (named.length === 0 || now < this.#tellAt || !this.#quarantine.isServing) return;
    this.#tellAt = now + tellEveryMs;
    const { membership } = executor.configuration;
    for (const { replica, incarnation, to } of named) {
      if (replica === self || memberOf(membership, replica) === undefined) continue;
      const accusation = {
        incarnation,
        to,
        at: executor.executedIndex,
        isSpared: isSpared(named, membership, replica, executor.reportRules),
      };
      const payload = encodeHostMessage({ kind: "accusation", accusation });
      toEngine({ kind: "forward", as: "host", to: replica, payload });
    }
  }

  #follow(mustRebuild: boolean): void {
    const before = this.#state;
    const { state, isOut } = this.#quarantine;
    this.#state = state;
    if (state !== before) {
      this.#parts.toEngine({ kind: "quarantined", isQuarantined: isOut });
      this.#parts.changed(state, before);
    }
    const { self, executor, rebuild } = this.#parts;
    if (state !== before && (mustRebuild || state === "stopped"))
      executor.audits.trail.disproved(self, executor.executedIndex, executor.audited);
    if (mustRebuild) rebuild();
  }

  #tellEngine(named: readonly NamedReplica[]): void {
    // With every turn, and hardly ever is there anybody.
    if (named.length === 0) return;
    const fresh = named.filter(({ replica, to }) => to > (this.#named.get(replica) ?? noIndex));
    for (const { replica, to } of fresh) this.#named.set(replica, to);
    if (fresh.length === 0 || !this.#hasCaughtUp) return;
    this.#parts.toEngine({ kind: "named", replicas: fresh.map(({ replica }) => replica) });
  }

  #tellProgram(): void {
    const { findings } = this.#parts.executor.audits.table.state;
    if (findings === this.#findings) return;
    this.#findings = findings;
    for (const finding of findings) {
      if (this.#told.includes(finding.index)) continue;
      this.#told = [...this.#told, finding.index].slice(-toldMax);
      this.#parts.found(finding);
    }
  }
}
