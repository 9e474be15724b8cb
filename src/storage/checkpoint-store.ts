/**
 * Checkpoints on disk: chunks by their hash, manifests, and which one is certified.
 *
 * Owns: the files in `checkpoints/`, that a manifest is there only with all of its chunks durable, what may be removed. Leaves to others:
 * what chunks hold (`execution/checkpoint-frames.ts`), when one is made or fetched (`replica/`). A chunk is named by its SHA-256, so one
 * that is there already need not be written or sent again, and one that is damaged is noticed when it is read (hazard S7). What no
 * manifest names is left over from a crash: it is used again if it is whole, and goes with the next certificate (hazard S9).
 *
 *   <hash>.chunk         the bytes
 *   <index>.manifest     CRC-32 u32, then `wire/checkpoint-codec.ts`
 *   certificate          CRC-32 u32, then the certificate: of the newest checkpoint that f + 1 replicas have reported alike; then that of the
 *                        one before, if it is kept
 *
 * Kept: the certified checkpoint, whatever is newer, and the one that was certified before, to begin with if the certified one turns out
 * damaged: with the log since then, which is why it goes when the log is replaced. It goes too if both take more than `bothBytesMax`.
 */
import { ByteReader, ByteWriter, equalBytes, hexOf } from "../base/bytes.js";
import type { Certificate, Checkpoint, ChunkName } from "../model/checkpoint.js";
import { noIndex, type LogIndex, type ReplicaId } from "../model/ids.js";
import { DiskError, type Disk } from "../ports/disk.js";
import type { Hash } from "../ports/hash.js";
import { decodeManifest, encodeManifest, readCertificate, writeCertificate } from "../wire/checkpoint-codec.js";

const directoryName = "checkpoints";
const certificateName = "certificate";
const manifestPattern = /^(\d{16})\.manifest$/;
const chunkPattern = /^([0-9a-f]{64})\.chunk$/;
const manifestBytesMax = 64 * 1024 * 1024;
/** A longer one is not read: no writer makes one. */
const chunkBytesMax = 64 * 1024 * 1024;

export interface CheckpointStoreParts {
  readonly disk: Disk;
  readonly hash: Hash;
  /** The data directory. */
  readonly directory: string;
  /** Bytes of two checkpoints up to which the older one is kept; 0 if not given. */
  readonly bothBytesMax?: number;
}

type Done = (failure: DiskError | undefined) => void;

export class CheckpointStore {
  readonly #parts: CheckpointStoreParts;
  readonly #path: string;
  /** Whose manifests are durable, by index, ascending. */
  #published: Checkpoint[] = [];
  #certificate: Certificate | undefined;
  /** Of the checkpoint that was certified before, as long as it is kept. */
  #certificateBefore: Certificate | undefined;
  /** Names of the chunks that are there and whole, as far as anybody has looked. */
  readonly #chunks = new Set<string>();
  /** Chunks that an earlier process left behind without a manifest: some may be torn. */
  readonly #leftovers = new Set<string>();
  /** Chunks of checkpoints that are being made or fetched: no manifest names them yet. */
  readonly #held = new Set<string>();
  /** What each peer fetches. */
  readonly #given = new Map<ReplicaId, Checkpoint>();
  #writing = 0;
  /** Begun since the store was opened. */
  #writes = 0;
  #closing: (() => void) | undefined;

  constructor(parts: CheckpointStoreParts) {
    this.#parts = parts;
    this.#path = `${parts.directory}/${directoryName}`;
    this.#open();
  }

  get newest(): Checkpoint | undefined {
    return this.#published.at(-1);
  }

  get certificate(): Certificate | undefined {
    return this.#certificate;
  }

  /** The checkpoint that the certificate is of. */
  get certified(): Checkpoint | undefined {
    return this.#of(this.#certificate);
  }

  /** Certified before that one, and kept beside it. */
  get fallback(): Checkpoint | undefined {
    return this.#of(this.#certificateBefore);
  }

  /** Newest first. */
  get all(): readonly Checkpoint[] {
    return this.#published.toReversed();
  }

  at(index: LogIndex): Checkpoint | undefined {
    return this.#published.find(({ last }) => last.index === index);
  }

  /** Of the chunks of published checkpoints. */
  get bytes(): number {
    return bytesTogether(this.#published);
  }

  has({ hash }: ChunkName): boolean {
    return this.#chunks.has(hexOf(hash));
  }

  /** Those of published checkpoints, each once. */
  get named(): readonly ChunkName[] {
    return namedBy(this.#published);
  }

  /** Published checkpoints name chunks that are not there, or not what they were, as far as anybody has looked. */
  get isDamaged(): boolean {
    return !this.#published.every((checkpoint) => this.#isWhole(checkpoint));
  }

  /** Whether it is there, perhaps left behind by an earlier process; from now on it stays. */
  adopt(name: ChunkName, done: (isThere: boolean) => void): void {
    const hex = hexOf(name.hash);
    this.#held.add(hex);
    if (this.#chunks.has(hex) || !this.#leftovers.has(hex)) return done(this.#chunks.has(hex));
    this.readChunk(name, (bytes) => {
      this.#leftovers.delete(hex);
      if (bytes !== undefined) this.#chunks.add(hex);
      done(bytes !== undefined);
    });
  }

  /** These chunks are not going to be published. */
  letGo(names: readonly ChunkName[]): void {
    for (const { hash } of names) this.#held.delete(hexOf(hash));
  }

  /** The caller has hashed the bytes. Durable when `done` is called without a failure, but for its name: `publish` sees to that. */
  writeChunk(name: ChunkName, bytes: Uint8Array, done: Done): void {
    const hex = hexOf(name.hash);
    this.#held.add(hex);
    this.#write(`${hex}.chunk`, bytes, (failure) => {
      if (failure === undefined) this.#chunks.add(hex);
      done(failure);
    });
  }

  /** All chunks are written; their names and this one become durable together. */
  publish(checkpoint: Checkpoint, done: Done): void {
    // Each was there when it was written or taken over; somebody may have found since that it is not what it was.
    const damaged = checkpoint.chunks.find((chunk) => !this.has(chunk));
    if (damaged !== undefined) return done(new DiskError("failed", `chunk ${hexOf(damaged.hash)} is damaged`));
    this.#replace(nameOf(checkpoint.last.index), this.#withChecksum(encodeManifest(checkpoint)), (failure) => {
      if (failure === undefined) {
        this.#published = this.#published.filter(({ last }) => last.index !== checkpoint.last.index);
        this.#published.push(checkpoint);
        this.#published.sort((left, right) => left.last.index - right.last.index);
        this.letGo(checkpoint.chunks);
      }
      done(failure);
    });
  }

  /**
   * The checkpoint is published. What is older is removed, but for the one certified before if it is whole, small enough, and the log goes on
   * from it.
   */
  certify(certificate: Certificate, log: "goesOn" | "isReplaced", done: Done): void {
    const before = log === "goesOn" && this.#fits(certificate) ? this.#certificate : undefined;
    this.#replace(certificateName, this.#encodeCertificates(certificate, before) ?? new Uint8Array(0), (failure) => {
      if (failure === undefined) {
        this.#certificate = certificate;
        this.#certificateBefore = before;
        this.#keepNeeded();
      }
      done(failure);
    });
  }

  /** This one stays whole, however old, while a peer fetches it; undefined: none for this peer any more. */
  keepFor(peer: ReplicaId, checkpoint: Checkpoint | undefined): void {
    const before = this.#given.get(peer);
    if (before === checkpoint) return;
    if (checkpoint === undefined) this.#given.delete(peer);
    else this.#given.set(peer, checkpoint);
    if (before !== undefined && this.certified !== undefined) this.#keepNeeded();
  }

  /** Whatever nobody else vouches for is removed. */
  keepCertified(): void {
    const { certified, fallback } = this;
    this.#keepOnly((each) => each === certified || each === fallback);
  }

  /** Execution begins with this one, since none that is newer can be read: those are as good as not there, and not certified. */
  beginWith({ last }: Checkpoint): void {
    const all = this.#published;
    this.#published = all.filter((each) => each.last.index <= last.index);
    const kept = new Set(this.named.map(({ hash }) => hexOf(hash)));
    for (const { hash } of namedBy(all)) {
      const hex = hexOf(hash);
      // Nobody knows which of them are whole: each is read before it is used again.
      if (!kept.has(hex) && this.#chunks.delete(hex)) this.#leftovers.add(hex);
    }
    const isLoaded = (each: Certificate | undefined): boolean => each !== undefined && each.index <= last.index;
    [this.#certificate, this.#certificateBefore] = [this.#certificate, this.#certificateBefore].filter(isLoaded);
  }

  /** Its space is needed. */
  dropFallback(): void {
    if (this.fallback === undefined) return;
    this.#certificateBefore = undefined;
    this.#keepNeeded();
  }

  /** `done` once nothing is being written any more. Nothing is begun from now on. */
  close(done: () => void): void {
    this.#closing = done;
    if (this.#writing === 0) done();
  }

  /** Undefined if it is not there, or not what its name says: then it is as good as missing. */
  readChunk(name: ChunkName, done: (bytes: Uint8Array | undefined) => void): void {
    this.#read(name, (bytes) => done(bytes === undefined ? undefined : this.#checked(name, bytes)));
  }

  /** Reads one again; `done` is given what answers whether it is what it was, which takes the time of hashing it. */
  look(name: ChunkName, done: (isWhole: () => boolean) => void): void {
    this.#read(name, (bytes) => done(() => bytes !== undefined && this.#checked(name, bytes) !== undefined));
  }

  /** Files beside the chunks: the manifests, and the certificate. */
  get records(): readonly string[] {
    const manifests = this.#published.map(({ last }) => nameOf(last.index));
    return this.#certificate === undefined ? manifests : [...manifests, certificateName];
  }

  /** Reads one again. What it must hold is here, so it is written again if it is not what it was; `done` is told whether it was. */
  lookAtRecord(name: string, done: (isWhole: boolean) => void): void {
    const content = this.#recordOf(name);
    const writes = this.#writes;
    // While anything is written, what is read may be of before or of after.
    if (content === undefined || this.#writing > 0) return done(true);
    this.#readFile(`${this.#path}/${name}`, content.length, (bytes) => {
      const isJudged = this.#writes === writes && this.#closing === undefined;
      if (!isJudged || (bytes !== undefined && equalBytes(bytes, content))) return done(true);
      this.#replace(name, content, () => done(false));
    });
  }

  /** At start, and while a state is installed: as `readChunk`, at once. */
  readChunkNow(name: ChunkName): Uint8Array | undefined {
    try {
      return this.#checked(name, this.#parts.disk.readFile(this.#chunkPath(name), chunkBytesMax));
    } catch (cause) {
      if (!(cause instanceof DiskError)) throw cause;
      this.#chunks.delete(hexOf(name.hash));
      return undefined;
    }
  }

  /** What cannot be read is as good as missing. */
  #read(name: ChunkName, done: (bytes: Uint8Array | undefined) => void): void {
    this.#readFile(this.#chunkPath(name), Math.min(name.bytes, chunkBytesMax), (bytes) => {
      if (bytes === undefined) this.#chunks.delete(hexOf(name.hash));
      done(bytes);
    });
  }

  #readFile(path: string, length: number, done: (bytes: Uint8Array | undefined) => void): void {
    this.#parts.disk.openLater(path, "existing", (file) => {
      if (file instanceof DiskError) return done(undefined);
      file.read(0, length, (bytes) => {
        file.close(ignore);
        done(bytes instanceof DiskError ? undefined : bytes);
      });
    });
  }

  /** What the file must hold. */
  #recordOf(name: string): Uint8Array | undefined {
    if (name === certificateName) return this.#encodeCertificates(this.#certificate, this.#certificateBefore);
    const checkpoint = this.#published.find(({ last }) => nameOf(last.index) === name);
    return checkpoint && this.#withChecksum(encodeManifest(checkpoint));
  }

  #encodeCertificates(...certificates: readonly (Certificate | undefined)[]): Uint8Array | undefined {
    const body = new ByteWriter();
    for (const each of certificates) if (each !== undefined) writeCertificate(body, each);
    return body.length === 0 ? undefined : this.#withChecksum(body.peek());
  }

  #checked(name: ChunkName, bytes: Uint8Array): Uint8Array | undefined {
    if (equalBytes(this.#parts.hash.sha256(bytes), name.hash)) return bytes;
    this.#chunks.delete(hexOf(name.hash));
    return undefined;
  }

  #chunkPath({ hash }: ChunkName): string {
    return `${this.#path}/${hexOf(hash)}.chunk`;
  }

  #write(name: string, bytes: Uint8Array, then: Done): void {
    const path = `${this.#path}/${name}`;
    const done = this.#begin(then);
    this.#parts.disk.openLater(path, "create", (file) => {
      if (file instanceof DiskError) return done(file);
      file.write(0, [bytes], (failure) => file.close((notClosed) => done(failure ?? notClosed)));
    });
  }

  /** The old content or the new one is there, whenever a crash comes. */
  #replace(name: string, bytes: Uint8Array, done: Done): void {
    this.#write(`${name}.new`, bytes, (failure) => {
      if (failure !== undefined) return done(failure);
      this.#parts.disk.publish(`${this.#path}/${name}.new`, `${this.#path}/${name}`, this.#begin(done));
    });
  }

  /** After `close` nobody is told any more. */
  #begin(then: Done): Done {
    this.#writing += 1;
    this.#writes += 1;
    return (failure) => {
      this.#writing -= 1;
      if (this.#closing === undefined) then(failure);
      else if (this.#writing === 0) this.#closing();
    };
  }

  #open(): void {
    const { disk, hash } = this.#parts;
    disk.makeDirectory(this.#path);
    const names = disk.list(this.#path);
    for (const name of names) {
      if (!manifestPattern.test(name)) continue;
      const manifest = this.#readChecked(name);
      const checkpoint = manifest === undefined ? undefined : decodeManifest(manifest, hash);
      if (checkpoint !== undefined && nameOf(checkpoint.last.index) === name) this.#published.push(checkpoint);
    }
    for (const name of names) {
      const hex = chunkPattern.exec(name)?.[1];
      if (hex !== undefined) this.#leftovers.add(hex);
    }
    for (const { chunks } of this.#published) {
      for (const { hash: name } of chunks) if (this.#leftovers.delete(hexOf(name))) this.#chunks.add(hexOf(name));
    }
    const certificates = names.includes(certificateName) ? this.#readChecked(certificateName) : undefined;
    if (certificates !== undefined) {
      const reader = new ByteReader(certificates);
      this.#certificate = readCertificate(reader);
      this.#certificateBefore = reader.remaining > 0 ? readCertificate(reader) : undefined;
    }
    for (const name of names) if (name.endsWith(".new")) this.#remove(name);
  }

  #withChecksum(content: Uint8Array): Uint8Array {
    const writer = new ByteWriter(content.length + 4);
    writer.u32(this.#parts.hash.crc32(content));
    writer.raw(content);
    return writer.finish();
  }

  /** Undefined if it is damaged: what it says has no other name to be compared with. */
  #readChecked(name: string): Uint8Array | undefined {
    const { disk, hash } = this.#parts;
    const reader = new ByteReader(disk.readFile(`${this.#path}/${name}`, manifestBytesMax));
    const checksum = reader.u32();
    const content = reader.raw(reader.remaining);
    return reader.failed || checksum !== hash.crc32(content) ? undefined : content;
  }

  #of(certificate: Certificate | undefined): Checkpoint | undefined {
    if (certificate === undefined) return undefined;
    const found = this.at(certificate.index);
    return found !== undefined && equalBytes(found.root, certificate.root) ? found : undefined;
  }

  #isWhole({ chunks }: Checkpoint): boolean {
    return chunks.every((chunk) => this.has(chunk));
  }

  /** Whether the one that is certified until now may stay beside this one. */
  #fits({ index }: Certificate): boolean {
    const [older, newer] = [this.certified, this.at(index)];
    if (older === undefined || newer === undefined || older.last.index >= index || !this.#isWhole(older)) return false;
    return bytesTogether([older, newer]) <= (this.#parts.bothBytesMax ?? 0);
  }

  #keepNeeded(): void {
    const from = this.#certificate?.index ?? noIndex;
    const { fallback } = this;
    this.#keepOnly((each) => each.last.index >= from || each === fallback);
  }

  /** Chunks that only removed checkpoints named go with them. A removal that is lost in a crash is made again at the next start. */
  #keepOnly(isWanted: (checkpoint: Checkpoint) => boolean): void {
    const named = new Set<string>(this.#held);
    const given = new Set(this.#given.values());
    const isKept = (checkpoint: Checkpoint): boolean => isWanted(checkpoint) || given.has(checkpoint);
    for (const { last } of this.#published.filter((each) => !isKept(each))) this.#remove(nameOf(last.index));
    this.#published = this.#published.filter(isKept);
    for (const { chunks } of this.#published) for (const { hash } of chunks) named.add(hexOf(hash));
    for (const chunks of [this.#chunks, this.#leftovers]) {
      for (const hex of chunks) {
        if (named.has(hex)) continue;
        this.#remove(`${hex}.chunk`);
        chunks.delete(hex);
      }
    }
  }

  /** What cannot be removed now is tried again after the next start. */
  #remove(name: string): void {
    try {
      this.#parts.disk.remove(`${this.#path}/${name}`);
    } catch (cause) {
      if (!(cause instanceof DiskError)) throw cause;
    }
  }
}

/** Thrown by `readAll` at the first chunk that is not there or not what its name says. */
export class ChunkDamaged extends Error {
  override readonly name = "ChunkDamaged";
}

/** The content of the chunks, one after the other. @throws ChunkDamaged */
export function* readAll(store: CheckpointStore, chunks: readonly ChunkName[]): Generator<Uint8Array, void> {
  for (const chunk of chunks) {
    const bytes = store.readChunkNow(chunk);
    if (bytes === undefined) throw new ChunkDamaged(`chunk ${hexOf(chunk.hash)} is damaged or missing`);
    yield bytes;
  }
}

/** Each once. */
function namedBy(checkpoints: readonly Checkpoint[]): readonly ChunkName[] {
  const named = checkpoints.flatMap(({ chunks }) => chunks).map((chunk) => [hexOf(chunk.hash), chunk] as const);
  return [...new Map(named).values()];
}

function bytesTogether(checkpoints: readonly Checkpoint[]): number {
  return namedBy(checkpoints).reduce((sum, { bytes }) => sum + bytes, 0);
}

function nameOf(index: LogIndex): string {
  return `${String(index).padStart(16, "0")}.manifest`;
}

function ignore(): void {
  // A file that was only read loses nothing when its close fails.
}
