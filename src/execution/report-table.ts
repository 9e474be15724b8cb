/**
 * What replicas have reported of their checkpoints: replicated state, so that every replica reaches the same verdict at the same entry.
 *
 * Owns: counting equal reports, and the newest certificate; reports of steps that cannot be finished (`skip-table.ts`) until it covers them.
 * Leaves to others: making reports and acting on the verdict (`replica/`). Bounded: the newest few indexes, one report of each voter. Called by
 * the executor, and by a replica that looks at what it has not executed yet.
 *
 *   form  version u8 (1), has a certificate u8, the certificate, then reports until the end (length varint, `wire/checkpoint-codec.ts`, or
 *         `wire/skip-codec.ts`)
 */
import { ByteReader, ByteWriter, equalBytes } from "../base/bytes.js";
import { reportsNeeded, type Certificate, type Report } from "../model/checkpoint.js";
import type { Entry } from "../model/entry.js";
import type { LogIndex, ReplicaId } from "../model/ids.js";
import type { Configuration } from "../model/membership.js";
import { crashRules, type ReportRules } from "../model/report-rules.js";
import type { SkipReport, Unfinished } from "../model/skip.js";
import { decodeReport, encodeReport, readCertificate, writeCertificate } from "../wire/checkpoint-codec.js";
import { reportsIn } from "./reported.js";
import { SkipTable } from "./skip-table.js";

const version = 1;
/** Checkpoints that wait for reports; with one more the oldest is given up, since a newer one replaces it. */
const indexesMax = 4;

export class ReportTable {
  #certificate: Certificate | undefined;
  /** Of checkpoints that are not certified, in the order in which they came. */
  #reports: Report[] = [];
  readonly #rules: ReportRules;
  #skips: SkipTable;

  constructor(rules: ReportRules = crashRules) {
    this.#rules = rules;
    this.#skips = new SkipTable(rules);
  }

  get certificate(): Certificate | undefined {
    return this.#certificate;
  }

  get skips(): SkipTable {
    return this.#skips;
  }

  /** Answers the step that is skipped from now on, if this report decides it. */
  addSkip(report: SkipReport): Unfinished | undefined {
    return report.at.index <= (this.#certificate?.index ?? 0) ? undefined : this.#skips.add(report);
  }

  /** Counts the reports in an entry that is not executed yet, if it has some. Answers the steps that are skipped from now on, as they decide. */
  look({ kind, payload }: Pick<Entry, "kind" | "payload">, configuration: Configuration): readonly Unfinished[] {
    if (kind !== "report") return [];
    const skipped: Unfinished[] = [];
    for (const reported of reportsIn(payload, this.#rules, configuration) ?? []) {
      if (reported.kind === "checkpoint") this.add(reported.report);
      const decided = reported.kind === "skip" ? this.addSkip(reported.report) : undefined;
      if (decided !== undefined) skipped.push(decided);
    }
    return skipped;
  }

  add(report: Report): void {
    const { index, replica, root, bytes, voters } = report;
    if (index <= (this.#certificate?.index ?? 0) || !voters.includes(replica)) return;
    // A replica that reports again has started anew: its last word counts.
    this.#reports = this.#reports.filter((other) => other.index !== index || other.replica !== replica);
    this.#reports.push(report);
    const isEqual = (other: Report): boolean => other.index === index && equalBytes(other.root, root);
    const equal = this.#reports.filter((other) => isEqual(other) && voters.includes(other.replica));
    if (equal.length >= reportsNeeded(voters.length)) {
      this.#certificate = { index, root, bytes, by: equal.map((other) => other.replica).sort() };
      this.#reports = this.#reports.filter((other) => other.index > index);
      this.#skips.forgetUpTo(index);
    }
    this.#bound();
  }

  isReported(index: LogIndex, replica: ReplicaId, root: Uint8Array): boolean {
    return this.#reports.some(
      (report) => report.index === index && report.replica === replica && equalBytes(report.root, root),
    );
  }

  encode(): Uint8Array[] {
    const writer = new ByteWriter();
    writer.u8(version);
    writer.u8(this.#certificate === undefined ? 0 : 1);
    if (this.#certificate !== undefined) writeCertificate(writer, this.#certificate);
    for (const report of this.#reports) writer.bytes(encodeReport(report));
    for (const bytes of this.#skips.encode()) writer.bytes(bytes);
    return [writer.finish()];
  }

  /** Whether the chunks were in their form; if not, the table is as before. */
  install(chunks: Iterable<Uint8Array>): boolean {
    const [chunk, ...more] = chunks;
    if (chunk === undefined || more.length > 0) return false;
    const reader = new ByteReader(chunk);
    if (reader.u8() !== version) return false;
    const certificate = reader.u8() === 1 ? readCertificate(reader) : undefined;
    const reports: Report[] = [];
    const skips = new SkipTable(this.#rules);
    while (reader.remaining > 0) {
      const bytes = reader.bytes();
      const report = decodeReport(bytes);
      if (reader.failed || (report === undefined && !skips.restore(bytes))) return false;
      if (report !== undefined) reports.push(report);
    }
    if (!reader.complete) return false;
    this.#certificate = certificate;
    this.#reports = reports;
    this.#skips = skips;
    return true;
  }

  /** Takes over what the other holds. */
  become(other: ReportTable): void {
    this.#certificate = other.#certificate;
    this.#reports = other.#reports;
    this.#skips = other.#skips;
  }

  #bound(): void {
    const indexes = [...new Set(this.#reports.map(({ index }) => index))].sort((left, right) => left - right);
    const oldest = indexes.at(-indexesMax);
    if (oldest !== undefined) this.#reports = this.#reports.filter(({ index }) => index >= oldest);
  }
}
