/**
 * The signature ports over OpenSSL's ed25519.
 *
 * Owns: keys in the form that the system's library takes, kept for the next time. One form of each signature is good (hazard B19):
 * OpenSSL refuses a scalar that is not reduced, and compares the point by its bytes; keys that anybody can sign for are refused here.
 * Called by whoever joins the parts of a process.
 */
import { createPublicKey, generateKeyPairSync, sign, verify, type KeyObject } from "node:crypto";
import { hexOf } from "../base/bytes.js";
import type { Claim, SignatureVerifier, Signer } from "../ports/signatures.js";

/** SubjectPublicKeyInfo of an ed25519 key, up to the key itself (RFC 8410). */
const spkiHead = Buffer.from("302a300506032b6570032100", "hex");
const publicKeyBytes = 32;

/** With a key that nobody else has. */
export function newSigner(): Signer {
  return signerOf(generateKeyPairSync("ed25519").privateKey);
}

export function signerOf(privateKey: KeyObject): Signer {
  const publicKey = publicKeyOf(privateKey);
  return { publicKey, sign: (bytes) => new Uint8Array(sign(null, bytes, privateKey)) };
}

function publicKeyOf(privateKey: KeyObject): Uint8Array {
  const spki = createPublicKey(privateKey).export({ format: "der", type: "spki" });
  return new Uint8Array(spki.subarray(spkiHead.length));
}

/**
 * Points of small order: whoever has such a key, everybody signs for. One bit of the last byte, the sign, is left out. The list is that of
 * libsodium: 0, 1, the two of order 8, -1, and what else decodes to 0 and 1.
 */
const weakKeys = new Set([
  "00".repeat(32),
  `01${"00".repeat(31)}`,
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  `ec${"ff".repeat(30)}7f`,
  `ed${"ff".repeat(30)}7f`,
  `ee${"ff".repeat(30)}7f`,
]);

/** Of 32 bytes, and nobody can sign for it without its secret. */
export function isStrongKey(publicKey: Uint8Array): boolean {
  if (publicKey.length !== publicKeyBytes) return false;
  // A copy, which `slice` of a Buffer is not.
  const unsigned = new Uint8Array(publicKey);
  unsigned[31] = (unsigned[31] ?? 0) & 0x7f;
  return !weakKeys.has(hexOf(unsigned));
}

const keysMax = 1024;
const keys = new Map<string, KeyObject>();

export function isSignedBy({ publicKey, bytes, signature }: Claim): boolean {
  const key = keyObjectOf(publicKey);
  return key !== undefined && verify(null, bytes, key, signature);
}

/** On the thread that asks, a part of the calls in each of its turns. */
export const nodeVerifier: SignatureVerifier = {
  verify: (claims, done) => void setImmediate(() => done(claims.map(isSignedBy))),
};

function keyObjectOf(publicKey: Uint8Array): KeyObject | undefined {
  const name = hexOf(publicKey);
  const known = keys.get(name);
  if (known !== undefined) return known;
  if (!isStrongKey(publicKey)) return undefined;
  if (keys.size >= keysMax) keys.clear();
  const key = createPublicKey({ key: Buffer.concat([spkiHead, publicKey]), format: "der", type: "spki" });
  keys.set(name, key);
  return key;
}
