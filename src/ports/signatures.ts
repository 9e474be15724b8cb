/**
 * Signatures that only the holder of a key can make: ed25519 (RFC 8032) in production. Keys have 32 bytes, signatures 64.
 *
 * Both never fail: what is not a key or a signature is not good. Nothing is kept of what they were given.
 */
export interface Signer {
  readonly publicKey: Uint8Array;
  /** Takes some 50 µs. The same bytes have the same signature. */
  sign(bytes: Uint8Array): Uint8Array;
}

/** That the holder of `publicKey` signed `bytes`. */
export interface Claim {
  readonly publicKey: Uint8Array;
  readonly bytes: Uint8Array;
  readonly signature: Uint8Array;
}

export interface SignatureVerifier {
  /** Calls `done` once, later and never from within the call: whether each of them is good. Calls may overtake one another. */
  verify(claims: readonly Claim[], done: (results: readonly boolean[]) => void): void;
}
