/** What is kept of the records says all that still binds or proves: b is a backup in view 0 and the primary of view 1. */
import { expect, test } from "vitest";
import { recordsOf } from "../../../src/consensus/bft/compaction.js";
import type { BftRecord } from "../../../src/consensus/bft/state.js";
import { bftSettings } from "../../../test-support/bft-cluster.js";
import { at, batch, BftCore, checkpointBy, preparedBy, viewChangeBy } from "../../../test-support/bft-core.js";

const x = batch("x");
const y = batch("y");

/** Goes on from the short list alone. */
function compact(core: BftCore, executed: number): readonly BftRecord[] {
  const records = recordsOf(core.state);
  core.disk.splice(0, core.disk.length, ...records);
  core.restart(executed);
  expect(recordsOf(core.state)).toEqual(records);
  return records;
}

test("below the stable checkpoint nothing is kept but its certificate, and above it every promise", () => {
  const core = new BftCore("b");
  for (let index = 1; index <= 5; index += 1) core.decide(index, batch(`n${index}`));
  core.propose(6, x).step({ kind: "checkpointed", index: at(4), digest: "s" });
  core.hear(checkpointBy("a", 4, "s"), checkpointBy("c", 4, "s"));

  expect(compact(core, 4).map(({ kind }) => kind)).toEqual(["stable", "accepted", "prepared", "accepted"]);

  core.propose(6, y).tick(bftSettings.statusMs);
  expect(core.said.map(({ kind }) => kind)).toEqual(["Prepare", "Commit", "Prepare"]);
  expect(core.saidOf("Prepare").at(-1)?.digest).toBe(x.digest);
});

test("of a view that was left only the proofs and the batches that they name are kept", () => {
  const core = new BftCore("b").propose(1, x).votes("Prepare", ["c"], { index: 1, digest: x.digest }).propose(2, y);
  core.hear(viewChangeBy("c", 2), viewChangeBy("d", 2));

  expect(compact(core, 0).map(({ kind }) => kind)).toEqual(["viewChange", "prepared", "batch"]);

  core.tick(bftSettings.statusMs).hear(viewChangeBy("c", 6), viewChangeBy("d", 6));
  expect(core.saidOf("ViewChange").map(({ view, prepared }) => [view, prepared.length])).toEqual([
    [2, 1],
    [6, 1],
  ]);
});

test("what a view began with, and what this replica began it with, are kept", () => {
  const prepared = [preparedBy(["a", "c", "d"], { index: 1, digest: x.digest })];
  const core = new BftCore("b");
  core.hear(viewChangeBy("a", 1, { prepared }));
  core.isDiskHeld = true;
  core.hear(viewChangeBy("c", 1));
  core.release();

  expect(compact(core, 0).map(({ kind }) => kind)).toEqual(["entered"]);
  expect(core.state.slots.get(at(1))?.accepted).toEqual({ view: 1, index: 1, digest: x.digest });

  core.receive({ kind: "FetchedBatch", batch: x });
  expect(compact(core, 0).map(({ kind }) => kind)).toEqual(["entered", "accepted"]);
});
