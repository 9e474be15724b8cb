/** PBFT sections 4.2 and 4.3: three phases between the water marks, and checkpoints. b is a backup in view 0, whose primary is a. */
import { describe, expect, test } from "vitest";
import { isSpareVote } from "../../../src/consensus/bft/normal-case.js";
import { batchAt, createBftState, roomOf } from "../../../src/consensus/bft/state.js";
import { noIndex, type View } from "../../../src/model/ids.js";
import { bftSettings } from "../../../test-support/bft-cluster.js";
import { at, batch, BftCore, checkpointBy } from "../../../test-support/bft-core.js";
import { batchOf, requestOf, sign } from "../../../test-support/bft-crypto.js";

const x = batch("x");
const y = batch("y");
const inX = { index: 1, digest: x.digest };
const inY = { index: 1, digest: y.digest };

describe("quorums", () => {
  test("of any number of replicas share a correct one, and the correct ones alone are one", () => {
    for (let count = 1; count <= 40; count += 1) {
      const replicas = Array.from({ length: count }, (_, each) => `r${each}`);
      const { quorum, faults } = createBftState(
        { self: "r0", replicas, settings: bftSettings, records: [], executed: noIndex },
        0,
      );

      expect(faults).toBe(Math.floor((count - 1) / 3));
      expect(2 * quorum - count).toBeGreaterThanOrEqual(faults + 1);
      expect(quorum).toBeLessThanOrEqual(count - faults);
    }
  });
});

describe("three phases", () => {
  test("decide a batch, and hand it over", () => {
    const core = new BftCore("b").decide(1, x);

    expect(core.saidOf("Prepare")).toEqual([{ kind: "Prepare", view: 0, ...inX }]);
    expect(core.saidOf("Commit")).toEqual([{ kind: "Commit", view: 0, ...inX }]);
    expect(core.effectsOf("commit")).toEqual([{ kind: "commit", upTo: 1 }]);
    expect(batchAt(core.state, at(1))).toBe(x);
  });

  test("C1: nothing is said or counted before it is durable", () => {
    const core = new BftCore("b");
    core.isDiskHeld = true;
    core.propose(1, x).votes("Prepare", ["c"], inX);

    expect(core.said).toEqual([]);

    core.release();

    expect(core.said.map(({ kind }) => kind)).toEqual(["Prepare", "Commit"]);
    expect(core.disk.map(({ kind }) => kind)).toEqual(["accepted", "prepared"]);
  });

  test("a primary gives batches the next indexes, up to its window", () => {
    const core = new BftCore("a");
    const batches = Array.from({ length: 20 }, (_, each) => batch(`r${each}`));
    core.step({ kind: "propose", batches });

    expect(core.saidOf("Prepare").map(({ index }) => index)).toEqual(Array.from({ length: 16 }, (_, each) => each + 1));
    expect(roomOf(core.state)).toBe(0);
  });

  test("many indexes are under way, and are handed over in their order", () => {
    const core = new BftCore("b").decide(2, y);

    expect(core.state.committed).toBe(0);

    core.decide(1, x);

    expect(core.effectsOf("commit")).toEqual([{ kind: "commit", upTo: 2 }]);
  });

  test("B1: of two proposals for one index the first counts, and both are evidence", () => {
    const core = new BftCore("b").propose(1, x).propose(1, y);

    expect(core.saidOf("Prepare").map(({ digest }) => digest)).toEqual([x.digest]);
    const [{ evidence } = { evidence: undefined }] = core.effectsOf("evidence");
    expect(evidence?.by).toBe("a");
    expect([evidence?.first.statement, evidence?.second.statement]).toEqual([
      { kind: "Prepare", view: 0, ...inX },
      { kind: "Prepare", view: 0, ...inY },
    ]);
  });

  test("B1: who was told something else by the primary is shown what this replica was told", () => {
    const core = new BftCore("b").propose(1, x).votes("Prepare", ["c"], inY);

    const shown = core.sent.filter(
      ({ to, message }) => to === "c" && message.kind === "Said" && message.signed.by === "a",
    );
    expect(shown).toHaveLength(1);
  });

  test("B2: a PREPARE or COMMIT with another digest, view or index is not counted", () => {
    const core = new BftCore("b").propose(1, x);
    core.votes("Prepare", ["c", "d"], inY).votes("Prepare", ["c", "d"], { ...inX, index: 2 });
    expect(core.saidOf("Commit")).toEqual([]);

    const other = new BftCore("b").propose(1, x).votes("Prepare", ["c"], inX);
    other
      .votes("Commit", ["a"], inX)
      .votes("Commit", ["c"], inY)
      .votes("Commit", ["d"], { ...inX, view: 1 });
    expect(other.state.committed).toBe(0);
  });

  test("a vote behind a quorum of equal ones is spare, and one for something else never is", () => {
    const core = new BftCore("b").propose(1, x);
    const isSpare = (
      kind: "Prepare" | "Commit",
      ordered: { readonly index: number; readonly digest: string },
      view = 0,
    ) => isSpareVote(core.state, sign("d", { kind, view: view as View, ...ordered, index: at(ordered.index) }));
    const looked = (): readonly boolean[] => [isSpare("Prepare", inX), isSpare("Commit", inX)];

    expect(looked()).toEqual([false, false]);
    core.votes("Prepare", ["c"], inX);
    expect(looked()).toEqual([true, false]);
    core.votes("Commit", ["a"], inX);
    expect(looked()).toEqual([true, false]);
    core.votes("Commit", ["c"], inX);
    expect(looked()).toEqual([true, true]);

    const others = [
      isSpare("Prepare", inY),
      isSpare("Commit", inY),
      isSpare("Prepare", inX, 1),
      isSpare("Commit", inX, 1),
    ];
    expect([...others, isSpare("Prepare", { ...inX, index: 2 })]).toEqual([false, false, false, false, false]);
    expect(isSpareVote(core.state, checkpointBy("d", 8, x.digest))).toBe(false);
  });

  test("B2: a vote counts once, however often it comes", () => {
    const core = new BftCore("b").propose(1, x).votes("Prepare", ["c"], inX);
    core.votes("Commit", ["c", "c", "c"], inX);

    expect(core.state.committed).toBe(0);
  });

  test("B1: only the primary of the view proposes", () => {
    const core = new BftCore("b");
    const prepare = sign("c", { kind: "Prepare" as const, view: core.state.view, index: at(1), digest: x.digest });
    core.receive({ kind: "PrePrepare", prepare, batch: x });

    expect(core.said).toEqual([]);
  });

  test("B10: beyond the high water mark nothing is accepted or kept", () => {
    const core = new BftCore("b").propose(17, x).propose(1_000_000, y);
    core.votes("Commit", ["a", "c", "d"], { index: 1_000_000, digest: y.digest });

    expect(core.said).toEqual([]);
    expect(core.state.slots.size).toBe(0);
  });

  test("B22: a sender fills one place an index, whatever views it makes up", () => {
    const core = new BftCore("b");
    for (let view = 0; view < 1_000; view += 1) core.votes("Prepare", ["d"], { view: view * 1_000_000, ...inX });

    expect(core.state.slots.size).toBe(1);
    expect(core.state.slots.get(at(1))?.prepares.size).toBe(1);
  });

  test("what was decided without its batch is fetched, and handed over when that comes", () => {
    const core = new BftCore("b").votes("Commit", ["a", "c", "d"], inX);

    expect(core.state.committed).toBe(0);
    expect(core.sent.map(({ message }) => message.kind)).toEqual(["FetchBatch", "FetchBatch", "FetchBatch"]);

    core.receive({ kind: "FetchedBatch", batch: y }).receive({ kind: "FetchedBatch", batch: x });

    expect(core.state.committed).toBe(1);
    expect(core.state.batches.has(y.digest)).toBe(false);
  });

  test("a batch that comes by the proposal after its decision is handed over as well", () => {
    const core = new BftCore("b").votes("Commit", ["a", "c", "d"], inX).propose(1, x);

    expect(core.state.committed).toBe(1);
  });

  test("from a stranger nothing is taken", () => {
    const core = new BftCore("b").propose(1, x).votes("Prepare", ["e"], inX).votes("Commit", ["a", "c", "e"], inX);

    expect(core.saidOf("Commit")).toEqual([]);
    expect(core.state.committed).toBe(0);
  });
});

describe("checkpoints", () => {
  const decided = (): BftCore => {
    const core = new BftCore("b");
    for (let index = 1; index <= 4; index += 1) core.decide(index, batchOf([requestOf("x", index)]));
    return core.step({ kind: "checkpointed", index: at(4), digest: "s" });
  };

  test("become stable when a quorum has the same state, and the marks move", () => {
    const core = decided().hear(checkpointBy("a", 4, "s"), checkpointBy("c", 4, "other"));
    expect(core.state.stable.index).toBe(0);

    core.hear(checkpointBy("d", 4, "s"));

    expect(core.state.stable.index).toBe(4);
    expect(core.disk.at(-1)).toMatchObject({ kind: "stable", certificate: { index: 4, digest: "s" } });
    expect(core.propose(20, x).saidOf("Prepare").at(-1)?.index).toBe(20);
  });

  test("two digests by one replica for one index are evidence", () => {
    const core = decided().hear(checkpointBy("c", 4, "s"), checkpointBy("c", 4, "other"));

    expect(core.effectsOf("evidence").map(({ evidence }) => evidence.by)).toEqual(["c"]);
  });

  test("B10: a quorum far ahead moves the marks, and the state is fetched once it is clear that nothing closes the gap", () => {
    const core = new BftCore("b").tick(1);
    core.hear(checkpointBy("a", 400, "s"), checkpointBy("c", 400, "s"), checkpointBy("d", 400, "s"));

    expect(core.state.stable.index).toBe(400);
    expect(core.tick(bftSettings.statusMs).effectsOf("fetchCheckpoint").at(-1)?.certificate).toMatchObject({
      index: 400,
      digest: "s",
    });

    core.step({ kind: "installed", index: at(400) });
    expect(core.state.committed).toBe(400);
  });

  test("B16: a certificate of fewer, of unequal, or of the same replica again is none", () => {
    const core = new BftCore("b");
    const by = (...names: readonly string[]) => names.map((name) => checkpointBy(name, 8, "s"));
    for (const checkpoints of [
      by("a", "c"),
      by("a", "a", "c"),
      [...by("a", "c"), checkpointBy("d", 8, "t")],
      by("a", "c", "e"),
    ]) {
      core.receive({ kind: "Stable", certificate: { index: at(8), digest: "s", checkpoints } });
    }
    expect(core.state.stable.index).toBe(0);

    core.receive({ kind: "Stable", certificate: { index: at(8), digest: "s", checkpoints: by("a", "c", "d") } });
    expect(core.state.stable.index).toBe(8);
  });

  test("B22: of what one replica makes up only the newest few are kept", () => {
    const core = new BftCore("b");
    for (let index = 4; index < 10_000; index += 4) core.hear(checkpointBy("d", index, "s"));

    expect(core.state.checkpoints.get("d")?.size).toBeLessThanOrEqual(5);
  });

  test("what led to a stable checkpoint is forgotten one window later", () => {
    const core = new BftCore("b");
    for (let index = 1; index <= 40; index += 1) {
      core.decide(index, batchOf([requestOf("x", index)]));
      if (index % 4 !== 0) continue;
      core.step({ kind: "checkpointed", index: at(index), digest: "s" });
      core.hear(checkpointBy("a", index, "s"), checkpointBy("c", index, "s"));
    }

    expect(core.state.committed).toBe(40);
    expect(Math.min(...core.state.slots.keys())).toBe(25);
    expect(core.state.batches.size).toBe(17);
  });
});

describe("after a restart", () => {
  test("C1: what was promised is said again, and nothing else is accepted in its place", () => {
    const core = new BftCore("b").propose(1, x).votes("Prepare", ["c"], inX).restart();
    core.tick(0).propose(1, y);

    expect(core.said).toEqual([
      { kind: "Prepare", view: 0, ...inX },
      { kind: "Commit", view: 0, ...inX },
    ]);
  });

  test("C1: what was not durable was never said, so another may take its place", () => {
    const core = new BftCore("b");
    core.isDiskHeld = true;
    core.propose(1, x).restart().propose(1, y);

    expect(core.said).toEqual([{ kind: "Prepare", view: 0, ...inY }]);
  });

  test("a primary uses no index twice", () => {
    const core = new BftCore("a").step({ kind: "propose", batches: [x] }).restart();
    core.step({ kind: "propose", batches: [y] });

    expect(core.saidOf("Prepare").map(({ index }) => index)).toEqual([2]);
  });

  test("decisions that were not in a checkpoint come back from the others", () => {
    const core = new BftCore("b").decide(1, x).restart().tick(0);
    core.votes("Prepare", ["a", "c"], inX).votes("Commit", ["a", "c"], inX);

    expect(core.state.committed).toBe(1);
  });
});
