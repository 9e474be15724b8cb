/**
 * Writes what a replica has kept of a difference to its disk: the state that differed is thrown away when it is rebuilt, and memory ends
 * with the process.
 *
 * Owns: the lines, and the pace: a slice, a rest, and one write at a time, so that nothing waits for it. Leaves to others: what is kept
 * (`execution/audit-trail.ts`), files (`storage/evidence-store.ts`), reading them (`server/replay/evidence.ts`). What cannot be written is
 * told and left: evidence never keeps a replica from anything.
 *
 *   {"quorate":"evidence","version":1,…}   the head
 *   {"finding":{…,"entries":[…]}}          whose it is, and the entries that are remembered (`wire/trail-json.ts`)
 *   {"after":"…"}                          base64: a chunk of this replica's state when the difference was found
 *   {"state":"…"}                          a chunk of its state at the last position at which all agreed
 *   {"cut":"after"}                        there is more of that state than is kept: its chunks are not all of it
 */
import { base64Bytes } from "../base/base64.js";
import { concatBytes, encodeUtf8 } from "../base/bytes.js";
import type { AuditFinding } from "../api/replica.js";
import type { MachineFork } from "../api/low-level.js";
import type { Executor } from "../execution/executor.js";
import { noIndex, type LogIndex } from "../model/ids.js";
import type { Clock } from "../ports/clock.js";
import type { DiskError } from "../ports/disk.js";
import type { EvidenceStore } from "../storage/evidence-store.js";
import type { Identity } from "../transport/gate.js";
import { evidenceVersion, trailEntryToJson } from "../wire/trail-json.js";

export interface EvidenceKeeperParts {
  readonly identity: Identity;
  readonly executor: Executor;
  readonly evidence: EvidenceStore;
  readonly clock: Clock;
  readonly dropped: (reason: string, detail: string) => void;
}

/** Encoding goes on for this long, or for one piece, and then rests. */
const sliceMs = 1;
const restMs = 2;
const writeBytes = 256 * 1024;
/** Of each of the two states, encoded. */
const stateBytesMax = 48 * 1024 * 1024;
/** Encoded together. */
const entriesInPiece = 32;

interface Writing {
  readonly pieces: Iterator<Uint8Array, void>;
  waiting: Uint8Array[];
  bytes: number;
}

export class EvidenceKeeper {
  readonly #parts: EvidenceKeeperParts;
  #position: LogIndex = noIndex;
  #writing: Writing | undefined;
  #isStopped = false;

  constructor(parts: EvidenceKeeperParts) {
    this.#parts = parts;
  }

  tick(): void {
    const { executor, evidence } = this.#parts;
    const { finding } = executor.audits.trail;
    if (finding === undefined || finding.position === this.#position) return;
    if (this.#isStopped || this.#writing !== undefined) return;
    this.#position = finding.position;
    if (evidence.has(finding.position)) return;
    const writing: Writing = { pieces: this.#piecesOf(finding), waiting: [], bytes: 0 };
    this.#writing = writing;
    evidence.begin(finding.position, (failure) => this.#goOn(failure, () => this.#slice(writing)));
  }

  /** Nothing is written from now on. */
  stop(): void {
    this.#isStopped = true;
  }

  #slice(writing: Writing): void {
    if (this.#isStopped) return;
    const { clock, evidence } = this.#parts;
    const end = clock.monotonic() + sliceMs;
    do {
      const { done, value } = writing.pieces.next();
      if (done === true) return this.#write(writing, () => evidence.end((failure) => this.#ended(failure)));
      writing.waiting.push(value);
      writing.bytes += value.length;
      if (writing.bytes >= writeBytes) return this.#write(writing, () => this.#slice(writing));
    } while (clock.monotonic() < end);
    clock.after(restMs, () => this.#slice(writing));
  }

  #write(writing: Writing, then: () => void): void {
    const bytes = concatBytes(writing.waiting);
    writing.waiting = [];
    writing.bytes = 0;
    this.#parts.evidence.append(bytes, (failure) => this.#goOn(failure, then));
  }

  #goOn(failure: DiskError | undefined, then: () => void): void {
    if (failure === undefined) return this.#parts.clock.nextTurn(then);
    this.#parts.evidence.giveUp();
    this.#ended(failure);
  }

  #ended(failure: DiskError | undefined): void {
    this.#writing = undefined;
    if (failure !== undefined) this.#parts.dropped("evidence", `it cannot be written: ${failure.message}`);
  }

  #piecesOf(finding: AuditFinding): Generator<Uint8Array, void> {
    const { clusterId, id: replica, machine } = this.#parts.identity;
    const { position, foundAt, agreedAt, machineVersion, before, after, entries } = finding;
    const hasStates = after !== undefined;
    const kept = { replica, clusterId, machine, machineVersion, position, foundAt, agreedAt, hasStates };
    return piecesOf({
      head: {
        quorate: "evidence",
        version: evidenceVersion,
        report: `what ${replica} kept, found at entry ${position}`,
      },
      kept,
      entries,
      // They are begun now: the trail may release them while others are written.
      states: [
        { name: "after", chunks: chunksOf(after) },
        { name: "state", chunks: chunksOf(before) },
      ],
    });
  }
}

interface Content {
  readonly head: object;
  readonly kept: object;
  readonly entries: AuditFinding["entries"];
  readonly states: readonly { readonly name: string; readonly chunks: Iterable<Uint8Array> }[];
}

function* piecesOf({ head, kept, entries, states }: Content): Generator<Uint8Array, void> {
  yield line(head);
  const opening = JSON.stringify(kept).slice(0, -1);
  yield encodeUtf8(`{"finding":${opening},"entries":[`);
  for (let at = 0; at < entries.length; at += entriesInPiece) {
    const texts = entries.slice(at, at + entriesInPiece).map((entry) => JSON.stringify(trailEntryToJson(entry)));
    yield encodeUtf8(`${at === 0 ? "" : ","}${texts.join(",")}`);
  }
  yield encodeUtf8("]}}\n");
  for (const { name, chunks } of states) yield* linesOfState(name, chunks);
}

function* linesOfState(name: string, chunks: Iterable<Uint8Array>): Generator<Uint8Array, void> {
  let bytes = 0;
  for (const chunk of chunks) {
    const text = base64Bytes(chunk);
    bytes += text.length;
    if (bytes > stateBytesMax) return yield line({ cut: name });
    yield concatBytes([encodeUtf8(`{"${name}":"`), text, encodeUtf8('"}\n')]);
  }
}

function chunksOf(state: MachineFork | undefined): Iterable<Uint8Array> {
  return state?.chunks() ?? [];
}

function line(content: object): Uint8Array {
  return encodeUtf8(`${JSON.stringify(content)}\n`);
}
