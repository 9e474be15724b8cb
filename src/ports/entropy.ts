/** Unpredictable bytes: for identities, nonces and seeds, never for what replicas must agree on. */
export interface Entropy {
  bytes(count: number): Uint8Array;
}
