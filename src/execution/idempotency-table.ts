/**
 * The replicated idempotency keys: (principal, key) → the digest of the request and its reply.
 *
 * Owns: what a second request under a key is answered, for how long a key is held, and what happens when no more fit: new ones
 * are refused, held ones never given up early. Changed by execution alone. All keys are held equally long, so the order of
 * arrival is the order of expiry. Called by the executor. Keeps X5.
 */
import type { IdempotencyLimits } from "../api/config.js";
import { equalBytes } from "../base/bytes.js";
import type { Fingerprint } from "../base/fingerprint.js";
import type { Steps } from "../base/steps.js";
import type { AgreedTime } from "../model/ids.js";
import type { IdempotencyKey, Reply } from "../model/request.js";
import { AgeFingerprint, mixKept, type Counted } from "./age-fingerprint.js";
import { AgeOrder } from "./age-order.js";
import type { Aged } from "./age-order.js";
import { checkWithin } from "./invariants.js";
import { refused, replyBytes } from "./replies.js";
import type { Kept, Running } from "./replies.js";

export interface HeldKey extends Aged<HeldKey>, Counted {
  readonly principal: string;
  readonly key: string;
  readonly digest: Uint8Array;
  readonly expiresAt: AgreedTime;
  kept: Kept;
}

export class IdempotencyTable {
  readonly #limits: IdempotencyLimits;
  #byKey = new Map<string, HeldKey>();
  #byAge = new AgeOrder<HeldKey>();
  #fingerprint = new AgeFingerprint<HeldKey>((mixer, { expiresAt, principal, key, digest, kept }) => {
    mixKept(mixer.number(expiresAt).text(principal).text(key).bytes(digest), kept);
  });
  #bytes = 0;
  #time: AgreedTime = 0;

  constructor(limits: IdempotencyLimits) {
    this.#limits = limits;
  }

  /** Moves agreed time on and forgets keys that are due, oldest first, as many as one entry may. */
  advance(time: AgreedTime): void {
    this.#time = time;
    for (let count = 0; count < this.#limits.expirationsPerEntryMax; count += 1) {
      const held = this.#byAge.oldest;
      if (held === undefined || held.expiresAt > time) return;
      this.#remove(held);
    }
  }

  dueAt(): AgreedTime | undefined {
    return this.#byAge.oldest?.expiresAt;
  }

  get count(): number {
    return this.#byKey.size;
  }

  /** When a key that is taken now will be forgotten. */
  expiryOfNew(): AgreedTime {
    return this.#time + this.#limits.retentionMs;
  }

  /** What a command under this key is answered without running. `undefined`: the key is free, and the caller must `hold` it. */
  lookUp({ principal, key, digest }: IdempotencyKey): Kept | undefined {
    const held = this.#live(this.#byKey.get(nameOf(principal, key)));
    if (held !== undefined) {
      return equalBytes(held.digest, digest) ? held.kept : refused({ code: "IDEMPOTENCY_CONFLICT", key });
    }
    const { keysMax, bytesMax } = this.#limits;
    if (this.#byKey.size >= keysMax) this.#live(this.#byAge.oldest);
    if (this.#byKey.size >= keysMax) return refused({ code: "IDEMPOTENCY_FULL", limit: keysMax });
    if (this.#bytes >= bytesMax) return refused({ code: "IDEMPOTENCY_FULL", limit: bytesMax });
    return undefined;
  }

  hold({ principal, key, digest }: IdempotencyKey, running: Running): void {
    // A copy: the digest is a view of the entry, which must not be held for a day.
    this.#insert(newHeldKey({ principal, key, digest: digest.slice(), expiresAt: this.expiryOfNew(), kept: running }));
    checkWithin(this.#byKey.size, this.#limits.keysMax);
  }

  settle({ principal, key }: IdempotencyKey, reply: Reply): void {
    const held = this.#byKey.get(nameOf(principal, key));
    if (held === undefined) return;
    held.kept = reply;
    this.#bytes += heldBytes(held);
  }

  /** Equal for equal keys. Costs as much as what changed since it was asked for last. */
  fingerprint(): Fingerprint {
    return this.#fingerprint.of(this.#byAge);
  }

  /** Whether all that lies in memory is what was kept, in steps. */
  scrubbing(): Steps<boolean> {
    return this.#fingerprint.scrubbing(this.#byAge, this.#byKey);
  }

  /** For the codec: from the first to expire on. */
  contents(): AgeOrder<HeldKey> {
    return this.#byAge;
  }

  /** A table as a codec reads it: its keys follow, in the order of `contents`. */
  static begun(limits: IdempotencyLimits, time: AgreedTime): IdempotencyTable {
    const table = new IdempotencyTable(limits);
    table.#time = time;
    return table;
  }

  /** The next key that a codec has read; false if it cannot be the next. */
  restore(held: HeldKey): boolean {
    if (held.expiresAt < (this.#byAge.newest?.expiresAt ?? 0)) return false;
    this.#insert(held);
    this.#fingerprint.restored(this.#byAge, held);
    this.#bytes += heldBytes(held);
    return true;
  }

  /** Takes over what the other holds. */
  become(other: IdempotencyTable): void {
    this.#byKey = other.#byKey;
    this.#byAge = other.#byAge;
    this.#fingerprint = other.#fingerprint;
    this.#bytes = other.#bytes;
    this.#time = other.#time;
  }

  #live(held: HeldKey | undefined): HeldKey | undefined {
    if (held === undefined || held.expiresAt > this.#time) return held;
    this.#remove(held);
    return undefined;
  }

  #insert(held: HeldKey): void {
    this.#byKey.set(nameOf(held.principal, held.key), held);
    this.#byAge.append(held);
  }

  #remove(held: HeldKey): void {
    this.#byKey.delete(nameOf(held.principal, held.key));
    this.#byAge.remove(held);
    this.#fingerprint.removed(held);
    this.#bytes -= heldBytes(held);
  }
}

export function newHeldKey(held: Omit<HeldKey, keyof Aged<HeldKey> | keyof Counted>): HeldKey {
  return { ...held, older: undefined, newer: undefined, stamp: 0, countedHigh: 0, countedLow: 0 };
}

/** A key counts once its reply is known; until the entry ends it is one of a bounded number. */
function heldBytes({ kept, principal, key }: HeldKey): number {
  return kept.status === "running" ? 0 : replyBytes(kept) + principal.length + key.length;
}

/** The length keeps apart ("a", "bc") and ("ab", "c"). */
function nameOf(principal: string, key: string): string {
  return `${principal.length}:${principal}${key}`;
}
