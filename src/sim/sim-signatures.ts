/**
 * The signature ports of a simulated world: nobody signs in another's name, whatever else a liar may do.
 *
 * Owns: the secrets, which no process of the world can see: it holds a `Signer` or it does not. A signature is a hash of secret and
 * bytes, so it has one form, and is the same in each run. Called by whoever builds a world.
 */
import { concatBytes, encodeUtf8, equalBytes, hexOf } from "../base/bytes.js";
import type { Clock } from "../ports/clock.js";
import type { Claim, SignatureVerifier, Signer } from "../ports/signatures.js";
import { simHash } from "./sim-hash.js";

export class SimKeys {
  readonly #secrets = new Map<string, Uint8Array>();

  /** The same key for the same name: a twin asks for one again (hazard B20). */
  signerOf(name: string): Signer {
    const secret = simHash.sha256(encodeUtf8(`secret of ${name}`));
    const publicKey = simHash.sha256(secret);
    this.#secrets.set(hexOf(publicKey), secret);
    return { publicKey, sign: (bytes) => signatureOf(secret, bytes) };
  }

  /** Of a process with this clock: answers come in later turns, in the order of the calls. */
  verifierOn(clock: Clock): SignatureVerifier {
    return {
      verify: (claims, done) => {
        const results = claims.map((claim) => this.isSigned(claim));
        clock.nextTurn(() => done(results));
      },
    };
  }

  /** At once, as links need it. */
  isSigned({ publicKey, bytes, signature }: Claim): boolean {
    const secret = this.#secrets.get(hexOf(publicKey));
    return secret !== undefined && equalBytes(signatureOf(secret, bytes), signature);
  }
}

function signatureOf(secret: Uint8Array, bytes: Uint8Array): Uint8Array {
  const half = simHash.sha256(concatBytes([secret, bytes]));
  return concatBytes([half, half]);
}
