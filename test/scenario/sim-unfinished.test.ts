/** Hazard N7, told of whole clusters: commands that replicas cannot finish. */
import { expect, test } from "vitest";

import { CannotFinish, type Batch, type LowLevelMachine, type MachineInstance } from "../../src/api/low-level.js";
import { define } from "../../src/index.js";
import { scenario, type Scenario } from "../../src/sim/scenario.js";
import type { Operation } from "../../src/sim/operation.js";
import { network, quick } from "../../test-support/sim-stories.js";

const definition = define({
  name: "nested",
  version: 1,
  state: ({ cell, list }) => ({ sum: cell(0), log: list<string>() }),
  timers: { deep: { kind: "event" } },
});

const nested = definition.machine({
  commands: {
    add(state, { amount }: { amount: number }) {
      state.sum.set(state.sum.get() + amount);
      return state.sum.get();
    },
    nest(state, { depth }: { depth: number }) {
      state.log.push("before");
      const nest = (left: number): number => (left === 0 ? 0 : 1 + nest(left - 1));
      return nest(depth);
    },
    later(_state, { at }: { at: number }, context) {
      context.timers.set("deep", "a", context.now + at, null as never);
    },
  },
  queries: {
    sum: (state) => state.sum.get(),
    log: (state) => [...state.log],
  },
  on: {
    deep(state) {
      state.log.push("timer");
      const nest = (): number => 1 + nest();
      nest();
    },
  },
});

const tooDeep = 1e9;
const skipped = "Cannot finish nest: its calls are nested too deeply";
const limits = { raft: quick } as const;
type Group = Scenario<typeof nested>;

function endOf({ end }: Operation): unknown {
  const reply = end?.kind === "answered" ? end.reply : undefined;
  return reply?.status === "failed" ? reply.message : (reply?.status ?? end?.kind);
}

/** The machine, but for these replicas, by the order in which they were started: what others can nest, they cannot. */
function shallowAt(...starts: readonly number[]): LowLevelMachine & typeof nested {
  let opened = 0;
  return {
    ...nested,
    open: (environment) => {
      opened += 1;
      const instance = nested.open(environment);
      return starts.includes(opened) ? shallow(instance) : instance;
    },
  };
}

function shallow(instance: MachineInstance): MachineInstance {
  const apply = instance.apply.bind(instance);
  return Object.assign(instance, {
    apply: (batch: Batch) => {
      batch.commands.forEach(({ name }, step) => {
        if (name === "nest" && batch.held?.get(step)?.isSkipped !== true) throw new CannotFinish(step, "stack");
      });
      return apply(batch);
    },
  });
}

function unfinished(group: Group, id: string): boolean {
  return group.replica(id).opened?.executor.unfinished !== undefined;
}

function executeAll(group: Group): void {
  group.untilQuiet();
  group.conclude();
}

test("N7: a command that overflows the stack everywhere is skipped: it fails, and those around it in its entry do not", () => {
  for (const replicas of [1, 2, 3, 5]) {
    const group = scenario({ machine: nested, replicas, limits, seed: replicas });
    group.untilLeader();
    const operations = [1, 2, 3].flatMap((amount) => [
      group.ask({ command: "add", input: { amount } }),
      group.ask({ command: "nest", input: { depth: tooDeep } }),
    ]);
    const outcomes = group.untilEnded(operations, 10_000);

    expect(outcomes.filter((_, at) => at % 2 === 0)).toEqual([1, 3, 6]);
    for (const nest of operations.filter((_, at) => at % 2 === 1)) expect(endOf(nest)).toBe(skipped);
    expect(group.call({ query: "log" })).toEqual([]);
    expect(group.call({ command: "add", input: { amount: 4 } })).toBe(10);
    executeAll(group);
  }
});

test("N7: a timer that overflows the stack everywhere is spent, and a replica that starts again skips it again", () => {
  const group = scenario({ machine: nested, limits });
  group.untilLeader();
  group.call({ command: "later", input: { at: 50 } });
  group.pass(1_000);
  expect(group.call({ command: "add", input: { amount: 4 } })).toBe(4);
  for (const id of group.replicas) group.kill(id).start(id);
  group.untilLeader();

  expect(group.call({ query: "log" })).toEqual([]);
  executeAll(group);
});

test("N7: while nobody can go on, whoever is killed comes back, another leads, and the command is skipped", () => {
  for (let seed = 1; seed <= 8; seed += 1) {
    const group = scenario({ machine: nested, limits, seed, plan: { network: network(5) } });
    const leader = group.untilLeader();
    const [one, other] = group.others(leader);
    if (one === undefined || other === undefined) throw new Error("unreachable");
    const nest = group.ask({ command: "nest", input: { depth: tooDeep } });
    group.until("two to wait", () => [leader, one].every((id) => unfinished(group, id)));
    group.kill(leader).kill(seed % 2 === 0 ? one : other);
    group.pass(seed * 100);
    for (const id of group.replicas) group.start(id);
    group.untilEnded([nest]);

    expect(endOf(nest)).toBe(skipped);
    executeAll(group);
  }
});

test("N7, P7: one that cannot finish what others can steps aside, votes on, and is carried over it by a checkpoint", () => {
  const group = scenario({ machine: shallowAt(2), limits });
  const [, shallowOne] = group.replicas;
  if (shallowOne === undefined) throw new Error("unreachable");
  const leader = group.until("a leader that can go on", () => {
    const found = group.untilLeader();
    if (found !== shallowOne) return found;
    group.pause(found).pass(1_000).resume(found);
    return undefined;
  });
  expect(group.call({ command: "nest", input: { depth: 3 } })).toBe(3);
  group.until("one to step aside", () => unfinished(group, shallowOne));

  // Its log goes on: it is the majority's second half.
  const third = group.anyOther(leader, shallowOne);
  group.kill(third);
  expect(group.call({ command: "add", input: { amount: 4 } })).toBe(4);
  const waits = group.replica(shallowOne).opened?.core.status();
  expect(waits).toMatchObject({ unfinished: { step: 0, reason: "stack" }, ready: false, checks: { executing: false } });
  expect(waits?.unfinished?.index).toBe(group.executed(shallowOne) + 1);
  group.kill(shallowOne).start(third).start(shallowOne);
  group.until("it to be carried over", () => !unfinished(group, shallowOne) && group.executed(shallowOne) > 0);
  executeAll(group);
  const carried = group.replica(shallowOne).opened?.core.status();
  expect(carried).toMatchObject({ unfinished: undefined, ready: true, counters: { checkpointsFetched: 1 } });
});

test("N7: everybody waits and nobody leads for longer than `stallMsMax`: one of them leads all the same, and the command is skipped", () => {
  for (const isKilled of [true, false]) {
    const stallMsMax = 500;
    const group = scenario({
      machine: nested,
      limits: { raft: quick, execution: { stallMsMax } },
      plan: { network: network(2) },
    });
    const leader = group.untilLeader();
    const [one, other] = group.others(leader);
    if (one === undefined || other === undefined) throw new Error("unreachable");
    const nest = group.ask({ command: "nest", input: { depth: tooDeep } });
    group.until("the leader to wait", () => unfinished(group, leader));
    // What it sends arrives, what it is sent does not: the others come to wait as well, and their reports get nowhere.
    group.cutOneWay(one, leader).cutOneWay(other, leader).cut(one, other);
    group.until("all to wait", () => group.replicas.every((id) => unfinished(group, id)));
    if (isKilled) group.kill(leader);
    group.pass(2 * stallMsMax);
    expect([one, other].map((id) => group.replica(id).opened?.core.status().stalled)).toEqual([
      "execution",
      "execution",
    ]);
    expect(group.leader).toBeUndefined();

    group.heal();
    group.untilEnded([nest], 10_000);
    expect(endOf(nest)).toBe(skipped);
    if (isKilled) group.start(leader);
    executeAll(group);
  }
});

test("N7: reports that lie farther behind the command than may be on its way to execution are counted all the same", () => {
  for (const seed of [1, 2, 3]) {
    const group = scenario({
      machine: nested,
      seed,
      limits: { raft: quick, admission: { batchCountMax: 1, pipelineMax: 64 }, execution: { deliveredBytesMax: 512 } },
    });
    group.untilLeader();
    group.call({ command: "add", input: { amount: 1 } });
    const operations = [
      group.ask({ command: "nest", input: { depth: tooDeep } }),
      // In the log before anybody has met the first: they came in the same moment.
      ...Array.from({ length: 60 }, () => group.ask({ command: "add", input: { amount: 1 } })),
    ];
    const outcomes = group.untilEnded(operations, 10_000);

    expect(operations.slice(0, 1).map(endOf)).toEqual([skipped]);
    expect(outcomes.slice(1)).toEqual(Array.from({ length: 60 }, (_, at) => at + 2));
    executeAll(group);
  }
});

test("N7, P7: one that only looks at what comes, since it may not keep more, is carried over the step and goes on without a gap", () => {
  const admission = { batchCountMax: 1, pipelineMax: 64 };
  const group = scenario({
    machine: shallowAt(2),
    limits: { raft: quick, admission, execution: { deliveredBytesMax: 512 } },
  });
  const [, shallowOne] = group.replicas;
  if (shallowOne === undefined) throw new Error("unreachable");
  const leader = group.until("a leader that can go on", () => {
    const found = group.untilLeader();
    if (found !== shallowOne) return found;
    group.pause(found).pass(1_000).resume(found);
    return undefined;
  });
  expect(group.call({ command: "nest", input: { depth: 3 } })).toBe(3);
  group.until("one to step aside", () => unfinished(group, shallowOne));
  for (let sum = 1; sum <= 100; sum += 1) expect(group.call({ command: "add", input: { amount: 1 } })).toBe(sum);
  // Its log goes on: it is the majority's second half.
  const third = group.anyOther(leader, shallowOne);
  group.kill(third);
  expect(group.call({ command: "add", input: { amount: 4 } })).toBe(104);
  group.start(third);

  group.until("it to be carried over", () => !unfinished(group, shallowOne), 60_000);
  expect(group.call({ command: "add", input: { amount: 1 } })).toBe(105);
  executeAll(group);
});
