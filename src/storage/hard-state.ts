/**
 * Term and vote on disk: two slots, each in a block of its own, written in turn.
 *
 * Owns: the file's bytes, the order of its writes, and which slot counts at start. Leaves to others: when it must be durable
 * before what (`wal.ts`: before any record of that term). A new state goes to the slot that holds the older one, is durable,
 * is reported, and is then copied to the other slot too: so at rest both slots hold the newest state, and one damaged slot
 * forgets nothing. Invariant W8: one write at a time, since two in flight might land in either order, and terms that only grow.
 */
import { equalBytes, ByteReader, ByteWriter } from "../base/bytes.js";
import { invariant } from "../base/invariant.js";
import { isReplicaId, noTerm, term as termOf } from "../model/ids.js";
import type { HardState } from "../model/log.js";
import type { Disk, DiskFile, Done } from "../ports/disk.js";
import type { FormatContext } from "./wal-format.js";

export const hardStateName = "hard-state";
const slotStride = 4096;
const slotBytes = 96;
const magic = 0x5348_5751; // "QWHS"

export interface StoredHardState {
  /** Grows by one with every change, from 1. */
  readonly sequence: number;
  readonly hardState: HardState;
}

export const initialHardState: StoredHardState = { sequence: 1, hardState: { term: noTerm, votedFor: undefined } };

/**
 * One slot: magic (4), CRC-32 of bytes 8 to 95 (4), log identity (8), sequence (8), term (8), length of the vote (1), the
 * vote in ASCII (up to 32), zeros.
 */
function encodeSlot(stored: StoredHardState, context: FormatContext): Uint8Array {
  const writer = new ByteWriter(slotBytes);
  writer.u32(magic);
  writer.u32(0);
  writer.raw(context.logIdentity);
  writer.u64(stored.sequence);
  writer.u64(stored.hardState.term);
  writer.text(stored.hardState.votedFor ?? "");
  invariant(writer.length <= slotBytes, "a vote fits into its slot");
  const bytes = new Uint8Array(slotBytes);
  bytes.set(writer.finish());
  new DataView(bytes.buffer).setUint32(4, context.hash.crc32(bytes.subarray(8)), true);
  return bytes;
}

function decodeSlot(bytes: Uint8Array, context: FormatContext): StoredHardState | undefined {
  const reader = new ByteReader(bytes);
  const found = reader.u32();
  const checksum = reader.u32();
  if (bytes.length < slotBytes || found !== magic) return undefined;
  if (checksum !== context.hash.crc32(bytes.subarray(8, slotBytes))) return undefined;
  if (!equalBytes(reader.raw(8), context.logIdentity)) return undefined;
  const sequence = reader.u64();
  const term = termOf(reader.u64());
  const vote = reader.text();
  if (reader.failed || term === undefined || (vote !== "" && !isReplicaId(vote))) return undefined;
  return { sequence, hardState: { term, votedFor: vote === "" ? undefined : vote } };
}

/** A whole file with both slots holding `stored`. */
export function encodeHardStateFile(stored: StoredHardState, context: FormatContext): Uint8Array {
  const bytes = new Uint8Array(2 * slotStride);
  const slot = encodeSlot(stored, context);
  bytes.set(slot, 0);
  bytes.set(slot, slotStride);
  return bytes;
}

export class HardStateStore {
  readonly #file: DiskFile;
  readonly #context: FormatContext;
  #durable: StoredHardState;
  #writing = false;
  /** The next state to write, with who waits for it; a later one replaces it, since only the newest counts. */
  #next: { readonly stored: StoredHardState; readonly done: Done } | undefined;
  #onIdle: (() => void) | undefined;

  constructor(file: DiskFile, durable: StoredHardState, context: FormatContext) {
    this.#file = file;
    this.#durable = durable;
    this.#context = context;
  }

  /** What is durable now. */
  get durable(): StoredHardState {
    return this.#durable;
  }

  /** The caller waits for `done` before it writes again. */
  write(hardState: HardState, done: Done): void {
    invariant(this.#next === undefined, "W8 one hard state at a time");
    invariant(hardState.term >= this.#durable.hardState.term, "W8 a term never goes back");
    this.#next = { stored: { sequence: this.#durable.sequence + 1, hardState }, done };
    if (!this.#writing) this.#writeNext();
  }

  close(done: Done): void {
    const close = (): void => this.#file.close(done);
    if (this.#writing) this.#onIdle = close;
    else close();
  }

  #writeNext(): void {
    const next = this.#next;
    if (next === undefined) return this.#onIdle?.();
    this.#writeSlot(next.stored, next.stored.sequence % 2, (failure) => {
      this.#next = undefined;
      if (failure !== undefined) {
        this.#writing = false;
        next.done(failure);
        return this.#onIdle?.();
      }
      this.#durable = next.stored;
      this.#copy(next.stored);
      next.done(undefined);
    });
  }

  /** The copy is nobody's promise; if it fails, the file fails the next write as well and that one is reported. */
  #copy(stored: StoredHardState): void {
    this.#writeSlot(stored, (stored.sequence + 1) % 2, () => {
      this.#writing = false;
      this.#writeNext();
    });
  }

  #writeSlot(stored: StoredHardState, slot: number, done: Done): void {
    this.#writing = true;
    this.#file.write(slot * slotStride, [encodeSlot(stored, this.#context)], done);
  }
}

export type RecoveredHardState =
  | { readonly kind: "found"; readonly stored: StoredHardState }
  /** No slot can be read: what this replica promised is forgotten. */
  | { readonly kind: "lost" };

/**
 * | slot 0 | slot 1 | taken |
 * |---|---|---|
 * | valid | valid | the higher sequence |
 * | valid | not | the valid one: the other is a torn write that was never reported, or a damaged copy |
 * | not | not | lost |
 */
export function chooseSlot(bytes: Uint8Array, context: FormatContext): RecoveredHardState {
  const first = decodeSlot(bytes.subarray(0, slotBytes), context);
  const second = decodeSlot(bytes.subarray(slotStride, slotStride + slotBytes), context);
  const stored = (first?.sequence ?? 0) >= (second?.sequence ?? 0) ? first : second;
  return stored === undefined ? { kind: "lost" } : { kind: "found", stored };
}

/** Reads the file and makes both slots equal again, so that the next damage finds two copies. Throws `DiskError`. */
export function recoverHardState(disk: Disk, directory: string, context: FormatContext): RecoveredHardState {
  const bytes = disk.readFile(`${directory}/${hardStateName}`, 2 * slotStride);
  const recovered = chooseSlot(bytes, context);
  if (recovered.kind === "lost") return recovered;
  const whole = encodeHardStateFile(recovered.stored, context);
  if (!equalBytes(whole, bytes)) disk.writeFileAtomically(`${directory}/${hardStateName}`, whole);
  return recovered;
}

export function openHardState(
  disk: Disk,
  directory: string,
  context: FormatContext,
  durable: StoredHardState,
): HardStateStore {
  return new HardStateStore(disk.openFile(`${directory}/${hardStateName}`, "existing"), durable, context);
}
