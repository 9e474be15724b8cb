/**
 * What a replica remembers of its latest entries, so that it can be found out where two replicas parted.
 *
 * Owns: for each of the newest entries the digests behind it, and, as far as they are kept (`trail-contents.ts`), what it held and was answered; the machine's
 * state at the last position at which replicas agreed; and what of all this was kept when replicas were found to differ. Leaves to others: verdicts
 * (`audit-table.ts`), comparing two trails (`server/forensics/`). Nothing of this is replicated, and nothing depends on it.
 *
 * All replicas find a difference at the same entry, since the verdict follows from the log: so what they keep then is of one position.
 */
import type { MachineFork, MachineInstance } from "../api/low-level.js";
import type { AuditFinding } from "../api/replica.js";
import type { Fingerprint } from "../base/fingerprint.js";
import type { TrailContent, TrailEntry } from "../model/audit.js";
import type { Entry, EntryKind } from "../model/entry.js";
import { after, maxIndex, noIndex, type LogIndex, type ReplicaId } from "../model/ids.js";
import type { AuditState } from "./audit-table.js";
import { TrailContents } from "./trail-contents.js";

const entriesMax = 10_000;
/** Positions that nobody has agreed on yet; with more waiting no further state is kept. */
const statesMax = 8;

/** What executes, and which version of it. */
export interface Executing {
  readonly machine: MachineInstance;
  readonly versions: { readonly state: { readonly active: number } };
}

interface KeptState {
  readonly index: LogIndex;
  readonly fork: MachineFork;
}

export class AuditTrail {
  /** The entry of an index is at its remainder by `entriesMax`, in each of these; four words of digests for each. */
  readonly #digests = new Int32Array(4 * entriesMax);
  readonly #times = new Float64Array(entriesMax);
  readonly #places = new Float64Array(entriesMax);
  readonly #kinds: EntryKind[] = [];
  readonly #contents = new TrailContents();
  #first: LogIndex = noIndex;
  #last: LogIndex = noIndex;
  #agreed: KeptState | undefined;
  #waiting: KeptState[] = [];
  #seen: { recent: unknown; named: unknown; findings: unknown } | undefined;
  /** The newest position at which something was found, here or before this executor began. */
  #known = noIndex;
  #finding: AuditFinding | undefined;
  /** Who was named since it was found. */
  #foundOf: readonly ReplicaId[] = [];

  get finding(): AuditFinding | undefined {
    return this.#finding;
  }

  /** The entry was executed. Behind it: `output` is the running digest of outputs, `state` that of the machine. */
  note(entry: Entry, answers: TrailContent["answers"], output: Fingerprint, state: Fingerprint): void {
    const { index, time, kind, payload } = entry;
    const at = index % entriesMax;
    if (this.#first === noIndex) this.#first = index;
    else if (index - this.#first === entriesMax) this.#first = after(this.#first);
    this.#last = index;
    this.#digests[4 * at] = output.high;
    this.#digests[4 * at + 1] = output.low;
    this.#digests[4 * at + 2] = state.high;
    this.#digests[4 * at + 3] = state.low;
    this.#times[at] = time;
    this.#kinds[at] = kind;
    this.#places[at] = this.#contents.keep(payload, answers);
  }

  /** Of the last entry that was executed; nothing before the first. */
  get newest(): Pick<TrailEntry, "output" | "state"> {
    const at = 4 * (this.#last % entriesMax);
    return { output: this.#digestAt(at), state: this.#digestAt(at + 2) };
  }

  /** This index is a position that is compared. */
  position(index: LogIndex, machine: MachineInstance): void {
    if (this.#waiting.length < statesMax) this.#waiting.push({ index, fork: machine.fork() });
  }

  /** After each entry: whether a position was agreed on, or something was found. */
  look(index: LogIndex, { recent, named, findings }: AuditState, at: Executing): void {
    const seen = this.#seen;
    if (seen !== undefined && seen.recent === recent && seen.named === named && seen.findings === findings) return;
    this.#seen = { recent, named, findings };
    const position = Math.max(findings.at(-1)?.index ?? 0, ...named.map(({ from }) => from)) as LogIndex;
    const isNews = seen !== undefined && position > this.#known;
    this.#known = maxIndex(this.#known, position);
    for (const { kind, index: settled, missing } of recent) {
      if (isNews && settled >= position) continue;
      if (kind === "agreed" && missing.length === 0) this.#agree(settled);
      else this.#pass(settled);
    }
    const replicas = named.map(({ replica }) => replica);
    if (isNews && this.#isOther(replicas)) this.#find(position, index, at);
    if (isNews) this.#foundOf = [...this.#foundOf, ...replicas];
  }

  /** Whoever differs and is made again from a checkpoint may differ again: the first time tells more. */
  #isOther(replicas: readonly ReplicaId[]): boolean {
    if (this.#finding?.after === undefined) return true;
    return replicas.some((replica) => !this.#foundOf.includes(replica));
  }

  /** What was executed up to here is about to be thrown away, because others said so, or a checkpoint did. */
  disproved(self: ReplicaId, index: LogIndex, at: Executing): void {
    if (this.#isOther([self])) this.#find(index, index, at);
  }

  /** Something else is executed from here on: a checkpoint took the place of the state. What was found stays. */
  restart(): void {
    this.#first = noIndex;
    this.#last = noIndex;
    for (const { fork } of this.#waiting) fork.release();
    this.#waiting = [];
    this.#agreed?.fork.release();
    this.#agreed = undefined;
    this.#seen = undefined;
  }

  /** They hold on to memory. */
  releaseStates(): void {
    if (this.#finding === undefined) return;
    this.#finding.before?.release();
    this.#finding.after?.release();
    this.#finding = { ...this.#finding, before: undefined, after: undefined };
  }

  #agree(index: LogIndex): void {
    if (index <= (this.#agreed?.index ?? noIndex)) return;
    for (const { index: other, fork } of this.#waiting) if (other < index) fork.release();
    const state = this.#waiting.find((other) => other.index === index);
    this.#waiting = this.#waiting.filter((other) => other.index > index);
    if (state === undefined) return;
    this.#agreed?.fork.release();
    this.#agreed = state;
  }

  /** Not all agreed on it, and nobody found anything: an older state would hold on to ever more memory. */
  #pass(index: LogIndex): void {
    if (index <= (this.#agreed?.index ?? noIndex)) return;
    for (const { index: other, fork } of this.#waiting) if (other <= index) fork.release();
    this.#waiting = this.#waiting.filter((other) => other.index > index);
    this.#agreed?.fork.release();
    this.#agreed = undefined;
  }

  #find(position: LogIndex, foundAt: LogIndex, { machine, versions }: Executing): void {
    this.releaseStates();
    const agreedAt = this.#agreed?.index ?? noIndex;
    // It is kept from here on for what was found.
    const before = this.#agreed?.fork;
    this.#agreed = undefined;
    this.#foundOf = [];
    const machineVersion = versions.state.active;
    const entries = this.#entries();
    this.#finding = { position, foundAt, agreedAt, machineVersion, before, after: machine.fork(), entries };
  }

  #entries(): readonly TrailEntry[] {
    const entries: TrailEntry[] = [];
    for (let index = this.#first; index <= this.#last; index = after(index)) {
      const at = index % entriesMax;
      const [time, kind] = [this.#times[at], this.#kinds[at]];
      if (time === undefined || kind === undefined) continue;
      const content = this.#contents.at(this.#places[at] ?? -Infinity);
      entries.push({ index, time, kind, output: this.#digestAt(4 * at), state: this.#digestAt(4 * at + 2), content });
    }
    return entries;
  }

  #digestAt(word: number): Fingerprint {
    return { high: this.#digests[word] ?? 0, low: this.#digests[word + 1] ?? 0 };
  }
}
