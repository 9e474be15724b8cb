/**
 * Which positions are compared, and what came of it: replicated state, so that every replica reaches the same verdict at the same entry.
 *
 * Owns: the pace, the positions that wait for reports, and what is remembered of the others. Leaves to others: the verdict on one position
 * (`audit-verdict.ts`), digests (`audits.ts`), bytes (`audit-table-codec.ts`). Called by the executor. Bounded: so many positions wait, one
 * report of each replica on each; of the rest the newest few are kept.
 */
import type { AuditLimits } from "../api/config.js";
import type {
  AuditedPosition,
  AuditedReplica,
  AuditMembers,
  AuditReport,
  NamedReplica,
  Verdict,
  VerdictKind,
} from "../model/audit.js";
import type { Entry } from "../model/entry.js";
import { noIndex, type AgreedTime, type LogIndex, type ReplicaId } from "../model/ids.js";
import { executingOf, verdictOf, type ReportedDigest } from "./audit-verdict.js";

/** A position whose reports are awaited. */
export interface OpenPosition {
  readonly index: LogIndex;
  readonly time: AgreedTime;
  readonly known: AuditMembers | undefined;
  readonly reports: (ReportedDigest & { readonly incarnation: number })[];
}

export type VerdictCounts = Record<VerdictKind, number>;

/** Everything that is replicated, for the codec. */
export interface AuditState {
  /** Counted since the last position, and the agreed time of the first of them. */
  commands: number;
  since: AgreedTime;
  counts: VerdictCounts;
  open: OpenPosition[];
  /** The newest that were settled, in the order in which they were. */
  recent: AuditedPosition[];
  /** Of those settled, the newest at which something differed for the first time. */
  findings: AuditedPosition[];
  named: NamedReplica[];
  replicas: AuditedReplica[];
}

const openMax = 1_024;
const recentMax = 16;
const findingsMax = 32;

export class AuditTable {
  readonly #limits: AuditLimits;
  #state: AuditState = newAuditState();

  constructor(limits: AuditLimits) {
    this.#limits = limits;
  }

  get state(): AuditState {
    return this.#state;
  }

  replace(state: AuditState): void {
    this.#state = state;
  }

  /** When an entry is wanted although nobody asks for one: a position is due, or one has waited for its reports. */
  dueAt(): AgreedTime | undefined {
    const { commands, since, open } = this.#state;
    const positionAt = commands > 0 ? since + this.#limits.everyMs : Infinity;
    const settledAt = open[0] === undefined ? Infinity : open[0].time + this.#limits.reportMs;
    const at = Math.min(positionAt, settledAt);
    return at === Infinity ? undefined : at;
  }

  /** `commands`: how much the entry counts for. Whether its index is a position that is compared. */
  executed({ index, time }: Entry, commands: number, known: AuditMembers | undefined): boolean {
    const state = this.#state;
    this.#settleLate(time);
    if (commands > 0 && state.commands === 0) state.since = time;
    state.commands += commands;
    const { everyCommands, everyMs } = this.#limits;
    const isDue = state.commands >= everyCommands || (state.commands > 0 && time >= state.since + everyMs);
    if (!isDue) return false;
    state.commands = 0;
    const oldest = state.open[0];
    if (state.open.length >= openMax && oldest !== undefined) this.#settle(oldest);
    state.open.push({ index, time, known, reports: [] });
    return true;
  }

  add({ replica, incarnation, members, positions }: AuditReport): void {
    for (const { index, output, state } of positions) {
      const position = this.#state.open.find((other) => other.index === index);
      if (position === undefined) continue;
      // A replica that reports again has started anew: its last word counts.
      const at = position.reports.findIndex((other) => other.replica === replica);
      position.reports.splice(at === -1 ? position.reports.length : at, 1, {
        replica,
        incarnation,
        members,
        output,
        state,
      });
      const verdict = verdictOf(position.reports, position.known);
      if (verdict.missing.length === 0) this.#settle(position, verdict);
      else if (this.#name(position, verdict)) this.#find(position, verdict);
    }
  }

  /** Of a position that still waits: whether this replica's report has come; undefined if it does not wait. */
  isReported(index: LogIndex, replica: ReplicaId): boolean | undefined {
    const position = this.#state.open.find((other) => other.index === index);
    return position?.reports.some((report) => report.replica === replica);
  }

  isNamed(replica: ReplicaId, incarnation: number): boolean {
    return this.#state.named.some((each) => each.replica === replica && each.incarnation === incarnation);
  }

  #settleLate(time: AgreedTime): void {
    const { open } = this.#state;
    for (let oldest = open[0]; oldest !== undefined; oldest = open[0]) {
      if (oldest.time + this.#limits.reportMs > time) return;
      this.#settle(oldest);
    }
  }

  #settle(position: OpenPosition, verdict = verdictOf(position.reports, position.known)): void {
    const state = this.#state;
    const { index, time } = position;
    const isNews = this.#name(position, verdict);
    const before = state.recent.at(-1);
    const settled: AuditedPosition = { index, time, ...verdict };
    state.open.splice(state.open.indexOf(position), 1);
    state.counts[verdict.kind] += 1;
    state.recent = [...state.recent, settled].slice(-recentMax);
    const isUnclear = verdict.kind === "different" || verdict.kind === "allDifferent";
    if (isNews || (isUnclear && before?.kind !== verdict.kind)) this.#find(position, verdict);
    const executing = executingOf(position.reports, position.known);
    // Nobody has reported of a group whose members only they know: then those that are known have missed one more.
    const replicas = executing.length > 0 ? executing : state.replicas.map(({ replica }) => replica);
    state.replicas = replicas.map((replica) => this.#noted(replica, settled));
    state.named = state.named.filter(({ replica, to }) => !verdict.agreeing.includes(replica) || to > index);
  }

  /** Something differs for the first time: kept as it was, also if it is reported otherwise later. */
  #find({ index, time }: OpenPosition, verdict: Verdict): void {
    const others = this.#state.findings.filter((finding) => finding.index !== index);
    this.#state.findings = [...others, { index, time, ...verdict }].slice(-findingsMax);
  }

  #noted(replica: ReplicaId, { index, time, kind, agreeing, missing }: AuditedPosition): AuditedReplica {
    const known = this.#state.replicas.find((other) => other.replica === replica) ?? newReplica(replica);
    if (agreeing.includes(replica)) return { ...newReplica(replica), agreedAt: index };
    const isUnchecked = missing.includes(replica) || kind === "notChecked";
    if (!isUnchecked) return { ...newReplica(replica), agreedAt: known.agreedAt };
    const { agreedAt, unchecked } = known;
    if (unchecked > 0) return { ...known, unchecked: unchecked + 1 };
    return { replica, agreedAt, uncheckedFrom: index, uncheckedSince: time, unchecked: 1 };
  }

  /** Whether somebody is named who was not. */
  #name({ index, reports }: OpenPosition, { kind, differing }: Verdict): boolean {
    if (kind !== "named") return false;
    let isNews = false;
    for (const { replica, incarnation } of reports.filter((report) => differing.includes(report.replica))) {
      const { named } = this.#state;
      const at = named.findIndex((other) => other.replica === replica && other.incarnation === incarnation);
      const known = named[at];
      isNews ||= known === undefined || (known.from === index && known.to === index);
      const from = Math.min(index, known?.from ?? index) as LogIndex;
      const to = Math.max(index, known?.to ?? index) as LogIndex;
      const others = named.filter((other) => other.replica !== replica);
      this.#state.named = [...others, { replica, incarnation, from, to }];
    }
    return isNews;
  }
}

export function newAuditState(): AuditState {
  return {
    commands: 0,
    since: 0,
    counts: { agreed: 0, named: 0, different: 0, allDifferent: 0, notChecked: 0, alone: 0 },
    open: [],
    recent: [],
    findings: [],
    named: [],
    replicas: [],
  };
}

function newReplica(replica: ReplicaId): AuditedReplica {
  return { replica, agreedAt: noIndex, uncheckedFrom: noIndex, uncheckedSince: 0, unchecked: 0 };
}
