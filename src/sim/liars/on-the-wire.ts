/**
 * Batches of liars as they travel: clients sign bundles, and a liar has no client's key.
 *
 * Owns: putting bundles of a batch together in another way, and a bundle that nobody signed. Leaves to others: what liars make of it.
 */
import type { Batch, RequestName } from "../../consensus/bft/messages.js";
import type { Hash } from "../../ports/hash.js";
import {
  batchOf,
  decodeBundles,
  encodeBundle,
  encodeBundleBody,
  encodeBundles,
  signatureBytes,
  type BatchLimits,
  type Bundle,
} from "../../wire/signed-batch.js";

/** Of `of`, in this order; what is not in it is invented, in the form of one that is. What has no form on the wire stays as it is. */
export function rebundled(requests: readonly RequestName[], of: Batch, limits: BatchLimits, hash: Hash): Batch {
  const bundles = decodeBundles(of.proposal.payload, limits, hash) ?? [];
  const [first] = bundles;
  if (first === undefined) return of;
  const chosen = requests.map(({ id }) => {
    const bundle = bundles.find(({ name }) => name.id === id);
    return bundle === undefined ? unsigned(first) : encoded(bundle);
  });
  return batchOf({ ...of.proposal, payload: encodeBundles(chosen) }, limits, hash) ?? of;
}

function encoded({ signature, key, requests }: Bundle): Uint8Array {
  return encodeBundle(signature, encodeBundleBody(key, requests));
}

/** The same once more, of somebody whose key nobody has. */
function unsigned({ key, requests }: Bundle): Uint8Array {
  return encodeBundle(
    new Uint8Array(signatureBytes),
    encodeBundleBody(
      key.map((byte) => byte ^ 1),
      requests,
    ),
  );
}
