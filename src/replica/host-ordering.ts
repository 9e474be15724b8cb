/**
 * What of the host differs with the core that orders: the form of requests, and how checkpoints are certified.
 *
 * Owns: the two sets. Leaves to others: what they are made of. Given to `host.ts` by whoever opens a replica.
 */
import type { SignatureCounters } from "../api/replica.js";
import { orderedAttestation, signedAttestation, type Attestation, type AttestationParts } from "./attestation.js";
import { byzantineRules, crashRules, type ReportRules } from "../model/report-rules.js";
import { keyNameOf } from "../wire/key-name.js";
import type { BftLimits } from "../wire/bft-codec.js";
import { bundleForm, type BundleFormParts } from "./bundle-form.js";
import type { ToEngine } from "./channel.js";
import { plainForm, type RequestForm } from "./request-form.js";

export interface HostOrdering {
  /** What the handshake compares of it, behind the limits: replicas of different cores have nothing to say to each other. */
  readonly foundation: string;
  readonly form: RequestForm;
  readonly attestation: (parts: AttestationParts, toEngine: (message: ToEngine) => void) => Attestation;
  /** See `CheckpointerParts`. */
  readonly checkpointsWaitingMax: number;
  readonly signatures: () => SignatureCounters;
  readonly reportRules: ReportRules;
  /** Whose signature changes the members: a key's name. */
  readonly administrator?: string | undefined;
}

const noSignatures: SignatureCounters = { made: 0, verified: 0, known: 0, refused: {} };

export function orderedByRaft(): HostOrdering {
  const attestation = orderedAttestation;
  const signatures = (): SignatureCounters => noSignatures;
  return {
    foundation: "",
    form: plainForm(),
    attestation,
    checkpointsWaitingMax: 0,
    reportRules: crashRules,
    signatures,
  };
}

export function orderedByPbft(parts: BundleFormParts & { readonly limits: BftLimits }): HostOrdering {
  const attestation = (_parts: AttestationParts, toEngine: (message: ToEngine) => void): Attestation =>
    signedAttestation(toEngine);
  const form = bundleForm(parts);
  const { windowCount, batchBytesMax } = parts.limits;
  const key = parts.seal.administrator;
  const administrator = key && keyNameOf(key);
  const foundation = `;faults=byzantine,window=${windowCount},batch=${batchBytesMax},administrator=${administrator ?? "none"}`;
  // So many entries at most come while the order waits for a checkpoint, and each may be a position of one.
  const signatures = (): SignatureCounters => parts.seal.counters;
  const shared = { foundation, form, attestation, signatures, administrator };
  return { ...shared, checkpointsWaitingMax: windowCount, reportRules: byzantineRules };
}
