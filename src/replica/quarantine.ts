/**
 * Whether this replica may answer, lead and vouch for what it has executed.
 *
 * Owns: the states and what moves between them. Leaves to others: naming (`execution/audit-table.ts`), throwing the state away and making it
 * again (`execution.ts`), refusing (`host.ts`), giving leadership up (`consensus/raft/transfer.ts`). Called by `replica/wards.ts`. Its log goes
 * on: what is appended and acknowledged does not depend on what was executed.
 *
 *     sound ── named ──> rebuilding ── executed again ──> rejoining ── agrees ──> sound
 *       │ ▲                   │ └──────── not named any more ────────────────────> sound
 *       │ └─ not named ──┐    └── differs again, too often ──> stopped
 *       └─ not spared ──> unspared
 *
 * Invariants
 *  Q1 nobody is set aside by fewer than more than half of all voters: by the verdict as it has executed it, or by as many who tell it.
 *  Q2 what was reported before a state was thrown away is not held against the one made in its place.
 *  Q3 who differs again `rebuildsMax` times within `rebuildWindowMs` is not rebuilt any more: memory that fails goes on failing.
 */
import { isMajority, reachedByMajorities } from "../consensus/quorum.js";
import type { NamedReplica } from "../model/audit.js";
import { maxIndex, noIndex, type LogIndex, type ReplicaId } from "../model/ids.js";
import { voterSetsOf, type Membership } from "../model/membership.js";
import { isSpared, type Accusation, type QuarantineState } from "../model/quarantine.js";
import { crashRules, type ReportRules } from "../model/report-rules.js";

export interface QuarantineLimits {
  readonly rebuildsMax: number;
  readonly rebuildWindowMs: number;
}

/** What this replica has executed, and when. */
export interface Executed {
  /** Monotonic milliseconds. */
  readonly now: number;
  readonly index: LogIndex;
  readonly named: readonly NamedReplica[];
  readonly membership: Membership;
}

interface Finding {
  /** Once this is executed, the verdict is. */
  readonly at: LogIndex;
  readonly to: LogIndex;
  readonly isSpared: boolean;
}

export class Quarantine {
  readonly #self: ReplicaId;
  readonly #incarnation: number;
  readonly #limits: QuarantineLimits;
  readonly #rules: ReportRules;
  #state: QuarantineState = "sound";
  readonly #accusations = new Map<ReplicaId, Accusation>();
  /** Positions up to here were reported with a state that is gone. */
  #goneUpTo: LogIndex = noIndex;
  /** Set aside until this much is executed again. */
  #until: LogIndex = noIndex;
  #since: number | undefined;
  /** When it was rebuilt, lately. */
  #rebuilds: readonly number[] = [];
  #count = 0;

  constructor(self: ReplicaId, incarnation: number, limits: QuarantineLimits, rules: ReportRules = crashRules) {
    this.#rules = rules;
    this.#self = self;
    this.#incarnation = incarnation;
    this.#limits = limits;
  }

  get state(): QuarantineState {
    return this.#state;
  }

  /** Answers clients, attests checkpoints, accuses others. */
  get isServing(): boolean {
    return this.#state === "sound" || this.#state === "unspared";
  }

  /** What it has executed is known to be wrong, or is not there. */
  get isOut(): boolean {
    return this.#state === "rebuilding" || this.#state === "stopped";
  }

  /** How often it was set aside, since process start. */
  get count(): number {
    return this.#count;
  }

  /** Monotonic time at which the present state began; undefined: with the process. */
  get since(): number | undefined {
    return this.#since;
  }

  /** Positions up to here were compared with a state that is gone. */
  get goneUpTo(): LogIndex {
    return this.#goneUpTo;
  }

  accused(by: ReplicaId, accusation: Accusation): void {
    if (accusation.incarnation === this.#incarnation) this.#accusations.set(by, accusation);
  }

  /** Looks at what is executed by now; true if the state has to be made again. */
  look(executed: Executed): boolean {
    if (this.#state === "stopped") return false;
    const finding = this.#finding(executed);
    if (finding?.isSpared === true) return this.#setAside(executed, finding);
    if (this.isServing) this.#become(finding === undefined ? "sound" : "unspared", executed.now);
    else if (executed.index >= this.#until) this.#become(this.#isNamed(executed) ? "rejoining" : "sound", executed.now);
    return false;
  }

  /** Its own checkpoint is not the certified one; true if the state has to be made again. */
  disproved({ now, index }: Pick<Executed, "now" | "index">): boolean {
    return this.#state !== "stopped" && this.#setAside({ now, index }, { at: index, to: index });
  }

  #setAside({ now, index }: Pick<Executed, "now" | "index">, { at, to }: Omit<Finding, "isSpared">): boolean {
    this.#until = maxIndex(index, at);
    this.#goneUpTo = maxIndex(this.#goneUpTo, maxIndex(index, to));
    this.#count += 1;
    this.#rebuilds = this.#rebuilds.filter((when) => now - when < this.#limits.rebuildWindowMs);
    const isHopeless = this.#rebuilds.length >= this.#limits.rebuildsMax;
    if (!isHopeless) this.#rebuilds = [...this.#rebuilds, now];
    this.#become(isHopeless ? "stopped" : "rebuilding", now);
    return !isHopeless;
  }

  #become(state: QuarantineState, now: number): void {
    if (this.#state !== state) this.#since = now;
    this.#state = state;
  }

  #isNamed({ named }: Executed): boolean {
    return named.some(({ replica, incarnation }) => replica === this.#self && incarnation === this.#incarnation);
  }

  #finding({ index, named, membership }: Executed): Finding | undefined {
    // With every turn, and hardly ever is there anything.
    if (named.length === 0 && this.#accusations.size === 0) return undefined;
    const own = named.find(({ replica, incarnation }) => replica === this.#self && incarnation === this.#incarnation);
    if (own !== undefined && own.to > this.#goneUpTo)
      return { at: index, to: own.to, isSpared: isSpared(named, membership, this.#self, this.#rules) };
    if (this.#accusations.size === 0) return undefined;
    const accusations = [...this.#accusations].filter(([, { to }]) => to > this.#goneUpTo);
    const by = new Map(accusations);
    const voterSets = voterSetsOf(membership);
    const isAccused = isMajority(voterSets, (voter) => by.has(voter));
    if (!isAccused) return undefined;
    // A majority says at least this: one of them is right, however far the others go.
    const reached = (of: "at" | "to"): LogIndex =>
      reachedByMajorities(voterSets, (voter) => by.get(voter)?.[of] ?? noIndex);
    const isSparedByAll = isMajority(voterSets, (voter) => by.get(voter)?.isSpared === true);
    return { at: reached("at"), to: reached("to"), isSpared: isSparedByAll };
  }
}
