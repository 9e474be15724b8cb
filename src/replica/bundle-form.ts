/**
 * Requests as bundles under one signature (`wire/signed-batch.ts`): what is ordered under Byzantine faults.
 *
 * Owns: signing for the clients of this replica, which have no key of their own: they trust it, and it alone. Leaves to others: verifying
 * (`authentication/`). Each bundle holds one request.
 */
import { invariant } from "../base/invariant.js";
import { utf8Length } from "../base/utf8.js";
import { requestLimits } from "../model/request-limits.js";
import type { Hash } from "../ports/hash.js";
import { decodeRequest, encodeRequest, peekRequest } from "../wire/request-codec.js";
import { decodeBundle, encodeBundles, type BatchLimits } from "../wire/signed-batch.js";
import type { ReplicaSeal } from "./replica-seal.js";
import type { RequestForm } from "./request-form.js";

export interface BundleFormParts {
  readonly seal: ReplicaSeal;
  readonly limits: BatchLimits;
  readonly hash: Hash;
  readonly overdueMs: number;
}

export function bundleForm({ seal, limits, hash, overdueMs }: BundleFormParts): RequestForm {
  return {
    overdueMs,
    wrap: (request) => seal.sealBundle([inNameOf(seal.clientName, request)]),
    admit: (wrapped, from, done) => {
      // One request a bundle: of more, nobody here would know whether they are executed.
      const bundle = decodeBundle(wrapped, limits, hash);
      const [request, ...others] = bundle?.requests ?? [];
      const key = request === undefined || others.length > 0 ? undefined : peekRequest(request);
      if (bundle === undefined || key === undefined) done(undefined);
      else seal.checkBundle(bundle, from, () => done(key, bundle.name.client));
    },
    left: (from) => seal.forget(from),
    batch: (bundles) => encodeBundles(bundles),
  };
}

/** A session is opened in the name of whoever signs for it. */
function inNameOf(name: string, request: Uint8Array): Uint8Array {
  const decoded = decodeRequest(request);
  invariant(decoded !== undefined, "a request was looked at before it is wrapped");
  if (decoded.kind !== "open") return request;
  const principal = `${name}/${decoded.principal}`;
  return encodeRequest({
    ...decoded,
    principal: utf8Length(principal) <= requestLimits.principalBytesMax ? principal : name,
  });
}
