/**
 * A public key as text: `ed25519:` and 64 hexadecimal digits, in configurations, in evidence, and as the name of a client.
 *
 * Owns: the one form. Called by codecs, by `server/` and by whoever names a client.
 */
import { bytesOfHex, hexOf } from "../base/bytes.js";

const algorithm = "ed25519:";
export const publicKeyBytes = 32;

export function keyNameOf(publicKey: Uint8Array): string {
  return algorithm + hexOf(publicKey);
}

/** `undefined` if the text has another form. */
export function keyOfName(text: string): Uint8Array | undefined {
  if (!text.startsWith(algorithm)) return undefined;
  const bytes = bytesOfHex(text.slice(algorithm.length));
  return bytes?.length === publicKeyBytes ? bytes : undefined;
}
