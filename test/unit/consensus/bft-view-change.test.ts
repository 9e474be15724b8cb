/** PBFT sections 4.4 and 4.5.2: leaving a view and beginning the next. b is the primary of view 1, c of view 2. */
import { describe, expect, test } from "vitest";
import { nullDigest, type BftMessage, type NewView } from "../../../src/consensus/bft/messages.js";
import type { View } from "../../../src/model/ids.js";
import { bftSettings } from "../../../test-support/bft-cluster.js";
import {
  at,
  batch,
  BftCore,
  checkpointBy,
  newViewBy,
  preparedBy,
  viewChangeBy,
} from "../../../test-support/bft-core.js";
import { batchOf, requestOf, sign } from "../../../test-support/bft-crypto.js";

const x = batch("x");
const y = batch("y");
const { requestTimeoutMs } = bftSettings;

/** Asked by a client, and left waiting until it gives the primary up. */
function impatient(self: string): BftCore {
  return new BftCore(self).step({ kind: "request", request: requestOf("x", 1) }).tick(requestTimeoutMs);
}

describe("a primary is given up", () => {
  test("when a client's request waits too long, and not before", () => {
    const core = new BftCore("c").step({ kind: "request", request: requestOf("x", 1) });
    expect(core.tick(requestTimeoutMs - 1).saidOf("ViewChange")).toEqual([]);
    expect(core.tick(1).saidOf("ViewChange")).toMatchObject([{ view: 1, prepared: [] }]);
  });

  test("B14: when it serves all clients but one", () => {
    const core = new BftCore("b").step({ kind: "request", request: requestOf("left out", 1) });
    for (let index = 1; index <= 4; index += 1) {
      core.step({ kind: "request", request: requestOf(`served${index}`, 1) });
      core.decide(index, batch(`served${index}`)).tick(requestTimeoutMs / 4);
    }

    expect(core.saidOf("ViewChange")).toHaveLength(1);
  });

  test("not when a client's many requests are served one after the other", () => {
    const core = new BftCore("b");
    const requests = [1, 2, 3, 4].map((number) => requestOf("x", number));
    for (const request of requests) core.step({ kind: "request", request });
    for (const [at, request] of requests.entries()) {
      core.tick(requestTimeoutMs * 0.6).decide(at + 1, batchOf([request]));
    }

    expect(core.saidOf("ViewChange")).toEqual([]);
  });

  test("not for a request that need not be decided any more; its client's next has its own time from then on", () => {
    const core = new BftCore("c").step({ kind: "request", request: requestOf("x", 1) });
    core.step({ kind: "request", request: requestOf("x", 2) }).tick(requestTimeoutMs / 2);
    core.step({ kind: "settled", request: requestOf("x", 1) }).step({ kind: "settled", request: requestOf("y", 1) });

    expect(core.tick(requestTimeoutMs - 1).saidOf("ViewChange")).toEqual([]);
    expect(core.tick(1).saidOf("ViewChange")).toHaveLength(1);
  });

  test("not by a replica that f + 1 others have left far behind: what waits may be decided. One alone may lie about it", () => {
    const isFarAhead: BftMessage = {
      ...{ kind: "Status", view: 0 as View, isChanging: false, stable: at(0), committed: at(100) },
    };
    const core = new BftCore("c").step({ kind: "request", request: requestOf("x", 1) });
    core.receive(isFarAhead, "a").receive(isFarAhead, "d").tick(requestTimeoutMs);
    expect(core.saidOf("ViewChange")).toEqual([]);
    const told = new BftCore("c").step({ kind: "request", request: requestOf("x", 1) });
    told.receive(isFarAhead, "d").tick(requestTimeoutMs);
    expect(told.saidOf("ViewChange")).toHaveLength(1);

    // It has caught up, and its time has begun again.
    core.receive({ ...isFarAhead, committed: at(3) }, "a").tick(requestTimeoutMs - 1);
    expect(core.saidOf("ViewChange")).toEqual([]);
    core.tick(1);
    expect(core.saidOf("ViewChange")).toHaveLength(1);
  });

  test("when it is found to be faulty, as others are not", () => {
    const core = new BftCore("c").step({ kind: "distrust", replicas: ["b", "d"] });
    expect(core.saidOf("ViewChange")).toEqual([]);

    core.step({ kind: "distrust", replicas: ["b", "a"] }).step({ kind: "distrust", replicas: ["a", "b"] });
    expect(core.saidOf("ViewChange")).toMatchObject([{ view: 1 }]);
  });

  test("when f + 1 others have, for the lowest view that they ask for", () => {
    const core = new BftCore("c").hear(viewChangeBy("d", 5));
    expect(core.state.view).toBe(0);

    core.hear(viewChangeBy("a", 3));
    expect(core.state.view).toBe(3);
    expect(core.saidOf("ViewChange")).toMatchObject([{ view: 3 }]);
  });

  test("C1: durably, before anybody is told", () => {
    const core = new BftCore("c");
    core.isDiskHeld = true;
    core.step({ kind: "request", request: requestOf("x", 1) }).tick(requestTimeoutMs);
    expect(core.said).toEqual([]);

    core.restart();
    expect([core.state.view, core.state.isChanging]).toEqual([0, false]);

    core
      .step({ kind: "request", request: requestOf("x", 1) })
      .tick(requestTimeoutMs)
      .restart()
      .tick(bftSettings.statusMs);
    expect([core.state.view, core.state.isChanging]).toEqual([1, true]);
    expect(core.saidOf("ViewChange")).toMatchObject([{ view: 1 }]);
  });

  test("and then has no part in its view any more", () => {
    const core = new BftCore("c").propose(1, x).step({ kind: "request", request: requestOf("x", 1) });
    core.tick(requestTimeoutMs).propose(2, y).votes("Prepare", ["b"], { index: 1, digest: x.digest });

    expect(core.saidOf("Prepare").map(({ index }) => index)).toEqual([1]);
    expect(core.saidOf("Commit")).toEqual([]);
  });
});

describe("VIEW-CHANGE", () => {
  test("B3: shows all that is prepared, decided or not", () => {
    const core = new BftCore("b").decide(1, x).propose(2, y).votes("Prepare", ["c"], { index: 2, digest: y.digest });
    core.propose(3, batch("z")).hear(viewChangeBy("a", 1), viewChangeBy("c", 1));

    expect(core.saidOf("ViewChange")[0]?.prepared.map(({ index, digest }) => [index, digest])).toEqual([
      [1, x.digest],
      [2, y.digest],
    ]);
  });

  test("B5 and B6: with any part unproved counts for nothing, and hides no other", () => {
    const good = preparedBy(["a", "c", "d"], { index: 1, digest: x.digest });
    const bad = [
      preparedBy(["a", "d"], { index: 1, digest: y.digest }),
      preparedBy(["d", "d", "d"], { index: 1, digest: y.digest }),
      preparedBy(["a", "d", "e"], { index: 1, digest: y.digest }),
      preparedBy(["a", "c", "d"], { index: 17, digest: y.digest }),
      preparedBy(["a", "c", "d"], { view: 1, index: 1, digest: y.digest }),
      { ...good, digest: y.digest },
      { ...good, index: at(2) },
    ];
    const core = impatient("b");
    for (const each of bad) core.hear(viewChangeBy("d", 1, { prepared: [each] }));
    core.hear(viewChangeBy("d", 1, { prepared: [good, good] }));
    expect(core.state.viewChanges.has("d")).toBe(false);

    const checkpoints = [checkpointBy("a", 4, "s"), checkpointBy("d", 4, "s")];
    core.hear(viewChangeBy("d", 1, { stable: { index: at(4), digest: "s", checkpoints } }));
    expect(core.state.viewChanges.has("d")).toBe(false);

    core.hear(viewChangeBy("c", 1, { prepared: [good] }), viewChangeBy("a", 1));
    expect(core.saidOf("NewView")[0]?.proposals).toEqual([{ index: 1, digest: x.digest }]);
  });

  test("B4: of an old view, replayed, moves nothing back", () => {
    const recorded = ["a", "c", "d"].map((by) => viewChangeBy(by, 2));
    const core = new BftCore("b").hear(viewChangeBy("a", 5), viewChangeBy("c", 5));
    core.hear(...recorded);

    expect(core.state.view).toBe(5);
  });

  test("B22: of a view far away by one replica alone does nothing", () => {
    const core = new BftCore("b").hear(viewChangeBy("d", 1e9), viewChangeBy("d", 2e9));

    expect(core.state.view).toBe(0);
    expect(core.state.viewChanges.size).toBe(1);
  });
});

describe("NEW-VIEW", () => {
  const prepared = preparedBy(["a", "c", "d"], { index: 3, digest: x.digest });

  test("B3 and B9: proposes the newest proof of each index, and null requests only in gaps", () => {
    const older = preparedBy(["a", "b", "d"], { index: 3, digest: y.digest });
    const newer = preparedBy(["a", "c", "d"], { view: 2, index: 3, digest: x.digest });
    const core = new BftCore("b").hear(
      viewChangeBy("a", 5, { prepared: [older] }),
      viewChangeBy("c", 5, { prepared: [newer] }),
    );

    expect(core.saidOf("NewView")).toMatchObject([
      {
        view: 5,
        proposals: [
          { index: 1, digest: nullDigest },
          { index: 2, digest: nullDigest },
          { index: 3, digest: x.digest },
        ],
      },
    ]);
    // The batch is not here yet: PREPARE is said for what can be shown to others alone.
    expect(core.saidOf("Prepare").map(({ index }) => index)).toEqual([1, 2]);
    expect(core.receive({ kind: "FetchedBatch", batch: x }).saidOf("Prepare").at(-1)).toEqual({
      ...{ kind: "Prepare", view: 5, index: 3, digest: x.digest },
    });
  });

  test("begins above the highest stable checkpoint that is proved", () => {
    const checkpoints = ["a", "c", "d"].map((by) => checkpointBy(by, 4, "s"));
    const stable = { index: at(4), digest: "s", checkpoints };
    const core = new BftCore("b").hear(
      viewChangeBy("a", 1, { prepared: [prepared] }),
      viewChangeBy("c", 1, { stable }),
    );

    expect(core.saidOf("NewView")[0]?.proposals).toEqual([]);
    expect(core.state.stable.index).toBe(4);
    expect(
      core
        .step({ kind: "propose", batches: [y] })
        .saidOf("Prepare")
        .at(-1)?.index,
    ).toBe(5);
  });

  /** What c must say as primary of view 2 after these three. */
  const viewChanges = [viewChangeBy("a", 2, { prepared: [prepared] }), viewChangeBy("c", 2), viewChangeBy("d", 2)];
  const proposals = [
    { index: at(1), digest: nullDigest },
    { index: at(2), digest: nullDigest },
    { index: at(3), digest: x.digest },
  ];
  const entered = (by: string, statement: Partial<NewView>): boolean => {
    const core = new BftCore("b").hear(newViewBy(by, { view: 2, viewChanges, proposals, ...statement }));
    return core.state.view === 2;
  };

  test("B9: is computed again by every backup", () => {
    expect(entered("c", {})).toBe(true);
    expect(entered("c", { proposals: proposals.slice(0, 2) })).toBe(false);
    expect(entered("c", { proposals: [] })).toBe(false);
    expect(entered("c", { proposals: [...proposals, { index: at(4), digest: y.digest }] })).toBe(false);
    expect(entered("c", { proposals: proposals.map((each) => ({ ...each, digest: nullDigest })) })).toBe(false);
    expect(entered("c", { proposals: proposals.map((each) => ({ ...each, digest: y.digest })) })).toBe(false);
  });

  test("B6 and B9: rests on a quorum of different replicas that ask for this very view", () => {
    const [one, two, three] = viewChanges;
    if (one === undefined || two === undefined || three === undefined) throw new Error("three view changes");
    expect(entered("c", { viewChanges: [one, two] })).toBe(false);
    expect(entered("c", { viewChanges: [one, two, two] })).toBe(false);
    expect(entered("c", { viewChanges: [one, two, viewChangeBy("d", 1)] })).toBe(false);
    expect(entered("c", { viewChanges: [one, two, viewChangeBy("e", 2)] })).toBe(false);
  });

  test("is the primary's alone", () => {
    for (const by of ["a", "b", "d"]) expect(entered(by, {})).toBe(false);
  });

  test("B7: that contradicts what is decided here is not entered, though only more than f liars can prove it", () => {
    const core = new BftCore("b").decide(3, y).hear(newViewBy("c", { view: 2, viewChanges, proposals }));

    expect(core.state.view).toBe(0);
  });

  test("a second one, with another beginning, is evidence", () => {
    const core = new BftCore("b").hear(newViewBy("c", { view: 2, viewChanges, proposals }));
    core.hear(newViewBy("c", { view: 2, viewChanges: [viewChangeBy("b", 2), ...viewChanges.slice(1)], proposals: [] }));

    expect(core.effectsOf("evidence").map(({ evidence }) => [evidence.by, evidence.first.statement.kind])).toEqual([
      ["c", "NewView"],
    ]);
  });

  test("C1: is the same after a restart of its primary, whatever was heard meanwhile", () => {
    const core = new BftCore("b").hear(viewChangeBy("a", 1), viewChangeBy("c", 1));
    const [first] = core.saidOf("NewView");
    const records = core.disk.filter(({ kind }) => kind !== "entered");
    core.disk.splice(0, core.disk.length, ...records);
    core.restart().hear(viewChangeBy("d", 1, { prepared: [prepared] }), viewChangeBy("c", 1));

    expect(core.tick(bftSettings.statusMs).saidOf("NewView")).toEqual([first]);
  });
});

describe("patience", () => {
  test("doubles with each view that brings nothing, and is earned back by a decision", () => {
    const core = impatient("d").hear(viewChangeBy("a", 1), viewChangeBy("c", 1));
    const began = core.now;
    while (core.state.view < 2) core.tick(1);
    expect(core.now - began).toBe(2 * requestTimeoutMs);

    core.hear(viewChangeBy("a", 2), viewChangeBy("b", 2));
    const again = core.now;
    while (core.state.view < 3) core.tick(1);
    expect(core.now - again).toBe(4 * requestTimeoutMs);
  });

  test("with a primary begins when a quorum has left, also for views beyond", () => {
    const core = impatient("d").hear(viewChangeBy("a", 2));
    core.tick(100 * requestTimeoutMs);
    expect(core.state.view).toBe(1);

    core.hear(viewChangeBy("b", 1)).tick(2 * requestTimeoutMs);
    expect(core.state.view).toBe(2);
  });
});

describe("a status", () => {
  const status = (more: Partial<BftMessage & { kind: "Status" }>): BftMessage => ({
    ...{ kind: "Status", view: 0 as View, isChanging: false, stable: at(0), committed: at(0) },
    ...more,
  });
  const replies = (core: BftCore, message: BftMessage): readonly BftMessage[] => {
    core.receive(message, "d");
    core.sent.length = 0;
    core.now += bftSettings.statusMs;
    core.receive(message, "d");
    return core.sent.filter(({ to }) => to === "d").map(({ message: reply }) => reply);
  };

  test("is answered by proofs of what the sender lacks", () => {
    const core = new BftCore("b").decide(1, x);
    const [reply] = replies(core, status({}));

    expect(reply).toMatchObject({ kind: "Committed", certificate: { digest: x.digest }, batch: x });
    const other = new BftCore("d").receive(reply ?? status({}), "b");
    expect(other.state.committed).toBe(1);
  });

  test("B15: is answered by the own VIEW-CHANGE while the view has not begun, and by its beginning afterwards", () => {
    const core = impatient("c");
    expect(replies(core, status({}))).toMatchObject([
      { kind: "Said", signed: { by: "c", statement: { kind: "ViewChange" } } },
    ]);

    core.hear(
      newViewBy("b", { view: 1, viewChanges: ["a", "b", "d"].map((by) => viewChangeBy(by, 1)), proposals: [] }),
    );
    expect(replies(core, status({ view: 1 as View, isChanging: true }))).toMatchObject([
      { kind: "Said", signed: { by: "b", statement: { kind: "NewView" } } },
    ]);
    expect(replies(core, status({ view: 1 as View }))).toEqual([]);
  });

  test("B24: is answered by what leads to a view again and again, and with ever longer pauses", () => {
    const core = impatient("c");
    const told = (from: string, statuses: number): number => {
      core.sent.length = 0;
      for (let count = 0; count < statuses; count += 1) {
        core.now += bftSettings.statusMs;
        core.receive(status({}), from);
      }
      return core.sent.filter(({ to, message }) => to === from && message.kind === "Said").length;
    };

    expect(told("d", 64)).toBeLessThanOrEqual(10);
    // Each of those that are behind has pauses of its own, and none is left without for good.
    expect(told("a", 1)).toBe(1);
    expect(told("d", 64)).toBeGreaterThanOrEqual(3);
    expect(told("d", 64)).toBeLessThanOrEqual(5);
  });

  test("B17: that claims to be far ahead moves nothing", () => {
    const core = new BftCore("b").receive(status({ view: 1e9 as View, stable: at(1e9), committed: at(1e9) }));

    expect([core.state.view, core.state.stable.index, core.state.committed]).toEqual([0, 0, 0]);
    expect(core.effectsOf("fetchCheckpoint")).toEqual([]);
  });

  test("makes nobody repeat more than a bounded number of messages", () => {
    const core = new BftCore("b", { windowCount: 256 });
    for (let index = 1; index <= 200; index += 1) core.propose(index, batch(`n${index}`));

    expect(replies(core, status({})).length).toBeLessThanOrEqual(32);
  });
});

test("a VIEW-CHANGE signed by one replica and shown by another is the signer's", () => {
  const core = new BftCore("b").receive({ kind: "Said", signed: viewChangeBy("a", 1) }, "d");
  core.receive({ kind: "Said", signed: sign("a", viewChangeBy("a", 1).statement) }, "d");

  expect([...core.state.viewChanges.keys()]).toEqual(["a"]);
});

test("who began with a checkpoint that is not stable lacks batches that it has executed: it asks for them, and votes for them again", () => {
  const core = new BftCore("c").restart(1);
  const prepared = [preparedBy(["a", "b", "d"], { index: 1, digest: x.digest })];
  const viewChanges = ["a", "b", "d"].map((by) => viewChangeBy(by, 1, { prepared }));
  core.hear(newViewBy("b", { view: 1, viewChanges, proposals: [{ index: at(1), digest: x.digest }] }));
  core.tick(bftSettings.statusMs);
  expect(core.sent.map(({ message }) => message)).toContainEqual({ kind: "FetchBatch", digest: x.digest });

  core.receive({ kind: "FetchedBatch", batch: x });
  expect(core.saidOf("Prepare")).toEqual([{ kind: "Prepare", view: 1, index: 1, digest: x.digest }]);
});
