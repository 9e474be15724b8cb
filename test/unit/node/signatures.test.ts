/** Real signatures: one valid encoding for each, and no key that everybody can sign for (hazard B19). */
import { createPublicKey, generateKeyPairSync, verify } from "node:crypto";
import { expect, test } from "vitest";
import { isSignedBy, isStrongKey, nodeVerifier, signerOf } from "../../../src/node/signatures.js";
import type { Claim } from "../../../src/ports/signatures.js";

const signer = signerOf(generateKeyPairSync("ed25519").privateKey);
const bytes = new TextEncoder().encode("what is said");
const good: Claim = { publicKey: signer.publicKey, bytes, signature: signer.sign(bytes) };

/** The order of the group, lowest byte first. */
const order = Buffer.from("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010", "hex");

function plusOrder(signature: Uint8Array): Uint8Array {
  const sum = signature.slice();
  let carry = 0;
  for (let at = 0; at < 32; at += 1) {
    carry += (sum[32 + at] ?? 0) + (order[at] ?? 0);
    sum[32 + at] = carry & 0xff;
    carry >>= 8;
  }
  return sum;
}

test("what was signed is good, and the same bytes have the same signature", () => {
  expect(signer.publicKey).toHaveLength(32);
  expect(good.signature).toHaveLength(64);
  expect(signer.sign(bytes)).toEqual(good.signature);
  expect(isSignedBy(good)).toBe(true);
});

test("nothing else is: no changed bit of signature, bytes or key, and no other length", () => {
  for (let bit = 0; bit < 8 * 64; bit += 1) {
    const signature = good.signature.slice();
    signature[bit >> 3] = (signature[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(isSignedBy({ ...good, signature })).toBe(false);
  }
  expect(isSignedBy({ ...good, bytes: bytes.subarray(1) })).toBe(false);
  expect(isSignedBy({ ...good, publicKey: signerOf(generateKeyPairSync("ed25519").privateKey).publicKey })).toBe(false);
  expect(isSignedBy({ ...good, publicKey: good.publicKey.subarray(1) })).toBe(false);
  expect(isSignedBy({ ...good, publicKey: new Uint8Array(0) })).toBe(false);
  for (const length of [0, 63])
    expect(isSignedBy({ ...good, signature: good.signature.subarray(0, length) })).toBe(false);
  expect(isSignedBy({ ...good, signature: Uint8Array.from([...good.signature, 0]) })).toBe(false);
});

test("a scalar that is not reduced is no second form of a signature", () => {
  const again = plusOrder(good.signature);

  expect(again).not.toEqual(good.signature);
  expect(isSignedBy({ ...good, signature: again })).toBe(false);
});

test("a key of small order is refused, although the library takes a signature that nobody made", () => {
  const publicKey = new Uint8Array(32);
  publicKey[0] = 1;
  const signature = new Uint8Array(64);
  signature[0] = 1;
  const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), publicKey]);
  const key = createPublicKey({ key: spki, format: "der", type: "spki" });

  expect(verify(null, bytes, key, signature)).toBe(true);
  expect(isSignedBy({ publicKey, bytes, signature })).toBe(false);
  expect(isStrongKey(publicKey)).toBe(false);
  expect(isStrongKey(Uint8Array.from([...publicKey.subarray(0, 31), 0x80]))).toBe(false);
  expect(isStrongKey(signer.publicKey)).toBe(true);
});

test("each of several is answered for itself, and the answer comes later", async () => {
  let isLater = false;
  const ask = (claims: readonly Claim[]): Promise<readonly boolean[]> =>
    new Promise((resolve) => {
      isLater = false;
      nodeVerifier.verify(claims, (results) => {
        expect(isLater).toBe(true);
        resolve(results);
      });
      isLater = true;
    });

  expect(await ask([good, good])).toEqual([true, true]);
  expect(await ask([good, { ...good, bytes: new Uint8Array(1) }])).toEqual([true, false]);
});

test("what comes in Buffers, as from sockets, is verified and left as it is", () => {
  // Half of all keys have the highest bit set.
  for (let count = 0; count < 20; count += 1) {
    const { publicKey, sign } = signerOf(generateKeyPairSync("ed25519").privateKey);
    const claim = { publicKey: Buffer.from(publicKey), bytes: Buffer.from(bytes), signature: Buffer.from(sign(bytes)) };

    expect(isStrongKey(claim.publicKey)).toBe(true);
    expect(isSignedBy(claim)).toBe(true);
    expect(new Uint8Array(claim.publicKey)).toEqual(publicKey);
  }
});

test("more keys than are kept are verified all the same", () => {
  const others = Array.from({ length: 1100 }, () => signerOf(generateKeyPairSync("ed25519").privateKey));
  const claims = others.map(({ publicKey, sign }) => ({ publicKey, bytes, signature: sign(bytes) }));

  expect(claims.every(isSignedBy)).toBe(true);
  expect(isSignedBy(good)).toBe(true);
});
