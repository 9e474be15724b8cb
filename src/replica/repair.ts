/**
 * Fetches damaged entries from peers, and gives peers what they miss (hazards D3, D9, D10, D11).
 *
 * Owns: whom to ask for which entry and when, and the comparison of what comes with the name that survived here: index, term
 * and checksum. Leaves to others: finding damage (`storage/`), not executing past it and not standing for election meanwhile (engine
 * and core), links. Called by `replica/raft-driver.ts` with each tick and each repair message.
 *
 * It never gives up, since a peer that holds the only other copy may be down for long; it asks ever more rarely instead. An entry
 * that every peer has denied is `unavailable`: if it was committed, the group has halted there and an operator must know the index.
 *
 * Invariant P5: only an entry whose checksum is the surviving one is written.
 */
import type { RepairLimits } from "../api/config.js";
import { invariant, unreachable } from "../base/invariant.js";
import { nextFraction, randomStream } from "../base/random.js";
import type { Random } from "../base/random.js";
import type { Entry } from "../model/entry.js";
import type { LogIndex, ReplicaId } from "../model/ids.js";
import type { DamagedEntry } from "../model/log.js";
import type { RepairMessage } from "../model/repair.js";
import type { Hash } from "../ports/hash.js";
import type { LogStore } from "../storage/log-store.js";
import { entryChecksum } from "../storage/wal-format.js";
import { decodeRepairMessage, encodeRepairMessage } from "../wire/repair-codec.js";

export interface RepairParts {
  readonly damaged: readonly DamagedEntry[];
  /** Every other member, as things stand. */
  readonly peers: () => readonly ReplicaId[];
  /** Read only: what peers ask for. */
  readonly log: Pick<LogStore, "read">;
  readonly hash: Hash;
  readonly seed: number;
  readonly limits: RepairLimits;
}

export type RepairEffect =
  | { readonly kind: "send"; readonly to: ReplicaId; readonly payload: Uint8Array }
  /** Write it in place of the damaged one, then call `written`. */
  | { readonly kind: "write"; readonly entry: Entry }
  /** Every peer has denied to have this entry: told once, so that an operator learns the index. */
  | { readonly kind: "unavailable"; readonly index: LogIndex };

export interface RepairStatus {
  readonly damaged: number;
  readonly repaired: number;
  /** Entries that every peer has denied to have, ascending, the first few. */
  readonly unavailable: readonly LogIndex[];
  /** Answers that were not the wanted entry, and messages that nobody understands. */
  readonly wrongReplies: number;
}

/** One damaged entry on its way to repair. */
interface Wanted {
  readonly damaged: DamagedEntry;
  phase: "asking" | "writing";
  /** Asked last; undefined before the first time. */
  asked: ReplicaId | undefined;
  /** When the next peer is asked. */
  dueAt: number;
  tries: number;
  readonly deniedBy: Set<ReplicaId>;
}

const unavailableShown = 16;

export class Repair {
  readonly #parts: RepairParts;
  readonly #random: Random;
  /** By index, ascending. */
  readonly #wanted = new Map<LogIndex, Wanted>();
  #first: LogIndex | undefined;
  #outbox: RepairEffect[] = [];
  #reading = 0;
  #repaired = 0;
  #wrongReplies = 0;

  constructor(parts: RepairParts) {
    this.#parts = parts;
    this.#random = randomStream(parts.seed, "repair");
    for (const damaged of [...parts.damaged].sort((left, right) => left.index - right.index)) {
      const wanted = { damaged, asked: undefined, dueAt: 0, tries: 0, deniedBy: new Set<ReplicaId>() };
      this.#wanted.set(damaged.index, { ...wanted, phase: "asking" });
    }
    this.#findFirst();
  }

  /** Nothing may be executed from here on until it is repaired. */
  get firstDamaged(): LogIndex | undefined {
    return this.#first;
  }

  get status(): RepairStatus {
    const unavailable: LogIndex[] = [];
    for (const [index, wanted] of this.#wanted) {
      if (unavailable.length < unavailableShown && this.#isUnavailable(wanted)) unavailable.push(index);
    }
    return { damaged: this.#wanted.size, repaired: this.#repaired, unavailable, wrongReplies: this.#wrongReplies };
  }

  /** What is to be done now. `now` is monotonic, in milliseconds. */
  step(now: number): readonly RepairEffect[] {
    if (this.#wanted.size > 0) this.#askAll(now);
    if (this.#outbox.length === 0) return this.#outbox;
    const effects = this.#outbox;
    this.#outbox = [];
    return effects;
  }

  receive(from: ReplicaId, payload: Uint8Array, now: number): void {
    const message = decodeRepairMessage(payload);
    if (message === undefined) {
      this.#wrongReplies += 1;
      return;
    }
    switch (message.kind) {
      case "repairRequest":
        return this.#give(from, message.wanted);
      case "repairReply":
        return this.#onReply(from, message.entry, now);
      case "repairAbsent":
        return this.#onAbsent(from, message.index, now);
      default:
        return unreachable(message);
    }
  }

  /** The entry lies on disk, whole again. */
  written(index: LogIndex): void {
    const wanted = this.#wanted.get(index);
    // A leader may have cut the log in the meantime: then nobody wants it any more.
    if (wanted === undefined) return;
    invariant(wanted.phase === "writing", "P5 only an entry whose checksum is the surviving one is written");
    this.#wanted.delete(index);
    this.#repaired += 1;
    this.#findFirst();
  }

  /** A leader's conflicting append has removed the log from this index on, and with it what was damaged there. */
  truncated(from: LogIndex): void {
    if (this.#wanted.size === 0) return;
    this.#outbox = this.#outbox.filter((effect) => effect.kind !== "write" || effect.entry.index < from);
    for (const index of [...this.#wanted.keys()]) if (index >= from) this.#wanted.delete(index);
    this.#findFirst();
  }

  /** A checkpoint covers these: nobody needs them any more. */
  forgetUpTo(last: LogIndex): void {
    if (this.#wanted.size === 0) return;
    this.#outbox = this.#outbox.filter((effect) => effect.kind !== "write" || effect.entry.index > last);
    for (const index of [...this.#wanted.keys()]) if (index <= last) this.#wanted.delete(index);
    this.#findFirst();
  }

  /** The lowest ones first, since execution waits for them; a bounded number at once. */
  #askAll(now: number): void {
    let inFlight = 0;
    for (const wanted of this.#wanted.values()) {
      if (inFlight >= this.#parts.limits.requestsInFlightMax) return;
      if (wanted.phase === "asking" && now >= wanted.dueAt) this.#ask(wanted, now);
      if (!this.#isUnavailable(wanted)) inFlight += 1;
    }
  }

  #ask(wanted: Wanted, now: number): void {
    const peers = this.#parts.peers();
    const at =
      wanted.asked === undefined
        ? Math.floor(nextFraction(this.#random) * peers.length)
        : peers.indexOf(wanted.asked) + 1;
    const peer = peers[at % peers.length];
    if (peer === undefined) return;
    wanted.asked = peer;
    wanted.dueAt = now + this.#patience(wanted.tries);
    wanted.tries += 1;
    this.#send(peer, { kind: "repairRequest", wanted: wanted.damaged });
  }

  /** Doubles once for each round through the peers, up to its limit, and is spread so that replicas do not ask in step. */
  #patience(tries: number): number {
    const { replyMsMin, replyMsMax } = this.#parts.limits;
    const rounds = Math.min(20, Math.floor(tries / Math.max(1, this.#parts.peers().length)));
    return Math.min(replyMsMax, replyMsMin * 2 ** rounds) * (0.5 + nextFraction(this.#random) / 2);
  }

  #onReply(from: ReplicaId, entry: Entry, now: number): void {
    const wanted = this.#wanted.get(entry.index);
    // Late or unasked: another peer was quicker, or nothing is missing here.
    if (wanted === undefined || wanted.phase !== "asking") return;
    const { term, checksum } = wanted.damaged;
    if (entry.term !== term || entryChecksum(this.#parts.hash, entry) !== checksum) {
      this.#wrongReplies += 1;
      return this.#onAbsent(from, entry.index, now);
    }
    wanted.phase = "writing";
    this.#outbox.push({ kind: "write", entry });
  }

  #onAbsent(from: ReplicaId, index: LogIndex, now: number): void {
    const wanted = this.#wanted.get(index);
    if (wanted === undefined || wanted.phase !== "asking" || wanted.asked !== from) return;
    const wasUnavailable = this.#isUnavailable(wanted);
    wanted.deniedBy.add(from);
    // The next peer is asked at once; when all have denied, the round is over and its pause is kept.
    if (!this.#isUnavailable(wanted)) wanted.dueAt = now;
    else if (!wasUnavailable) this.#outbox.push({ kind: "unavailable", index });
  }

  #isUnavailable(wanted: Wanted): boolean {
    return wanted.phase === "asking" && wanted.deniedBy.size >= this.#parts.peers().length;
  }

  /** A peer asks. Reading takes a while, so the answer leaves with a later step; too many questions at once are dropped. */
  #give(to: ReplicaId, wanted: DamagedEntry): void {
    const { log, hash, limits } = this.#parts;
    if (this.#reading >= limits.readsInFlightMax) return;
    this.#reading += 1;
    log.read(wanted.index, 1, (result) => {
      this.#reading -= 1;
      const entry = Array.isArray(result) ? (result as readonly Entry[])[0] : undefined;
      const isWanted =
        entry !== undefined &&
        entry.index === wanted.index &&
        entry.term === wanted.term &&
        entryChecksum(hash, entry) === wanted.checksum;
      this.#send(to, isWanted ? { kind: "repairReply", entry } : { kind: "repairAbsent", index: wanted.index });
    });
  }

  #send(to: ReplicaId, message: RepairMessage): void {
    this.#outbox.push({ kind: "send", to, payload: encodeRepairMessage(message) });
  }

  #findFirst(): void {
    const [first] = this.#wanted.keys();
    this.#first = first;
  }
}
