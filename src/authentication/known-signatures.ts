/**
 * Signatures that were found good, or were made here: nobody pays for one twice.
 *
 * Owns: the bound. Each signer has room of its own, so a liar that signs without end pushes out what is known of itself alone; all
 * clients share one room. Called by `message-verifier.ts`.
 */
import { hexOf } from "../base/bytes.js";
import type { Hash } from "../ports/hash.js";
import type { Claim } from "../ports/signatures.js";

interface Room {
  young: Set<string>;
  old: Set<string>;
}

export class KnownSignatures {
  readonly #hash: Hash;
  readonly #countMax: number;
  readonly #rooms = new Map<string, Room>();

  /** At most `countMax` of each of the signers; the oldest half goes first. */
  constructor(hash: Hash, countMax: number) {
    this.#hash = hash;
    this.#countMax = countMax;
  }

  /** Of key, signature and bytes: what is known of one signature says nothing of another one. */
  nameOf({ publicKey, signature, bytes }: Claim): string {
    const whole = new Uint8Array(publicKey.length + signature.length + bytes.length);
    whole.set(publicKey);
    whole.set(signature, publicKey.length);
    whole.set(bytes, publicKey.length + signature.length);
    return hexOf(this.#hash.sha256(whole));
  }

  has(signer: string, name: string): boolean {
    const room = this.#rooms.get(signer);
    return room !== undefined && (room.young.has(name) || room.old.has(name));
  }

  add(signer: string, name: string): void {
    const room = this.#rooms.get(signer) ?? { young: new Set(), old: new Set() };
    this.#rooms.set(signer, room);
    room.young.add(name);
    if (room.young.size < this.#countMax / 2) return;
    room.old = room.young;
    room.young = new Set();
  }
}
