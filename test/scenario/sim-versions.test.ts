/** Hazard N6: replicas are given another version of the machine one by one, under load, with crashes in between. */
import { describe, expect, test } from "vitest";
import type { LowLevelMachine } from "../../src/api/low-level.js";
import type { ReplicaId } from "../../src/model/ids.js";
import { scenario, type Scenario } from "../../src/sim/scenario.js";
import type { Operation } from "../../src/sim/operation.js";
import { quick } from "../../test-support/sim-stories.js";
import { bankV1, bankV2, bankV3, spoiltV2 } from "../../test-support/versioned-bank.js";

type Bank = Scenario<typeof bankV2>;

const orders = [
  ["a", "b", "c"],
  ["a", "c", "b"],
  ["b", "a", "c"],
  ["b", "c", "a"],
  ["c", "a", "b"],
  ["c", "b", "a"],
] as const;

const checkpoints = { logEntriesMax: 40, logBytesMax: 1_000_000, chunkBytes: 64 } as const;

function bank(deployed: LowLevelMachine = bankV1, seed = 1): Bank {
  const group = scenario({ machine: bankV2, deployed, seed, limits: { raft: quick, checkpoints } });
  group.untilLeader();
  return group;
}

const deposit = { command: "deposit", input: { to: "x", amount: 1 } } as const;

function activeOf(group: Bank, id: ReplicaId): number | undefined {
  return group.replica(id).opened?.executor.versions.state.active;
}

function activeEverywhere(group: Bank): string {
  return group.replicas.map((id) => activeOf(group, id)).join();
}

/** Deposits of one until `end`, so many in flight. */
class Load {
  readonly #group: Bank;
  readonly asked: Operation[] = [];

  constructor(group: Bank) {
    this.#group = group;
  }

  pass(ms: number): void {
    for (let left = ms; left > 0; left -= 5) {
      this.asked.push(this.#group.ask(deposit, { timeoutMs: 60_000 }));
      this.#group.pass(5);
    }
  }

  /** Every deposit has a balance of its own, from 1 to their number, whichever version has executed it. */
  end(): readonly number[] {
    const outputs = this.#group.untilEnded(this.asked) as { balance: number; version: number }[];
    const sorted = [...outputs].sort((left, right) => left.balance - right.balance);
    expect(sorted.map(({ balance }) => balance)).toEqual(outputs.map((_, at) => at + 1));
    return sorted.map(({ version }) => version);
  }
}

function roll(group: Bank, load: Load, order: readonly ReplicaId[], machine: LowLevelMachine): void {
  for (const id of order) {
    group.kill(id);
    load.pass(100);
    group.deploy(id, machine).start(id);
    load.pass(200);
  }
}

describe.each(orders)("upgraded in the order %s %s %s", (...order) => {
  test("version 2 starts when the last can run it, and version 3 goes back", () => {
    const group = bank();
    const load = new Load(group);
    load.pass(100);
    roll(group, load, order.slice(0, 2), bankV2);
    expect(activeEverywhere(group)).toBe("1,1,1");
    roll(group, load, order.slice(2), bankV2);
    group.until("version 2", () => activeEverywhere(group) === "2,2,2");
    load.pass(100);
    expect(group.call({ query: "largest" })).toBeGreaterThan(0);
    roll(group, load, order, bankV3);
    group.until("version 3", () => activeEverywhere(group) === "3,3,3");
    load.pass(100);
    const versions = load.end();
    expect(versions).toEqual([...versions].sort());
    expect(new Set(versions)).toEqual(new Set([1, 2, 3]));
    group.untilQuiet().conclude();
  });

  test("until the last has it, the way back is to put the old program back", () => {
    const group = bank();
    const load = new Load(group);
    roll(group, load, order.slice(0, 2), bankV2);
    roll(group, load, [...order.slice(0, 2)].reverse(), bankV1);
    load.pass(200);
    expect(activeEverywhere(group)).toBe("1,1,1");
    expect(new Set(load.end())).toEqual(new Set([1]));
    // Their word is in the order: the third alone starts nothing.
    roll(group, load, order.slice(2), bankV2);
    load.pass(2_000);
    expect(activeEverywhere(group)).toBe("1,1,1");
    group.untilQuiet().conclude();
  });

  test("each crashes and loses power around the start of the version", () => {
    for (const atMs of [0, 20, 60, 120]) {
      const group = bank(bankV1, 7 + atMs);
      const load = new Load(group);
      roll(group, load, order.slice(0, 2), bankV2);
      const last = order[2];
      group.kill(last).deploy(last, bankV2).start(last).pass(atMs);
      for (const id of order) {
        group.powerCut(id);
        load.pass(50);
        group.start(id);
      }
      group.until("version 2", () => activeEverywhere(group) === "2,2,2");
      load.end();
      group.untilQuiet().conclude();
    }
  });
});

test("a replica that is put back once the version has started stops and says what to do; with the right program it goes on", () => {
  const group = bank();
  const load = new Load(group);
  load.pass(50);
  roll(group, load, ["a", "b", "c"], bankV2);
  group.until("version 2", () => activeEverywhere(group) === "2,2,2");
  load.pass(300);
  group.kill("c").deploy("c", bankV1).start("c");
  const says = group.until("c to say so", () => group.replica("c").lacksVersion);
  expect(says).toMatch(
    /Cannot run version 2 of bank, which is active since entry \d+: this program has version 1 alone/,
  );
  load.pass(3_000);
  expect(group.replica("c").lacksVersion).toBe(says);
  group.kill("c").deploy("c", bankV2).start("c");
  group.until("c to run version 2", () => activeOf(group, "c") === 2);
  load.end();
  group.untilQuiet().conclude();
});

test("a replica whose word is ordered and whose program is then the old one stops at the entry that starts the version", () => {
  const group = bank();
  const load = new Load(group);
  roll(group, load, ["a", "b"], bankV2);
  group.kill("c").deploy("c", bankV2).start("c");
  group.until("its word", () => group.replica("a").opened?.executor.versions.state.offers.length === 3);
  group.kill("c").deploy("c", bankV1).start("c");
  expect(group.until("c to stop", () => group.replica("c").lacksVersion)).toMatch(/version 2 of bank/);
  expect(activeOf(group, "a")).toBe(2);
  group.kill("c").deploy("c", bankV2).start("c");
  group.until("c to run version 2", () => activeOf(group, "c") === 2);
  load.end();
  group.untilQuiet().conclude();
});

test("a migration that throws starts nothing, on no replica, and is not tried again; a version with another number is", () => {
  const group = bank();
  const load = new Load(group);
  load.pass(100);
  roll(group, load, ["b", "a", "c"], spoiltV2);
  const failed = group.until("the migration to fail", () => {
    const [first] = group.replica("a").opened?.executor.versions.state.failed ?? [];
    return first;
  });
  expect(failed).toMatchObject({ version: 2, message: "cannot migrate x" });
  load.pass(3_000);
  expect(activeEverywhere(group)).toBe("1,1,1");
  for (const id of group.replicas) expect(group.replica(id).opened?.executor.versions.state.failed).toEqual([failed]);
  expect(new Set(load.end())).toEqual(new Set([1]));
  group.untilQuiet().conclude();
});

test("a replica that joins counts: without a word of it nothing starts", () => {
  const group = scenario({
    machine: bankV2,
    deployed: bankV1,
    replicas: 3,
    plan: { spares: 1 },
    limits: { raft: quick, checkpoints },
  });
  const leader = group.untilLeader();
  const joining = group.replicas[3] ?? "";
  group.replica(joining).join();
  const { promise, done } = outcome();
  group.replica(leader).instruct(
    {
      kind: "change",
      change: { kind: "add", id: joining, peer: `${joining}:1`, client: `${joining}:2`, role: "learner" },
    },
    done,
  );
  group.until("the change", () => promise.outcome);
  expect(promise.outcome).toBe("done");
  for (const id of group.replicas.slice(0, 3)) group.kill(id).deploy(id, bankV2).start(id).pass(400);
  group.pass(3_000);
  expect(activeEverywhere(group)).toBe("1,1,1,1");
  group.kill(joining).deploy(joining, bankV2).start(joining);
  group.until("version 2", () => activeEverywhere(group) === "2,2,2,2");
  group.untilQuiet().conclude();
});

test("a new group of a machine whose first version is another one begins with that", () => {
  const later = { ...bankV2, previous: undefined };
  const group = bank(later);
  expect(group.call(deposit)).toEqual({ balance: 1, version: 2 });
  expect(activeEverywhere(group)).toBe("2,2,2");
  group.kill("a").deploy("a", bankV1).start("a");
  expect(group.until("a to stop", () => group.replica("a").lacksVersion)).toMatch(/version 2 of bank/);
  group.kill("a").deploy("a", bankV2).start("a");
  group.until("a to run version 2", () => activeOf(group, "a") === 2);
  group.untilQuiet().conclude();
});

function outcome(): { promise: { outcome: string | undefined }; done: (outcome: string) => void } {
  const promise: { outcome: string | undefined } = { outcome: undefined };
  return { promise, done: (outcome) => (promise.outcome = outcome) };
}
