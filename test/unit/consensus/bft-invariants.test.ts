/** Each rule of the PBFT core is really checked: a state that breaks it stops the replica. */
import { expect, test } from "vitest";
import { checkBftInvariants } from "../../../src/consensus/bft/invariants.js";
import { remember, slotAt, type BftState } from "../../../src/consensus/bft/state.js";
import type { View } from "../../../src/model/ids.js";
import { at, batch, BftCore, checkpointBy, newViewBy, viewChangeBy } from "../../../test-support/bft-core.js";

const x = batch("x");

/** In view 1, begun by b. */
function inViewOne(): BftState {
  const viewChanges = ["a", "b", "d"].map((by) => viewChangeBy(by, 1));
  return new BftCore("c").hear(newViewBy("b", { view: 1, viewChanges, proposals: [] })).state;
}

const stableAt = (index: number) =>
  ({
    kind: "stable",
    certificate: {
      index: at(index),
      digest: "s",
      checkpoints: ["a", "b", "c"].map((by) => checkpointBy(by, index, "s")),
    },
  }) as const;

test("BF1 a promise in a view that was left", () => {
  expect(() => remember(inViewOne(), { kind: "accepted", view: 0 as View, index: at(1), batch: x })).toThrow("BF1");
});

test("BF2 a view that goes back", () => {
  expect(() => remember(inViewOne(), { kind: "viewChange", statement: viewChangeBy("c", 1).statement })).toThrow("BF2");
  const newView = newViewBy("b", { view: 1, viewChanges: [], proposals: [] });
  expect(() => remember(inViewOne(), { kind: "entered", newView })).toThrow("BF2");
});

test("BF3 two digests accepted at one view and index", () => {
  const { state } = new BftCore("b").propose(1, x);
  const record = { kind: "accepted", view: state.view, index: at(1), batch: batch("y") } as const;
  expect(() => remember(state, record)).toThrow("BF3");
});

test("BF4 a stable checkpoint that goes back", () => {
  const { state } = new BftCore("b");
  remember(state, stableAt(8));
  expect(() => remember(state, stableAt(4))).toThrow("BF4");
});

test("BF5 a checkpoint of what is not decided", () => {
  expect(() => new BftCore("b").step({ kind: "checkpointed", index: at(4), digest: "s" })).toThrow("BF5");
});

test("a checkpoint that a quorum has signed may be here before it is installed", () => {
  const core = new BftCore("b").hear(...["a", "c", "d"].map((by) => checkpointBy(by, 4, "s")));
  core.step({ kind: "checkpointed", index: at(4), digest: "s" });

  expect(core.saidOf("Checkpoint")).toEqual([]);
});

test("BF6 slots beyond three windows", () => {
  const { state } = new BftCore("b");
  for (let index = 1; index <= 49; index += 1) slotAt(state, at(index));
  expect(() => checkBftInvariants(state)).toThrow("BF6");
});

test("BF7 more view changes than replicas", () => {
  const { state } = new BftCore("b");
  for (let each = 0; each < 5; each += 1) state.viewChanges.set(`r${each}`, viewChangeBy(`r${each}`, 1));
  expect(() => checkBftInvariants(state)).toThrow("BF7");
});

test("BF8 a primary beyond its window", () => {
  const { state } = new BftCore("a");
  state.proposed = at(17);
  expect(() => checkBftInvariants(state)).toThrow("BF8");
});

test("BF9 a view without its beginning", () => {
  const state = inViewOne();
  state.newView = undefined;
  expect(() => checkBftInvariants(state)).toThrow("BF9");
});
