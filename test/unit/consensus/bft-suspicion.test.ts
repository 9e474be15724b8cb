/** Hazard B14's second half: a primary that serves everybody just in time is given up if it has served far better lately, and no other. */
import { expect, test } from "vitest";
import type { RequestName } from "../../../src/consensus/bft/messages.js";
import { bftSettings } from "../../../test-support/bft-cluster.js";
import { BftCore, newViewBy, viewChangeBy, vote } from "../../../test-support/bft-core.js";
import { batchOf, requestOf } from "../../../test-support/bft-crypto.js";

const { requestTimeoutMs } = bftSettings;

/** Serves `rounds` times as many clients as named, each after `waitMs`, and then rests. */
class Served {
  readonly core = new BftCore("d", { windowCount: 4000, checkpointInterval: 2000 });
  #number = 0;
  #index = 0;
  #waiting: readonly RequestName[] = [];
  readonly #tell: (core: BftCore, requests: readonly RequestName[]) => void;

  constructor(
    tell = (core: BftCore, requests: readonly RequestName[]) => {
      for (const request of requests) core.step({ kind: "request", request });
    },
  ) {
    this.#tell = tell;
  }

  serve(
    rounds: number,
    { clients = 1, waitMs, restMs = 0 }: { clients?: number; waitMs: number; restMs?: number },
  ): this {
    const { core } = this;
    for (let round = 0; round < rounds && !this.hasLeft; round += 1) {
      this.#number += 1;
      const requests = Array.from({ length: clients }, (_, each) => requestOf(`client${each}`, this.#number));
      this.#tell(core, requests);
      this.#waiting = requests;
      this.#pass(waitMs);
      if (this.hasLeft) return this;
      this.#decide();
      this.#pass(restMs);
    }
    return this;
  }

  #decide(): void {
    const { core } = this;
    this.#index += 1;
    const batch = batchOf(this.#waiting);
    const where = { view: core.state.view, index: this.#index, digest: batch.digest };
    const others = (["Prepare", "Commit"] as const).flatMap((kind) =>
      ["a", "b", "c"].map((by) => vote(by, kind, where)),
    );
    core.propose(this.#index, batch, core.state.view).hear(...others);
  }

  /** The next view of another primary than this replica begins. */
  enter(): this {
    const next = this.core.state.view + 1;
    if (next % 4 === 0) this.core.hear(viewChangeBy("a", next), viewChangeBy("b", next));
    const { view } = this.core.state;
    const viewChanges = ["a", "b", "c"].map((by) => viewChangeBy(by, view));
    this.core.hear(newViewBy("abcd"[view % 4] ?? "a", { view, viewChanges, proposals: [] }));
    // What waited when the view before was left is ordered first.
    this.#decide();
    return this;
  }

  get hasLeft(): boolean {
    return this.core.state.isChanging;
  }

  #pass(ms: number): void {
    for (let passed = 0; passed < ms; passed += 5) this.core.tick(5);
  }
}

test("B14: a primary that turns so slow that each request is just in time is given up", () => {
  const served = new Served().serve(100, { waitMs: 10 });
  expect(served.serve(3, { waitMs: requestTimeoutMs * 0.9 }).hasLeft).toBe(false);

  const since = served.core.now;
  expect(served.serve(100, { waitMs: requestTimeoutMs * 0.9 }).hasLeft).toBe(true);
  expect(served.core.now - since).toBeLessThanOrEqual(3 * 4 * requestTimeoutMs);
});

test("B14: with many clients that takes three times as long as a request may wait", () => {
  const served = new Served().serve(100, { clients: 32, waitMs: 10 });
  const since = served.core.now;
  served.serve(100, { clients: 32, waitMs: requestTimeoutMs * 0.9 });

  expect(served.hasLeft).toBe(true);
  expect(served.core.now - since).toBeLessThanOrEqual(6 * requestTimeoutMs);
});

test("B14: to be slow half of the time does not help", () => {
  const served = new Served();
  for (let turn = 0; turn < 30; turn += 1) {
    served.serve(20, { clients: 4, waitMs: 10 }).serve(10, { clients: 4, waitMs: requestTimeoutMs * 0.9 });
  }
  expect(served.hasLeft).toBe(true);
});

test("a correct primary stays when clients ask for less, however little", () => {
  const served = new Served().serve(200, { clients: 32, waitMs: 10 });
  served.serve(100, { waitMs: 10, restMs: 100 }).serve(20, { waitMs: 15, restMs: 3000 });

  expect(served.hasLeft).toBe(false);
});

test("a correct primary stays when clients ask for more than can be done, so that all wait", () => {
  const served = new Served().serve(200, { clients: 4, waitMs: 10 });
  served.serve(100, { clients: 60, waitMs: 150 });

  expect(served.hasLeft).toBe(false);
});

test("one slow stretch is no reason", () => {
  const served = new Served().serve(100, { waitMs: 10 });
  for (let turn = 0; turn < 10; turn += 1) served.serve(3, { waitMs: 180 }).serve(120, { waitMs: 10 });

  expect(served.hasLeft).toBe(false);
});

test("slow stretches far apart, with rest between them, are no reason", () => {
  const served = new Served().serve(100, { waitMs: 10 });
  for (let turn = 0; turn < 6; turn += 1) served.serve(4, { waitMs: 180 }).serve(1, { waitMs: 10, restMs: 3000 });

  expect(served.hasLeft).toBe(false);
});

test("the next primary is compared with those before it, until each has had a turn", () => {
  const served = new Served().serve(100, { waitMs: 10 });
  const slow = { waitMs: 100 };
  const entered = [1, 2, 4, 5].map((view) => {
    expect(served.serve(150, slow).hasLeft).toBe(true);
    expect(served.enter().core.state.view).toBe(view);
    return view;
  });

  expect(served.serve(500, slow).hasLeft).toBe(false);
  expect(served.core.state.view).toBe(entered.at(-1));
});

test("B14: what another replica tells of its requests by name is compared as what this one has", () => {
  const served = new Served((core, requests) => {
    core.step({ kind: "came", from: "b", ids: requests.map(({ id }) => id) });
  });
  served.serve(100, { waitMs: 10 });
  expect(served.hasLeft).toBe(false);
  // Nobody is given up for what is only told by name, however long that is not decided: it is slow, not silent.
  expect(served.serve(2, { waitMs: 3 * requestTimeoutMs }).hasLeft).toBe(false);
  expect(served.serve(100, { waitMs: requestTimeoutMs * 0.9 }).hasLeft).toBe(true);
});

test("B22: names that are made up count for nothing, take the place of their teller's own, and a stranger tells none", () => {
  const core = new BftCore("d");
  const namesOf = (by: string, count: number): string[] => Array.from({ length: count }, (_, at) => `${by} ${at}`);
  for (const by of ["b", "c"]) core.step({ kind: "came", from: by, ids: namesOf(by, by === "b" ? 5_000 : 3) });
  core.step({ kind: "came", from: "stranger", ids: namesOf("stranger", 3) });
  core.tick(10 * requestTimeoutMs);

  expect(core.saidOf("ViewChange")).toEqual([]);
  expect([...core.state.came].map(([by, names]) => [by, names.size])).toEqual([
    ["b", 1_024],
    ["c", 3],
  ]);
  expect(core.state.pace.decided).toBe(0);
});
