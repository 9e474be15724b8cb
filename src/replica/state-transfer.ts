/**
 * Fetches a checkpoint from peers, and gives peers what they ask for.
 *
 * Owns: whom to ask for which part, what is believed, and that nothing is lost by a crash at any step: a chunk that came is on disk and need
 * not come again. Leaves to others: that a checkpoint is needed (the core, or damage found at start), installing its state (the host).
 * Called by `replica/replica.ts` with each tick and each message.
 *
 * A manifest is believed if its hash is the root that a certificate names, a chunk if its hash is the one that the manifest names (hazards S7,
 * B16). Who has signed is not counted here: the certificate came out of the order, peers do not lie in this fault model, and whoever lacks
 * enough to need a checkpoint may know none of the present voters. One chunk is asked of each peer at a time, so peers' clients are not crowded out, and all peers that have it serve together. A
 * peer that does not answer, or answers with something else, is passed over for a while.
 */
import type { TransferLimits } from "../api/config.js";
import type { CheckpointStatus } from "../api/replica.js";
import { equalBytes, hexOf } from "../base/bytes.js";
import { unreachable } from "../base/invariant.js";
import { bytesOf, type Certificate, type Checkpoint, type ChunkName } from "../model/checkpoint.js";
import type { LogIndex, ReplicaId } from "../model/ids.js";
import { maxIndex } from "../model/ids.js";
import type { TransferMessage } from "../model/transfer.js";
import type { Hash } from "../ports/hash.js";
import type { CheckpointStore } from "../storage/checkpoint-store.js";
import { decodeManifest, encodeManifest } from "../wire/checkpoint-codec.js";
import { decodeTransferMessage, encodeTransferMessage } from "../wire/transfer-codec.js";

export interface StateTransferParts {
  readonly store: CheckpointStore;
  readonly hash: Hash;
  readonly limits: TransferLimits;
  /** Otherwise only a checkpoint whose root is known here is taken: its certificate was checked by the core. */
  readonly believesPeers: boolean;
  /** Who can be asked: there is a link. */
  readonly peers: () => readonly ReplicaId[];
  readonly send: (to: ReplicaId, payload: Uint8Array) => void;
  /** Published and certified on this disk. */
  readonly fetched: (checkpoint: Checkpoint) => void;
  readonly dropped: (reason: string, detail: string) => void;
}

interface Asked {
  readonly what: "manifest" | ChunkName;
  readonly at: number;
}

/** A manifest that came. */
interface Offer {
  /** Whose it is: it keeps these chunks until they are fetched. */
  readonly from: ReplicaId;
  readonly checkpoint: Checkpoint;
  readonly certificate: Certificate;
}

interface Fetching extends Offer {
  /** By hash, in the order of the manifest: not there and not asked for. */
  readonly missing: Map<string, ChunkName>;
  /** Looked at, asked for, or being written. */
  open: number;
  bytesDone: number;
}

/** Whoever fetches a checkpoint has ended when it asks for nothing for so many times as long as an answer may take. */
const silentReplies = 4;

export class StateTransfer {
  readonly #parts: StateTransferParts;
  /** A checkpoint of this index or later is wanted. */
  #wanted: LogIndex | undefined;
  /** What the wanted one must be. */
  #root: Uint8Array | undefined;
  #fetching: Fetching | undefined;
  /** Of peers, of a later index than the wanted one: whether to believe them is seen when the core has come there. */
  readonly #early = new Map<ReplicaId, Offer>();
  readonly #asked = new Map<ReplicaId, Asked>();
  /** Passed over until then. */
  readonly #restUntil = new Map<ReplicaId, number>();
  /** Peers that fetch from here: when they asked last, and after how much silence they have ended. */
  readonly #takers = new Map<ReplicaId, { at: number; readonly silenceMsMax: number }>();
  #reading = 0;
  #fetched = 0;
  /** Bytes may be asked for once this is positive; it grows with time. */
  #allowance = 0;
  #lastStep: number | undefined;

  constructor(parts: StateTransferParts) {
    this.#parts = parts;
  }

  /** Checkpoints fetched since start. */
  get fetched(): number {
    return this.#fetched;
  }

  get progress(): CheckpointStatus["fetching"] {
    const fetching = this.#fetching;
    if (fetching === undefined) return undefined;
    const { checkpoint, bytesDone } = fetching;
    return { index: checkpoint.last.index, bytes: bytesOf(checkpoint), bytesDone };
  }

  /** A checkpoint of this index, or a later one, is needed here. Asked again while one is fetched, it changes nothing. */
  want(index: LogIndex, root?: Uint8Array): void {
    if (index >= (this.#wanted ?? index)) this.#root = root ?? this.#root;
    this.#wanted = maxIndex(this.#wanted ?? index, index);
    for (const offer of [...this.#early.values()]) this.#consider(offer, this.#wanted);
  }

  /** What is needed is here, by another way or by this one. */
  done(index: LogIndex): void {
    if (this.#wanted !== undefined && index >= this.#wanted) {
      this.#wanted = undefined;
      this.#early.clear();
    }
    if (this.#fetching !== undefined && index >= this.#fetching.checkpoint.last.index) this.#abandon();
  }

  step(now: number): void {
    const { limits } = this.#parts;
    const passed = this.#lastStep === undefined ? 0 : now - this.#lastStep;
    this.#lastStep = now;
    this.#allowance = Math.min(limits.bytesPerSecondMax, this.#allowance + (passed / 1000) * limits.bytesPerSecondMax);
    this.#forgetTakers(now);
    if (this.#wanted === undefined) return;
    const peers = this.#parts.peers();
    for (const [peer, { what, at }] of this.#asked) {
      if (now - at < limits.replyMs && peers.includes(peer)) continue;
      this.#asked.delete(peer);
      this.#rest(peer, now);
      if (what !== "manifest") this.#putBack(what);
      // It may not keep this one any longer.
      if (peer === this.#fetching?.from) this.#abandon();
    }
    if (this.#fetching !== undefined && !peers.includes(this.#fetching.from)) this.#abandon();
    // Whoever gave the manifest has every chunk; another might be asked for the same one again and again, each time that it has rested.
    const owner = this.#fetching?.from;
    for (const peer of owner === undefined ? peers : [owner, ...peers.filter((other) => other !== owner)]) {
      const isFree = !this.#asked.has(peer) && now >= (this.#restUntil.get(peer) ?? 0);
      if (isFree) this.#ask(peer, now);
    }
  }

  receive(from: ReplicaId, payload: Uint8Array, now: number): void {
    const message = decodeTransferMessage(payload);
    if (message === undefined) return this.#parts.dropped("malformed transfer message", `from ${from}`);
    switch (message.kind) {
      case "manifestRequest":
        return this.#giveManifest(from, message.index, now);
      case "chunkRequest":
        return this.#giveChunk(from, message, now);
      case "manifestReply":
        return this.#onManifest(from, message, now);
      case "chunkReply":
        return this.#onChunk(from, message, now);
      case "manifestAbsent":
      case "chunkAbsent":
        return this.#onAbsent(from, now);
      default:
        return unreachable(message);
    }
  }

  #ask(peer: ReplicaId, now: number): void {
    const fetching = this.#fetching;
    if (fetching === undefined) {
      if (this.#wanted === undefined) return;
      if (this.#early.has(peer)) return;
      this.#asked.set(peer, { what: "manifest", at: now });
      return this.#send(peer, { kind: "manifestRequest", index: this.#wanted });
    }
    const [next] = fetching.missing;
    if (next === undefined || this.#allowance <= 0) return;
    const [hex, chunk] = next;
    fetching.missing.delete(hex);
    fetching.open += 1;
    this.#allowance -= chunk.bytes;
    this.#asked.set(peer, { what: chunk, at: now });
    this.#send(peer, { kind: "chunkRequest", ...chunk });
  }

  #putBack(chunk: ChunkName): void {
    const fetching = this.#fetching;
    if (fetching === undefined) return;
    fetching.missing.set(hexOf(chunk.hash), chunk);
    fetching.open -= 1;
  }

  #onManifest(from: ReplicaId, reply: Extract<TransferMessage, { readonly kind: "manifestReply" }>, now: number): void {
    const { hash, dropped } = this.#parts;
    if (this.#asked.get(from)?.what !== "manifest") return;
    this.#asked.delete(from);
    const wanted = this.#wanted;
    if (wanted === undefined || this.#fetching !== undefined) return;
    const { certificate } = reply;
    const checkpoint = decodeManifest(reply.manifest.slice(), hash);
    const isCertified =
      checkpoint !== undefined &&
      checkpoint.last.index === certificate.index &&
      equalBytes(checkpoint.root, certificate.root);
    const isRight = isCertified && this.#consider({ from, checkpoint, certificate }, wanted);
    if (isRight) return;
    dropped("checkpoint manifest", `from ${from}: it is not certified, or not what entry ${wanted} has`);
    this.#rest(from, now);
  }

  /**
   * False: it is another one than the core knows. What is of an earlier index crossed with the news of a later one, and is asked for again. What is of a
   * later one waits for that news: where checkpoints follow each other quickly a peer has always got one that is not known here yet.
   */
  #consider(offer: Offer, wanted: LogIndex): boolean {
    const { from, checkpoint } = offer;
    const { index } = checkpoint.last;
    const { believesPeers } = this.#parts;
    this.#early.delete(from);
    if (index < wanted) return true;
    if (index > wanted && !believesPeers) {
      this.#early.set(from, offer);
      return true;
    }
    if (!believesPeers && (this.#root === undefined || !equalBytes(checkpoint.root, this.#root))) return false;
    if (this.#fetching === undefined) this.#begin({ ...offer, missing: new Map(), open: 0, bytesDone: 0 });
    return true;
  }

  #begin(fetching: Fetching): void {
    this.#fetching = fetching;
    const chunks = new Map(fetching.checkpoint.chunks.map((chunk) => [hexOf(chunk.hash), chunk]));
    fetching.open += chunks.size + 1;
    for (const [hex, chunk] of chunks) {
      this.#parts.store.adopt(chunk, (isThere) => {
        fetching.open -= 1;
        if (isThere) fetching.bytesDone += chunk.bytes;
        else fetching.missing.set(hex, chunk);
        this.#finishIfWhole(fetching);
      });
    }
    fetching.open -= 1;
    this.#finishIfWhole(fetching);
  }

  #onChunk(
    from: ReplicaId,
    { hash: name, content }: Extract<TransferMessage, { readonly kind: "chunkReply" }>,
    now: number,
  ): void {
    const { store, hash, dropped } = this.#parts;
    const what = this.#asked.get(from)?.what;
    if (what === undefined || what === "manifest" || !equalBytes(what.hash, name)) return;
    this.#asked.delete(from);
    const fetching = this.#fetching;
    if (fetching === undefined) return;
    if (!equalBytes(hash.sha256(content), what.hash)) {
      dropped("checkpoint chunk", `from ${from}: it is not what its hash says`);
      this.#putBack(what);
      return this.#rest(from, now);
    }
    store.writeChunk(what, content.slice(), (failure) => {
      if (this.#fetching !== fetching) return;
      // A full disk may have room again later.
      if (failure !== undefined) return this.#putBack(what);
      fetching.open -= 1;
      fetching.bytesDone += what.bytes;
      this.#finishIfWhole(fetching);
    });
    this.#ask(from, now);
  }

  #onAbsent(from: ReplicaId, now: number): void {
    const what = this.#asked.get(from)?.what;
    if (what === undefined) return;
    this.#asked.delete(from);
    this.#rest(from, now);
    if (what === "manifest") return;
    this.#putBack(what);
    // Others may have another one. If whoever gave this one has it no more, what came of it is used again where the next one names it too.
    if (from === this.#fetching?.from) this.#abandon();
  }

  #finishIfWhole(fetching: Fetching): void {
    if (this.#fetching !== fetching || fetching.open > 0 || fetching.missing.size > 0) return;
    const { store, fetched, dropped } = this.#parts;
    const { checkpoint, certificate } = fetching;
    // Not finished twice, and nothing is asked for meanwhile.
    fetching.open = 1;
    store.publish(checkpoint, (failure) => {
      if (failure !== undefined) {
        this.#abandon();
        return dropped("checkpoint", `it could not be published: ${failure.message}`);
      }
      store.certify(certificate, "isReplaced", (notCertified) => {
        this.#fetching = undefined;
        if (notCertified === undefined) {
          this.#fetched += 1;
          return fetched(checkpoint);
        }
        dropped("checkpoint", `its certificate could not be written: ${notCertified.message}`);
      });
    });
  }

  #abandon(): void {
    const fetching = this.#fetching;
    this.#fetching = undefined;
    // Late answers are about chunks of this one.
    for (const [peer, { what }] of this.#asked) if (what !== "manifest") this.#asked.delete(peer);
    if (fetching !== undefined) this.#parts.store.letGo(fetching.checkpoint.chunks);
  }

  #rest(peer: ReplicaId, now: number): void {
    this.#restUntil.set(peer, now + this.#parts.limits.restMs);
  }

  #giveManifest(to: ReplicaId, index: LogIndex, now: number): void {
    const { store, limits } = this.#parts;
    const { certified, certificate } = store;
    if (certified === undefined || certificate === undefined || certified.last.index < index) {
      return this.#send(to, { kind: "manifestAbsent", index });
    }
    store.keepFor(to, certified);
    // A large chunk may use up what a slow peer may take for a long time.
    const largest = Math.max(0, ...certified.chunks.map(({ bytes }) => bytes));
    const chunkMs = (largest / limits.bytesPerSecondMax) * 1000;
    this.#takers.set(to, { at: now, silenceMsMax: silentReplies * limits.replyMs + 2 * chunkMs });
    this.#send(to, { kind: "manifestReply", certificate, manifest: encodeManifest(certified) });
  }

  /** Whoever has asked for nothing lately has all, or will ask for another one: otherwise checkpoints would be kept for ever. */
  #forgetTakers(now: number): void {
    for (const [peer, { at, silenceMsMax }] of this.#takers) {
      if (now - at < silenceMsMax) continue;
      this.#takers.delete(peer);
      this.#parts.store.keepFor(peer, undefined);
    }
  }

  /** Too many questions at once are dropped: they are asked again, here or elsewhere. */
  #giveChunk(to: ReplicaId, chunk: ChunkName, now: number): void {
    const { store, limits } = this.#parts;
    const taker = this.#takers.get(to);
    if (taker !== undefined) taker.at = now;
    if (this.#reading >= limits.readsInFlightMax) return;
    const hash = chunk.hash.slice();
    this.#reading += 1;
    store.readChunk({ hash, bytes: chunk.bytes }, (content) => {
      this.#reading -= 1;
      this.#send(to, content === undefined ? { kind: "chunkAbsent", hash } : { kind: "chunkReply", hash, content });
    });
  }

  #send(to: ReplicaId, message: TransferMessage): void {
    this.#parts.send(to, encodeTransferMessage(message));
  }
}
