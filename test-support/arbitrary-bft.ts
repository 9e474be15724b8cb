/**
 * Whatever replicas may say and write under Byzantine faults, as generators for property tests.
 *
 * Owns: values that keep every rule of the form (what is proved is of earlier views and between the water marks, signers differ).
 * Signatures are any 64 bytes: what is good is another matter.
 */
import * as fc from "fast-check";
import type {
  Batch,
  BftMessage,
  Checkpoint,
  CheckpointCertificate,
  CommittedCertificate,
  NewView,
  Prepare,
  PreparedCertificate,
  Signed,
  Statement,
  Successor,
  ViewChange,
} from "../src/consensus/bft/messages.js";
import type { BftRecord } from "../src/consensus/bft/state.js";
import { counterMax, type LogIndex, type View } from "../src/model/ids.js";
import type { Proposal } from "../src/model/entry.js";
import { nodeHash } from "../src/node/hash.js";
import type { BftLimits } from "../src/wire/bft-codec.js";
import { encodeRequest } from "../src/wire/request-codec.js";
import { keyNameOf } from "../src/wire/key-name.js";
import { encodeReconfiguration, encodeReconfigurationBody, successorOf } from "../src/wire/successor-codec.js";
import { batchOf, encodeBundle, encodeBundleBody, encodeBundles } from "../src/wire/signed-batch.js";

export const bftLimits: BftLimits = {
  batchBytesMax: 2_000_000,
  batchRequestsMax: 64,
  replicaCount: 7,
  windowCount: 8,
};

const signers = ["a", "b", "c", "d", "replica-5", "F", "g"] as const;

/** Of seven. */
const quorum = 5;

const signature = fc.uint8Array({ minLength: 64, maxLength: 64 });
const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
const digest = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(""));
const orderedDigest = fc.oneof({ weight: 1, arbitrary: fc.constant("") }, { weight: 5, arbitrary: digest });
const counter = fc.oneof(
  fc.nat(300),
  fc.maxSafeNat().map((value) => value % (counterMax - 100)),
);
const view = counter.map((value) => value as View);
const index = counter.map((value) => Math.max(1, value) as LogIndex);
const by = fc.constantFrom(...signers);

/** A client's, with the key that it asks in the name of. */
export const bundle: fc.Arbitrary<Uint8Array> = fc
  .record({ key, signature, inputs: fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 4 }) })
  .map(({ key: publicKey, signature: under, inputs }) => {
    const requests = inputs.map((input, at) =>
      encodeRequest(
        input.length === 3
          ? { kind: "open", nonce: "n", principal: `${keyNameOf(publicKey)}/door` }
          : {
              kind: "command",
              session: 1 as never,
              number: (at + 1) as never,
              acknowledgedBelow: 1 as never,
              name: "add",
              input,
              idempotency: undefined,
            },
      ),
    );
    return encodeBundle(under, encodeBundleBody(publicKey, requests));
  });

/** Each with a key of its own, by the ids' order. */
const members = fc
  .uniqueArray(fc.tuple(by, fc.nat(250), fc.nat(3)), { minLength: 1, maxLength: 7, selector: ([id]) => id })
  .map((all) => [...all].sort(([one], [other]) => (one < other ? -1 : 1)));

function successorAfter(named: readonly (readonly [string, number, number])[]): Successor {
  const successor = successorOf({
    members: named.map(([id, start, incarnation], at) => ({
      ...{ id, role: "voter" as const, incarnation, peer: `${id}:1`, client: `${id}:2` },
      key: new Uint8Array(32).fill(start).fill(at, 0, 1),
    })),
  });
  if (successor === undefined) throw new Error("the generator makes members that an epoch can have");
  return successor;
}

export const proposal: fc.Arbitrary<Proposal> = fc.oneof(
  fc
    .record({ time: counter, bundles: fc.array(bundle, { minLength: 1, maxLength: 4 }) })
    .map(({ time, bundles }): Proposal => ({ kind: "batch", time, payload: encodeBundles(bundles) })),
  fc
    .record({ time: counter, kind: fc.constantFrom("time" as const, "checkpoint" as const) })
    .map(({ time, kind }): Proposal => ({ kind, time, payload: new Uint8Array(0) })),
  fc
    .record({ time: counter, epoch: counter, members, signature })
    .map(({ time, epoch, members: named, signature: under }): Proposal => {
      const payload = encodeReconfiguration(
        under,
        encodeReconfigurationBody({ epoch, successor: successorAfter(named) }),
      );
      return { kind: "configuration", time, payload };
    }),
);

const nullProposal: Proposal = { kind: "noop", time: 0, payload: new Uint8Array(0) };

export const batch: fc.Arbitrary<Batch> = proposal.map(made);
const anyBatch = fc.oneof(batch, fc.constant(made(nullProposal)));

function made(from: Proposal): Batch {
  const result = batchOf(from, bftLimits, nodeHash);
  if (result === undefined) throw new Error("the generator makes proposals that have a place in the order");
  return result;
}

function votes<Kind extends Statement>(statement: Kind): fc.Arbitrary<readonly Signed<Kind>[]> {
  return fc
    .subarray([...signers], { minLength: quorum, maxLength: quorum })
    .chain((chosen) =>
      fc
        .array(signature, { minLength: chosen.length, maxLength: chosen.length })
        .map((all) =>
          chosen.map((signer, at) => ({ statement, by: signer, signature: all[at] ?? new Uint8Array(64) })),
        ),
    );
}

const ordered = fc.record({ view, index, digest: orderedDigest });

const reached = fc
  .record({ index, digest, ending: fc.option(fc.record({ at: index, members }), { nil: undefined, freq: 3 }) })
  .map(({ ending, ...at }) =>
    ending === undefined ? at : { ...at, ending: { at: ending.at, successor: successorAfter(ending.members) } },
  );
const stableAbove: fc.Arbitrary<CheckpointCertificate> = reached.chain((at) =>
  votes<Checkpoint>({ kind: "Checkpoint", ...at }).map((checkpoints) => ({ ...at, checkpoints })),
);
const stable: fc.Arbitrary<CheckpointCertificate> = fc.oneof(
  fc.constant({ index: 0 as LogIndex, digest: "", checkpoints: [] }),
  fc.record({ index, digest }).map((at) => ({ ...at, checkpoints: [] })),
  stableAbove,
);

function preparedAt(where: {
  readonly view: View;
  readonly index: LogIndex;
  readonly digest: string;
}): fc.Arbitrary<PreparedCertificate> {
  return votes<Prepare>({ kind: "Prepare", ...where }).map((prepares) => ({ ...where, prepares }));
}

const viewChange = (to: View): fc.Arbitrary<ViewChange> =>
  fc
    .record({ stable, gaps: fc.subarray([1, 2, 3, 4, 5, 6, 7, 8], { maxLength: 4 }), digests: fc.array(orderedDigest) })
    .chain(({ stable: low, gaps, digests }) =>
      fc
        .tuple(
          ...gaps.map((gap, at) =>
            preparedAt({
              view: (to - 1) as View,
              index: (low.index + gap) as LogIndex,
              digest: digests[at] ?? "",
            }),
          ),
        )
        .map((prepared): ViewChange => ({ kind: "ViewChange", view: to, stable: low, prepared })),
    );

const anyViewChange = counter.chain((value) => viewChange((value + 1) as View));

const newView: fc.Arbitrary<NewView> = fc
  .record({
    to: counter.map((value) => (value + 1) as View),
    first: index,
    digests: fc.array(orderedDigest, { maxLength: 8 }),
    by: fc.subarray([...signers], { minLength: quorum, maxLength: quorum }),
    signature,
  })
  .chain(({ to, first, digests, by: chosen, signature: under }) =>
    fc.tuple(...chosen.map(() => viewChange(to))).map((statements): NewView => ({
      kind: "NewView",
      view: to,
      viewChanges: statements.map((statement, at) => ({ statement, by: chosen[at] ?? "a", signature: under })),
      proposals: digests.map((each, at) => ({ index: (first + at) as LogIndex, digest: each })),
    })),
  );

export const statement: fc.Arbitrary<Statement> = fc.oneof(
  ordered.map((where): Statement => ({ kind: "Prepare", ...where })),
  ordered.map((where): Statement => ({ kind: "Commit", ...where })),
  reached.map((where): Statement => ({ kind: "Checkpoint", ...where })),
  anyViewChange,
  newView,
);

export const signed: fc.Arbitrary<Signed> = fc.record({ statement, by, signature });

const committed: fc.Arbitrary<{ readonly certificate: CommittedCertificate; readonly batch: Batch }> = fc
  .record({ view, index, batch: anyBatch })
  .chain(({ batch: decided, ...place }) => {
    const where = { ...place, digest: decided.digest };
    return votes({ kind: "Commit" as const, ...where }).map((commits) => ({
      certificate: { ...where, commits },
      batch: decided,
    }));
  });

export const message: fc.Arbitrary<BftMessage> = fc.oneof(
  fc
    .record({ view, index, batch: anyBatch, by, signature })
    .map(({ view: inView, index: at, batch: proposed, ...signer }): BftMessage => ({
      kind: "PrePrepare",
      prepare: { statement: { kind: "Prepare", view: inView, index: at, digest: proposed.digest }, ...signer },
      batch: proposed,
    })),
  signed.map((each): BftMessage => ({ kind: "Said", signed: each })),
  stableAbove.map((certificate): BftMessage => ({ kind: "Stable", certificate })),
  committed.map((each): BftMessage => ({ kind: "Committed", ...each })),
  fc
    .record({ view, isChanging: fc.boolean(), stable: counter, committed: counter })
    .map((status): BftMessage => ({ kind: "Status", ...status }) as BftMessage),
  digest.map((each): BftMessage => ({ kind: "FetchBatch", digest: each })),
  batch.map((each): BftMessage => ({ kind: "FetchedBatch", batch: each })),
);

export const record: fc.Arbitrary<BftRecord> = fc.oneof(
  fc.record({ view, index, batch: anyBatch }).map((each): BftRecord => ({ kind: "accepted", ...each })),
  batch.map((each): BftRecord => ({ kind: "batch", batch: each })),
  ordered.chain(preparedAt).map((certificate): BftRecord => ({ kind: "prepared", certificate })),
  anyViewChange.map((each): BftRecord => ({ kind: "viewChange", statement: each })),
  newView.map((each): BftRecord => ({ kind: "newView", statement: each })),
  fc.record({ statement: newView, by, signature }).map((each): BftRecord => ({ kind: "entered", newView: each })),
  stableAbove.map((certificate): BftRecord => ({ kind: "stable", certificate })),
  fc
    .record({ epoch: counter, certificate: stableAbove.filter(({ ending }) => ending !== undefined) })
    .map(({ epoch, certificate }): BftRecord => ({ kind: "epoch", epoch: epoch + 1, certificate })),
);
