/**
 * Requests as bundles under one signature (`wire/signed-batch.ts`): what is ordered under Byzantine faults.
 *
 * Owns: signing for the clients of this replica, which have no key of their own: they trust it, and it alone. What they ask in one turn is
 * signed once. Leaves to others: verifying (`authentication/`).
 */
import { invariant } from "../base/invariant.js";
import { utf8Length } from "../base/utf8.js";
import { requestLimits } from "../model/request-limits.js";
import type { Hash } from "../ports/hash.js";
import { decodeRequest, encodeRequest } from "../wire/request-codec.js";
import { cutIntoBundles, decodeBundle, encodeBundles, type BatchLimits } from "../wire/signed-batch.js";
import type { ReplicaSeal } from "./replica-seal.js";
import type { KeyedRequest, RequestForm } from "./request-form.js";

export interface BundleFormParts {
  readonly seal: ReplicaSeal;
  readonly limits: BatchLimits;
  readonly hash: Hash;
  readonly overdueMs: number;
}

/** Each entry takes two signatures of each replica, which most others verify: some milliseconds of processor time in all. */
const eagerMax = 1;

export function bundleForm({ seal, limits, hash, overdueMs }: BundleFormParts): RequestForm {
  return {
    overdueMs,
    eagerMax,
    wrap: (requests, from) =>
      cutIntoBundles(requests.map((request) => inNameOf(seal.clientName, request))).map((bundle) => ({
        keys: bundle.map(({ key }) => key),
        from,
        ...seal.sealBundle(bundle.map(({ bytes }) => bytes)),
      })),
    admit: (wrapped, from, done) => {
      const bundle = decodeBundle(wrapped, limits, hash);
      if (bundle === undefined) done(undefined);
      else
        seal.checkBundle(bundle, from, () =>
          done({ keys: bundle.keys, id: bundle.name.id, signer: bundle.name.client }),
        );
    },
    left: (from) => seal.forget(from),
    batch: (bundles) => encodeBundles(bundles),
  };
}

/** A session is opened in the name of whoever signs for it. */
function inNameOf(name: string, request: KeyedRequest): KeyedRequest {
  if (request.key.kind !== "open") return request;
  const decoded = decodeRequest(request.bytes);
  invariant(decoded?.kind === "open", "a request was looked at before it is wrapped");
  const full = `${name}/${decoded.principal}`;
  const principal = utf8Length(full) <= requestLimits.principalBytesMax ? full : name;
  return { key: request.key, bytes: encodeRequest({ ...decoded, principal }) };
}
