/**
 * Texts by key, in an LMDB database instead of memory: a machine on the low-level contract.
 * Run it with `npx quorate dev examples/03-on-disk/store.ts --data .quorate/03-on-disk`; it needs `npm install lmdb`.
 *
 * The log and the checkpoints say what the state is, so the database must survive nothing: it is made anew by each start, is never
 * flushed, and its file has no name any more once it is open.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { open as openDatabase, type RootDatabase, type Transaction } from "lmdb";
import type { Machine } from "quorate";
import {
  CannotFinish,
  DecodeFailure,
  decodeValue,
  encodeValue,
  FingerprintSum,
  Mixer,
  type AdmitOutcome,
  type Batch,
  type Command,
  type Fingerprint,
  type Hash,
  type MachineFork,
  type MachineInstance,
  type Outcome,
} from "quorate/low-level";

export interface Entry {
  readonly key: string;
  readonly value: string;
}

/** In the shape of functions, as `define` would infer it: the typed client goes by it. */
interface Commands {
  set(state: unknown, entry: Entry): void;
  setAll(state: unknown, entries: readonly Entry[]): void;
  remove(state: unknown, key: string): boolean;
}

interface Queries {
  get(state: unknown, key: string): string | undefined;
  size(state: unknown): number;
}

type Texts = RootDatabase<Buffer, Buffer>;

/** What LMDB takes. */
const keyBytesMax = 1_978;
/** A piece of a checkpoint ends behind the entry that passes this. */
const pieceBytes = 65_536;
/** Looked at in one step of a scrub: about ten microseconds. */
const entriesPerScrub = 8;

const nothing: Outcome = { status: "ok", output: encodeValue(undefined) };
const skipped: Outcome = { status: "failed", message: "no replica could finish it" };
const none: NonNullable<Batch["held"]> = new Map();
const ok = (output: unknown): Outcome => ({ status: "ok", output: encodeValue(output) });

function openTexts(): Texts {
  const folder = mkdtempSync(join(tmpdir(), "quorate-store-"));
  const texts = openDatabase<Buffer, Buffer>({
    path: join(folder, "data.mdb"),
    keyEncoding: "binary",
    encoding: "binary",
    noSync: true,
    noMemInit: true,
    overlappingSync: false,
  });
  rmSync(folder, { recursive: true });
  return texts;
}

/** A database is closed when nobody holds it any more: an instance does, and each of its forks. */
class Held {
  static readonly #left = new FinalizationRegistry<Texts>((texts) => void texts.close());
  readonly texts = openTexts();

  constructor() {
    Held.#left.register(this, this.texts);
  }
}

class StoreInstance implements MachineInstance {
  readonly #hash: Hash;
  #held = new Held();
  /** Of all entries, in no order: what audits compare. */
  readonly #sum = new FingerprintSum();
  #size = 0;

  constructor(hash: Hash) {
    this.#hash = hash;
  }

  get #texts(): Texts {
    return this.#held.texts;
  }

  apply({ commands, held = none }: Batch): readonly Outcome[] {
    for (const [step, { isSkipped, reason }] of held) if (!isSkipped) throw new CannotFinish(step, reason);
    return this.#texts.transactionSync(() =>
      commands.map((command, step) => (held.has(step) ? skipped : this.#run(command))),
    );
  }

  #run({ name, input }: Command): Outcome {
    // Was looked at by `admit` before it was ordered.
    const given = decodeValue(input);
    if (name === "set") this.#set(given as Entry);
    else if (name === "setAll") for (const entry of given as readonly Entry[]) this.#set(entry);
    else return ok(this.#remove(Buffer.from(given as string)));
    return nothing;
  }

  #set({ key, value }: Entry): void {
    const [keyBytes, valueBytes] = [Buffer.from(key), Buffer.from(value)];
    this.#forget(keyBytes);
    this.#sum.add(fingerprintOf(keyBytes, valueBytes));
    this.#size += 1;
    this.#texts.putSync(keyBytes, valueBytes);
  }

  #remove(key: Buffer): boolean {
    if (!this.#forget(key)) return false;
    this.#texts.removeSync(key);
    return true;
  }

  #forget(key: Buffer): boolean {
    const before = this.#texts.getBinaryFast(key);
    if (before === undefined) return false;
    this.#sum.remove(fingerprintOf(key, before));
    this.#size -= 1;
    return true;
  }

  query(name: string, input: Uint8Array): Outcome {
    if (name === "size") return ok(this.#size);
    return ok(this.#texts.getBinaryFast(Buffer.from(decodeValue(input) as string))?.toString());
  }

  fingerprint(): Fingerprint {
    return new Mixer().begin(this.#sum).number(this.#size).end().keep();
  }

  digest(): Uint8Array {
    return digestOf(this.#hash, this.fingerprint());
  }

  /** A snapshot of LMDB: pages that it reads are not used again until it is released. */
  fork(): MachineFork {
    const held = this.#held;
    const transaction = held.texts.useReadTransaction();
    const digest = this.digest();
    return {
      chunks: () => piecesOf(held, transaction),
      digest: () => digest,
      release: () => transaction.done(),
    };
  }

  install(chunks: Iterable<Uint8Array>): void {
    for (const _step of this.installing(chunks));
  }

  *installing(chunks: Iterable<Uint8Array>): Generator<void, void> {
    const held = new Held();
    const next = held.texts;
    const sum = new FingerprintSum();
    let size = 0;
    for (const chunk of chunks) {
      next.transactionSync(() => {
        for (const [key, value] of decodeValue(chunk) as readonly (readonly [Uint8Array, Uint8Array])[]) {
          next.putSync(Buffer.from(key), Buffer.from(value));
          sum.add(fingerprintOf(key, value));
          size += 1;
        }
      });
      yield;
    }
    this.#held = held;
    this.#sum.set(sum);
    this.#size = size;
  }

  *scrubbing(): Generator<void, readonly string[]> {
    const { texts } = this.#held;
    const transaction = texts.useReadTransaction();
    try {
      const expected = new FingerprintSum();
      expected.set(this.#sum);
      let looked = 0;
      for (const { key, value } of texts.getRange({ transaction })) {
        expected.remove(fingerprintOf(key, value));
        looked += 1;
        if (looked % entriesPerScrub === 0) yield;
      }
      return expected.high === 0 && expected.low === 0 ? [] : ["texts"];
    } finally {
      transaction.done();
    }
  }

  /** Nothing is due by time. */
  dueAt(): undefined {
    return undefined;
  }
}

function fingerprintOf(key: Uint8Array, value: Uint8Array): Fingerprint {
  return new Mixer().begin().bytes(key).bytes(value).end();
}

function digestOf(hash: Hash, { high, low }: Fingerprint): Uint8Array {
  return hash.sha256(encodeValue([high, low]));
}

/** In the order of keys, so that equal states have equal pieces. */
function* piecesOf({ texts }: Held, transaction: Transaction): Generator<Uint8Array, void> {
  let piece: [Uint8Array, Uint8Array][] = [];
  let bytes = 0;
  for (const { key, value } of texts.getRange({ transaction })) {
    piece.push([key, value]);
    bytes += key.length + value.length;
    if (bytes < pieceBytes) continue;
    yield encodeValue(piece);
    [piece, bytes] = [[], 0];
  }
  if (piece.length > 0) yield encodeValue(piece);
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isKey(value: unknown): boolean {
  return isText(value) && value !== "" && Buffer.byteLength(value) <= keyBytesMax;
}

function isEntry(value: unknown): boolean {
  const { key, value: text } = (value ?? {}) as { readonly key?: unknown; readonly value?: unknown };
  return isKey(key) && isText(text);
}

const isRight: Readonly<Record<string, (input: unknown) => boolean>> = {
  set: isEntry,
  setAll: (input) => Array.isArray(input) && input.every(isEntry),
  remove: isKey,
  get: isKey,
  size: (input) => input === undefined,
};

const store: Machine<Commands, Queries> = {
  name: "store",
  version: 1,
  commandNames: ["remove", "set", "setAll"],
  queryNames: ["get", "size"],
  open: ({ hash }) => new StoreInstance(hash),
  admit(name, input): AdmitOutcome {
    const given = decodeValue(input);
    if (!(given instanceof DecodeFailure) && isRight[name]?.(given) === true) return { status: "admitted", input };
    return { status: "invalid", message: `Cannot ${name}: a key has 1 to ${keyBytesMax} bytes, and a value is text` };
  },
};

export default store;
