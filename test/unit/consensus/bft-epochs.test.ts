/** Changes of members in the PBFT core: what counts, when an epoch ends and the next begins, and that nothing crosses between them. */
import { expect, test } from "vitest";
import { recordsOf } from "../../../src/consensus/bft/compaction.js";
import { endOf, objectionTo } from "../../../src/consensus/bft/epoch.js";
import { nullBatch, type Batch, type CheckpointCertificate } from "../../../src/consensus/bft/messages.js";
import { batchAt, createBftState, highMark, lastOf, remember, roomOf } from "../../../src/consensus/bft/state.js";
import { firstView } from "../../../src/model/ids.js";
import { bftSettings } from "../../../test-support/bft-cluster.js";
import { at, batch, BftCore, newViewBy, viewChangeBy } from "../../../test-support/bft-core.js";
import { changeOf, requestOf, sign, successorOf } from "../../../test-support/bft-crypto.js";

const { requestTimeoutMs } = bftSettings;
const five = changeOf(0, ["a", "b", "c", "d", "e"]);
/** Of a change at index 1 with a window of 16 and a checkpoint at each fourth: the first a whole window further on. */
const last = 20;

const endingWith = (change: Batch, where = 1) => {
  if (change.reconfiguration === undefined) throw new Error("it is a change");
  return { at: at(where), successor: change.reconfiguration.successor };
};

/** The checkpoint after `index`, as three of four have signed it after `five` was decided at 1. */
const certifiedAt = (
  index: number,
  ending: CheckpointCertificate["ending"] = endingWith(five),
): CheckpointCertificate => ({
  ...{ index: at(index), digest: `s${index}`, ending },
  checkpoints: ["a", "c", "d"].map((by) =>
    sign(by, { kind: "Checkpoint", index: at(index), digest: `s${index}`, ending }),
  ),
});

/** b after `five` was decided at 1; the order may go on up to the end of the epoch. */
function changed(self = "b"): BftCore {
  return new BftCore(self).decide(1, five).receive({ kind: "Stable", certificate: certifiedAt(4) }, "c");
}

function inEpochOne(self = "b"): BftCore {
  return changed(self).receive({ kind: "Stable", certificate: certifiedAt(last) }, "c");
}

test("a change that is decided ends the epoch at the first checkpoint a window further on", () => {
  const { state } = new BftCore("b").decide(1, five);
  expect(state.epoch).toBe(0);
  expect(lastOf(state)).toBe(last);
  expect(state.slots.get(at(1))?.turning).toBe("change");
});

// It executed the null request in its place (found by the simulator's seed 1 with members that change).
test("a change that a checkpoint has told of is one where it is decided later", () => {
  const where = { view: firstView, index: at(1), digest: five.digest };
  const commits = ["a", "c", "d"].map((by) => sign(by, { kind: "Commit" as const, ...where }));
  const core = new BftCore("b").receive({ kind: "Stable", certificate: certifiedAt(4) }, "c");
  core.receive({ kind: "Committed", certificate: { ...where, commits }, batch: five }, "c");
  expect(core.state.committed).toBe(1);
  expect(core.state.slots.get(at(1))?.turning).toBe("change");
});

test("the order goes up to the end of the epoch, and no further", () => {
  const core = changed().receive({ kind: "Stable", certificate: certifiedAt(8) }, "c");
  expect(highMark(core.state)).toBe(last);
  core.propose(last + 1, batch("x"));
  expect(core.state.slots.has(at(last + 1))).toBe(false);
});

test("at the end of an epoch stands the null request: a checkpoint is taken there", () => {
  const core = changed().propose(last, batch("x"));
  expect(core.state.slots.get(at(last))?.accepted).toBeUndefined();
  core.propose(last, nullBatch);
  expect(core.saidOf("Prepare").map(({ index, digest }) => [index, digest])).toContainEqual([last, ""]);
});

test("BF11 another request at the end of an epoch, or anything beyond", () => {
  const { state } = changed();
  const accepted = (index: number, proposed: Batch) =>
    remember(state, { kind: "accepted", view: state.view, index: at(index), batch: proposed });
  expect(() => accepted(last, batch("x"))).toThrow("BF11");
  expect(() => accepted(last + 1, nullBatch)).toThrow("BF11");
});

test("the primary fills what is left of the epoch, and leaves room until all is executed", () => {
  const core = new BftCore("a").step({ kind: "propose", batches: [five] });
  const where = { index: 1, digest: five.digest };
  core.votes("Prepare", ["b", "c"], where).votes("Commit", ["b", "c"], where);
  core.step({ kind: "fill", isExecuted: false });
  expect(core.state.proposed).toBe(12);
  core.step({ kind: "fill", isExecuted: true });
  expect(core.state.proposed).toBe(16);
  core.receive({ kind: "Stable", certificate: certifiedAt(4) }, "c").step({ kind: "fill", isExecuted: true });
  expect(core.state.proposed).toBe(last);
  expect(roomOf(core.state)).toBe(0);
});

test("clients that wait while an epoch ends suspect nobody; the end, if it comes no nearer, does", () => {
  const core = new BftCore("b").decide(1, five).step({ kind: "request", request: requestOf("x", 1) });
  core.tick(requestTimeoutMs - 1).receive({ kind: "Stable", certificate: certifiedAt(4) }, "c");
  core.tick(requestTimeoutMs - 1);
  expect(core.saidOf("ViewChange")).toEqual([]);
  core.tick(1);
  expect(core.saidOf("ViewChange")).toMatchObject([{ view: 1 }]);

  // The client's time begins with the next epoch.
  const next = new BftCore("b").decide(1, five).step({ kind: "request", request: requestOf("x", 1) });
  next.tick(requestTimeoutMs - 1).receive({ kind: "Stable", certificate: certifiedAt(last) }, "c");
  expect(next.tick(requestTimeoutMs - 1).saidOf("ViewChange")).toEqual([]);
  expect(next.tick(1).saidOf("ViewChange")).toMatchObject([{ view: 1 }]);
});

test("so many null requests are under way at a time and no more", () => {
  const core = new BftCore("a", { windowCount: 256, checkpointInterval: 64 });
  core.step({ kind: "propose", batches: [five] });
  const where = { index: 1, digest: five.digest };
  core.votes("Prepare", ["b", "c"], where).votes("Commit", ["b", "c"], where);
  core.step({ kind: "fill", isExecuted: true }).step({ kind: "fill", isExecuted: true });
  expect(core.state.proposed).toBe(1 + 64);
});

test("the first change that may be made counts, and only one for the epoch in which it is decided", () => {
  const other = changeOf(0, ["a", "b", "c", "e"]);
  expect(new BftCore("b").decide(1, five).decide(2, other).state.ending).toEqual(endingWith(five));
  expect(new BftCore("b").decide(1, changeOf(1, ["a", "b", "c", "d", "e"])).state.ending).toBeUndefined();
  const tooMany = changeOf(0, ["a", "b", "e", "f"]);
  expect(new BftCore("b").decide(1, tooMany).decide(2, five).state.ending).toEqual(endingWith(five, 2));
});

test("as many leave and come as may lie, and four stay", () => {
  const of = (replicas: readonly string[], members: readonly string[]) =>
    objectionTo(
      { replicas, keys: new Map([["d", "k"]]), faults: Math.floor((replicas.length - 1) / 3) },
      successorOf(members),
    );
  const four = ["a", "b", "c", "d"];
  expect(of(four, ["a", "b", "c", "d/k"])).toBe("none change");
  expect(of(four, ["a", "b", "c"])).toBe("too few");
  expect(of(four, ["a", "b", "c", "d/k", "e"])).toBeUndefined();
  expect(of(four, ["a", "b", "c", "e"])).toBeUndefined();
  expect(of(four, ["a", "b", "c", "d/new"])).toBeUndefined();
  expect(of(four, ["a", "b", "c/new", "d/new"])).toBe("too many leave");
  expect(of(four, ["a", "b", "c", "d/k", "e", "f"])).toBe("too many are new");
  expect(of([...four, "e", "f", "g"], ["a", "b", "c", "d/k", "e"])).toBeUndefined();
});

test("the checkpoint at the end of an epoch begins the next, in its first view, with its members", () => {
  const core = inEpochOne();
  const { state } = core;
  expect([state.epoch, state.view, state.replicas.join(""), state.quorum, state.faults]).toEqual([1, 0, "abcde", 4, 1]);
  expect(state.stable).toEqual({ index: last, digest: `s${last}`, checkpoints: [] });
  expect(core.effectsOf("epoch").map(({ epoch }) => epoch)).toEqual([1]);
  expect(core.effectsOf("role").at(-1)?.role).toMatchObject({ epoch: 1, view: 0, primary: "a" });
});

test("a certificate of a quorum of the old members begins no checkpoint of the new ones", () => {
  const core = inEpochOne();
  const ending = undefined;
  const statement = { kind: "Checkpoint", index: at(24), digest: "s24", ending } as const;
  const by = (signers: readonly string[]) => ({
    ...statement,
    checkpoints: signers.map((each) => sign(each, statement, 1)),
  });
  core.receive({ kind: "Stable", certificate: by(["a", "c", "d"]) }, "c");
  expect(core.state.stable.index).toBe(last);
  core.receive({ kind: "Stable", certificate: by(["a", "c", "d", "e"]) }, "c");
  expect(core.state.stable.index).toBe(24);
});

test("B23: a proof of an earlier epoch is refused in a view change of the next", () => {
  const core = inEpochOne();
  const stale = sign("c", viewChangeBy("c", 1).statement, 1);
  core.receive({ kind: "Said", signed: stale }, "c");
  expect(core.state.viewChanges.size).toBe(0);
  const { stable } = core.state;
  core.receive({ kind: "Said", signed: sign("c", { ...stale.statement, stable }, 1) }, "c");
  expect(core.state.viewChanges.size).toBe(1);
});

test("what a replica has decided before stays, for whoever executes it, and is shown to nobody", () => {
  const slow = new BftCore("b").decide(1, five);
  for (const index of [2, 3, 4, 5]) slow.decide(index, batch(`x${index}`));
  expect(slow.state.committed).toBe(5);
  slow.receive({ kind: "Stable", certificate: certifiedAt(last) }, "c");
  expect(slow.state.slots.get(at(5))).toMatchObject({ accepted: undefined, prepared: undefined });
  expect(batchAt(slow.state, at(5))?.digest).toBe(batch("x5").digest);
  slow.sent.length = 0;
  const status = { kind: "Status", view: slow.state.view, isChanging: false, stable: at(0), committed: at(4) } as const;
  slow.receive(status, "c").receive(status, "c");
  expect(slow.sent.filter(({ message }) => message.kind === "Committed" || message.kind === "Stable")).toEqual([]);
});

test("after a restart a replica is in the epoch it was in, from all records and from the shorter list", () => {
  const core = inEpochOne();
  const { state } = core;
  expect(core.restart(0).state).toMatchObject({ epoch: 1, base: state.base, replicas: state.replicas });
  const records = recordsOf(state);
  const replicas = ["a", "b", "c", "d"];
  const again = createBftState({ self: "b", replicas, settings: bftSettings, records, executed: at(0) }, 0);
  expect(again).toMatchObject({ epoch: 1, base: state.base, replicas: state.replicas, view: 0 });
  expect(endOf(again, 0)?.certificate).toEqual(certifiedAt(last));
});

test("how the epoch ends is known from the state that was executed, and from a state that is installed", () => {
  const core = new BftCore("b");
  expect(core.restart(4, endingWith(five)).state.ending).toEqual(endingWith(five));
  const installed = new BftCore("b").step({ kind: "installed", index: at(4), configured: endingWith(five) });
  expect(installed.state.ending).toEqual(endingWith(five));
  // That with which the epoch began ends nothing.
  const begun = inEpochOne().step({ kind: "installed", index: at(last), configured: endingWith(five) });
  expect(begun.state.ending).toBeUndefined();
});

test("a checkpoint says how the epoch ends from the change on", () => {
  const core = new BftCore("b").decide(1, batch("x")).step({ kind: "checkpointed", index: at(1), digest: "s1" });
  core.decide(2, five).step({ kind: "checkpointed", index: at(2), digest: "s2" });
  expect(core.saidOf("Checkpoint").map(({ index, ending }) => [index, ending?.at])).toEqual([
    [1, undefined],
    [2, 2],
  ]);
});

test("two checkpoints that differ in how the epoch ends accuse whoever signed both", () => {
  const core = new BftCore("b");
  const said = { kind: "Checkpoint", index: at(4), digest: "s4" } as const;
  core.hear(sign("d", said)).hear(sign("d", { ...said, ending: endingWith(five) }));
  expect(core.effectsOf("evidence").map(({ evidence }) => evidence.by)).toEqual(["d"]);
});

test("a replica that is removed is quiet", () => {
  const without = changeOf(0, ["a", "b", "c", "e"]);
  const core = new BftCore("d").decide(1, without);
  core.receive({ kind: "Stable", certificate: certifiedAt(4, endingWith(without)) }, "c");
  const certificate = certifiedAt(last, endingWith(without));
  core.receive({ kind: "Stable", certificate }, "c");
  expect(core.state.epoch).toBe(1);
  core.said.length = 0;
  core.sent.length = 0;
  core
    .step({ kind: "request", request: { client: "x", id: "x:1" } })
    .tick(100_000)
    .tick(100_000);
  expect([core.said, core.sent]).toEqual([[], []]);
});

test("a replica that joins asks, and believes a quorum of those whom it knows that it is a member", () => {
  const core = new BftCore("e").tick(1_000);
  expect(core.state.epoch).toBe(-1);
  expect([...new Set(core.sent.map(({ message }) => message.kind))]).toEqual(["Status"]);
  const certificate = certifiedAt(last);
  const few = { ...certificate, checkpoints: certificate.checkpoints.slice(1) };
  core.step({ kind: "handover", epoch: 3, certificate: few });
  core.step({ kind: "handover", epoch: 3, certificate: certifiedAt(16) });
  const without = certifiedAt(last, endingWith(changeOf(2, ["a", "b", "c", "f"])));
  core.step({ kind: "handover", epoch: 3, certificate: without });
  expect(core.state.epoch).toBe(-1);
  core.step({ kind: "handover", epoch: 3, certificate });
  expect(core.state).toMatchObject({ epoch: 3, replicas: ["a", "b", "c", "d", "e"] });
  // It has not got the state, which it is told to fetch.
  core.tick(1_000).tick(1_000);
  expect(core.effectsOf("fetchCheckpoint").at(-1)?.certificate.index).toBe(last);
  expect(core.restart(0).state.epoch).toBe(3);
});

test("BF10 an epoch that goes back", () => {
  const { state } = inEpochOne();
  expect(() => remember(state, { kind: "epoch", epoch: 1, certificate: certifiedAt(last) })).toThrow("BF10");
});

test("BF12 an epoch that begins before the end of the one before", () => {
  const { state } = changed();
  expect(() => remember(state, { kind: "epoch", epoch: 1, certificate: certifiedAt(16) })).toThrow("BF12");
});

test("a NEW-VIEW that rests on the end of its epoch begins no view of the next", () => {
  const core = changed();
  const stable = certifiedAt(last);
  const viewChanges = ["a", "c", "d"].map((by) => viewChangeBy(by, 1, { stable }));
  core.receive({ kind: "Said", signed: newViewBy("b", { view: 1, viewChanges, proposals: [] }) }, "c");
  expect(core.state).toMatchObject({ epoch: 1, view: 0, newView: undefined });
});
