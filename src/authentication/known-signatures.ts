/**
 * Signatures that were found good, or were made here: nobody pays for one twice.
 *
 * Owns: the bound. Each signer has room of its own, so a liar that signs without end pushes out what is known of itself alone; all
 * clients share one room. Called by `message-verifier.ts`.
 */
import { equalBytes } from "../base/bytes.js";
import type { Hash } from "../ports/hash.js";
import type { Claim } from "../ports/signatures.js";

/** By the text of signature and key: what is signed, or its hash. */
type Signed = Map<string, Uint8Array>;

interface Room {
  young: Signed;
  old: Signed;
}

/** Of more the hash is kept: a NEW-VIEW is long. */
const keptBytesMax = 256;

export class KnownSignatures {
  readonly #hash: Hash;
  readonly #countMax: number;
  readonly #rooms = new Map<string, Room>();

  /** At most `countMax` of each of the signers; the oldest half goes first. */
  constructor(hash: Hash, countMax: number) {
    this.#hash = hash;
    this.#countMax = countMax;
  }

  /** What is known of one signature says nothing of another one, or of the same one under something else. */
  has(signer: string, claim: Claim, name = nameOf(claim)): boolean {
    const room = this.#rooms.get(signer);
    if (room === undefined) return false;
    const known = room.young.get(name) ?? room.old.get(name);
    return known !== undefined && equalBytes(known, this.#kept(claim));
  }

  add(signer: string, claim: Claim, name = nameOf(claim)): void {
    const room = this.#rooms.get(signer) ?? { young: new Map(), old: new Map() };
    this.#rooms.set(signer, room);
    room.young.set(name, this.#kept(claim));
    if (room.young.size < this.#countMax / 2) return;
    room.old = room.young;
    room.young = new Map();
  }

  /** No statement begins like a hash, so the two are never taken for one another. */
  #kept({ bytes }: Claim): Uint8Array {
    return bytes.length <= keptBytesMax ? bytes : this.#hash.sha256(bytes);
  }
}

/** By which it is looked up: for who asks more than once. */
export function nameOf({ signature, publicKey }: Claim): string {
  return textOf(signature) + textOf(publicKey);
}

/** One unit for each byte. Its elements one by one would take three times as long. */
function textOf(bytes: Uint8Array): string {
  return String.fromCharCode.apply(undefined, bytes as unknown as number[]);
}
