/**
 * The digests of a replica at the positions that are compared.
 *
 * Owns: the running digest of outputs, and what the digest of everything replicated is made of. Leaves to others: which positions, and the
 * verdicts (`audit-table.ts`), what each part mixes. Called by the executor with each entry.
 */
import type { AuditLimits } from "../api/config.js";
import type { MachineInstance } from "../api/low-level.js";
import { equalFingerprints, Mixer, noFingerprint, type Fingerprint } from "../base/fingerprint.js";
import {
  auditMembersOf,
  type AuditDigest,
  type AuditMembers,
  type AuditReport,
  type TrailContent,
} from "../model/audit.js";
import type { Entry } from "../model/entry.js";
import { noIndex, type AgreedTime, type LogIndex } from "../model/ids.js";
import type { Configuration } from "../model/membership.js";
import { crashRules, type ReportRules } from "../model/report-rules.js";
import { mixReply } from "./age-fingerprint.js";
import { decodeAudits, encodeAudits } from "./audit-table-codec.js";
import { AuditTable, newAuditState } from "./audit-table.js";
import { AuditTrail } from "./audit-trail.js";
import type { IdempotencyTable } from "./idempotency-table.js";
import { encodeConfiguration } from "./member-codec.js";
import type { ReportTable } from "./report-table.js";
import type { SessionTable } from "./session-table.js";
import type { Versions } from "./versions.js";

/** Everything replicated. */
export interface Audited {
  readonly machine: MachineInstance;
  readonly sessions: SessionTable;
  readonly keys: IdempotencyTable;
  readonly reports: ReportTable;
  readonly configuration: Configuration;
  readonly versions: Versions;
  /** Of the limits by which this replica executes. */
  readonly rules: Uint8Array;
}

/** What this replica has at the position that it has just executed. */
export interface DuePosition extends AuditDigest {
  readonly members: AuditMembers;
}

export class Audits {
  readonly table: AuditTable;
  readonly trail = new AuditTrail();
  readonly #mixer = new Mixer();
  #outputs: Fingerprint = noFingerprint;
  #due: DuePosition | undefined;
  /** Of the machine, before an entry that holds no requests. */
  #before: Fingerprint = noFingerprint;
  /** Of what a scrub has found; none while memory is intact. */
  #damage: Fingerprint = noFingerprint;
  #isDamageCompared = true;
  /** The entry asks for a comparison. */
  #isAsked = false;
  #members: { readonly of: Configuration; readonly members: AuditMembers } | undefined;

  readonly #rules: ReportRules;

  constructor(limits: AuditLimits, rules: ReportRules = crashRules) {
    this.table = new AuditTable(limits);
    this.#rules = rules;
  }

  /** Set if the last executed entry is a position that is compared. */
  get due(): DuePosition | undefined {
    return this.#due;
  }

  dueAt(): AgreedTime | undefined {
    return this.table.dueAt();
  }

  /** Memory of this replica is damaged, and no position has come since that was found. */
  get wantsPosition(): boolean {
    return !this.#isDamageCompared;
  }

  /** One without positions asks for one: it counts as a command. */
  add(report: AuditReport): void {
    this.table.add(report);
    // Its sender is named, or has found damage, and nobody may ask for anything any more.
    if (report.positions.length === 0) this.#isAsked = true;
  }

  /**
   * These parts of this replica's state are not what was written any more, as it lies in memory. From now on its digests are nobody else's,
   * until everything is installed anew: who is right is for the others to say.
   */
  damaged(parts: readonly string[], index: LogIndex): void {
    if (!equalFingerprints(this.#damage, noFingerprint)) return;
    const mixer = this.#mixer.begin().number(index);
    for (const part of parts) mixer.text(part);
    this.#damage = mixer.end().keep();
    this.#isDamageCompared = false;
  }

  /** Before anything of an entry is executed. */
  begin({ kind }: Entry, machine: MachineInstance): void {
    this.#isAsked = false;
    if (kind === "time") this.#before = machine.fingerprint?.() ?? noFingerprint;
  }

  /** The last step of an entry. */
  executed(entry: Entry, replies: TrailContent["answers"], audited: Audited): void {
    if (replies.length > 0) this.#mixOutputs(entry, replies);
    const members = this.membersOf(audited.configuration);
    // Founders are in no entry, and a replica that joins does not know them.
    const isKnown = audited.configuration.index > noIndex || !this.#rules.believesPeers;
    const known = isKnown ? members : undefined;
    const isDue = this.table.executed(entry, this.#weightOf(entry, replies.length, audited), known);
    this.#due = isDue ? { output: this.#outputs, state: this.#stateOf(entry, audited), members } : undefined;
    if (isDue) this.#isDamageCompared = true;
    const { machine } = audited;
    this.trail.note(entry, replies, this.#outputs, machine.fingerprint?.() ?? noFingerprint);
    if (isDue) this.trail.position(entry.index, machine);
    this.trail.look(entry.index, this.table.state, audited);
  }

  /** As reports have it. */
  membersOf(configuration: Configuration): AuditMembers {
    if (this.#members?.of !== configuration) {
      this.#members = { of: configuration, members: auditMembersOf(configuration.membership) };
    }
    return this.#members.members;
  }

  /** As before the first entry. */
  restart(): void {
    this.#outputs = noFingerprint;
    this.#due = undefined;
    this.#before = noFingerprint;
    this.#damage = noFingerprint;
    this.#isDamageCompared = true;
    this.table.replace(newAuditState());
    this.trail.restart();
  }

  encode(): Uint8Array[] {
    return encodeAudits(this.#outputs, this.table.state);
  }

  /** Whether the chunks were in their form; if not, nothing has changed. */
  install(chunks: Iterable<Uint8Array>): boolean {
    const audits = decodeAudits(chunks);
    if (audits === undefined) return false;
    this.#outputs = audits.outputs;
    this.table.replace(audits.state);
    this.#due = undefined;
    this.#damage = noFingerprint;
    this.#isDamageCompared = true;
    this.trail.restart();
    return true;
  }

  #mixOutputs({ index }: Entry, replies: TrailContent["answers"]): void {
    this.#mixer.begin(this.#outputs).number(index);
    for (const { reply } of replies) mixReply(this.#mixer, reply);
    this.#outputs = this.#mixer.end().keep();
  }

  /** What happens by time alone counts as one command, so that it is compared too; what changes nothing counts for nothing. */
  #weightOf({ kind }: Entry, requests: number, { machine }: Audited): number {
    const isChange = kind === "configuration" || kind === "version";
    if (requests > 0 || isChange || this.#isAsked) return Math.max(1, requests);
    if (kind !== "time") return 0;
    return equalFingerprints(this.#before, machine.fingerprint?.() ?? noFingerprint) ? 0 : 1;
  }

  #stateOf({ index, time }: Entry, audited: Audited): Fingerprint {
    const { machine, sessions, keys, reports, configuration, versions, rules } = audited;
    const { nextId } = sessions.contents();
    const mixer = this.#mixer.begin(this.#damage).number(index).number(time).bytes(rules);
    mixer.fingerprint(machine.fingerprint?.() ?? noFingerprint);
    mixer.number(nextId).number(sessions.count).fingerprint(sessions.fingerprint());
    mixer.number(keys.count).fingerprint(keys.fingerprint());
    for (const chunk of reports.encode()) mixer.bytes(chunk);
    for (const chunk of encodeConfiguration(configuration)) mixer.bytes(chunk);
    for (const chunk of versions.encode()) mixer.bytes(chunk);
    return mixer.end().keep();
  }
}
