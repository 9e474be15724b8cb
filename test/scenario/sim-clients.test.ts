/** Hazards of clients, told of whole clusters: what is executed once, in order, and what a client may be told of it (C1 to C6). */
import { expect, test } from "vitest";

import type { ReplicaId } from "../../src/model/ids.js";
import { outputOf, scenario } from "../../src/sim/scenario.js";
import {
  clientOf,
  groupOf,
  groupWithClients,
  network,
  quick,
  text,
  textOf,
  wordOf,
  type Story,
} from "../../test-support/sim-stories.js";

const add = (value: number) => ({ command: "add", input: { key: "c", value } }) as const;
const count = { query: "count", input: { key: "c" } } as const;

/** How many sessions each replica has. */
function sessionsOf(group: Story): readonly (number | undefined)[] {
  return group.replicas.map((id) => group.replica(id).opened?.executor.sessions.count);
}

test("C1: a command whose leader died before it answered is executed once, and the next leader gives the first answer", () => {
  for (let seed = 1; seed <= 4; seed += 1) {
    const group = scenario({ seed, limits: { raft: quick }, plan: { network: network(5) } });
    const leader = group.untilLeader();
    group.call(add(1));
    group.until("a link to the leader", () => group.client().status?.connectedTo === `${leader}:2`);
    const { lastIndex } = group.raft(leader).log;

    const asked = group.ask(add(5));
    group.until("the commit", () => group.raft(leader).commitIndex > lastIndex);
    group.cutOneWay(leader, "c1").kill(leader);
    expect(asked.end).toBeUndefined();
    group.untilLeader({ not: leader });

    expect(group.untilEnded([asked])).toEqual([6]);
    expect(group.client().status?.counters.retries).toBeGreaterThan(0);
    expect(group.call(count)).toBe(6);
    group.heal().start(leader).untilQuiet().conclude();
  }
});

test("C2: sessions expire by agreed time, on every replica the same, though clocks are an hour apart", () => {
  for (let seed = 1; seed <= 2; seed += 1) {
    const limits = { raft: quick, sessions: { expiryMs: 1_000 } };
    const group = scenario({ seed, limits, clients: ["all", "all"], clientLimits: { keepAliveMs: 200 } });
    const right = group.untilLeader();
    const [ahead = "", behind = ""] = group.others(right);
    const restart = (id: ReplicaId): void => {
      const wallOffsetMs = id === ahead ? 3_600_000 : id === behind ? -3_600_000 : 0;
      group.restart(id).clock(id, { rate: 1, wallOffsetMs });
    };
    restart(ahead);
    restart(behind);
    group.untilEnded([group.ask(add(1), { from: 1 }), group.ask(add(1), { from: 2 })]);
    const { session } = group.client(1).status ?? {};
    expect(sessionsOf(group.untilQuiet())).toEqual([2, 2, 2]);

    group.client(2).kill();
    for (const leader of [ahead, behind, right]) {
      group.until(`${leader} to lead`, () => {
        const { leader: present } = group;
        if (present !== undefined && present !== leader) restart(present);
        return present === leader;
      });
      group.pass(1_200);
    }
    group.pass(1_000).untilQuiet();

    expect(sessionsOf(group)).toEqual([1, 1, 1]);
    expect(group.client(1).status?.session).toBe(session);
    expect(group.call(add(1), { from: 1 })).toBe(3);
    group.untilQuiet().conclude();
  }
});

test("C3: a replay of the log does not refuse the commands of sessions that have expired since", () => {
  const limits = { raft: quick, sessions: { expiryMs: 1_000 } };
  const group = scenario({ seed: 3, limits, clients: ["all", "all", "all"] });
  for (const from of [1, 2]) {
    for (let round = 0; round < 5; round += 1) group.call(add(1), { from });
    group.client(from).kill();
    group.pass(2_500);
  }
  expect(group.call(count, { from: 3 })).toBe(10);
  group.untilQuiet();
  const { decided } = group.world.order;

  group.kill(...group.replicas).start(...group.replicas);

  expect(group.call(count, { from: 3 })).toBe(10);
  group.until("the replay", () => group.replicas.every((id) => group.executed(id) >= decided.length));
  expect(sessionsOf(group)).toEqual([0, 0, 0]);
  group.untilQuiet().conclude();
});

test("C4: a command that a deposed leader had appended is never called refused, whether it is executed or not", () => {
  for (let seed = 1; seed <= 8; seed += 1) {
    const isExecuted = seed % 2 === 0;
    const plan = { network: network(5), timeoutMsMax: 1_000 };
    const group = groupWithClients({ seed, limits: { raft: quick }, plan });
    const deposed = group.untilLeader();
    const from = clientOf(group, deposed);
    group.call(add(1), { from });
    const { lastIndex } = group.untilQuiet().raft(deposed).log;
    const [holder = "", other = ""] = group.others(deposed);

    for (const id of isExecuted ? [other] : [holder, other]) group.cut(deposed, id);
    const asked = group.ask(add(5), { from, timeoutMs: 600 });
    const at = isExecuted ? holder : deposed;
    group.until("the append", () => group.raft(at).log.lastIndex > lastIndex);
    group.cutOff([deposed, `c${from}`]);
    const elected = group.untilLeader({ not: deposed });
    group.pass(700);
    expect(asked.end?.kind).not.toBe("refused");
    group.heal();

    group.untilEnded([asked]);
    expect(isExecuted ? [6, "unknown"] : ["notExecuted", "unknown"]).toContain(outputOf(asked));
    expect(group.call(count, { from: clientOf(group, elected) })).toBe(isExecuted ? 6 : 1);
    group.untilQuiet().conclude();
  }
});

test("C5: pipelined commands of one client are executed in the order of its calls, whatever breaks on the way", () => {
  for (let seed = 1; seed <= 4; seed += 1) {
    const group = groupOf(0, {
      seed,
      limits: { raft: quick },
      clientLimits: { inFlightMax: 4, attemptMs: 100 },
      plan: { network: network(0.5, 4) },
    });
    const draw = group.world.draw("story");
    const asked = [];

    for (let word = 1; word <= 40; word += 1) {
      asked.push(group.ask({ command: "append", input: { key: "t", value: wordOf(word) } }));
      group.pass(draw.fraction() * 4);
      if (word % 4 === 0) group.reset("c1", draw.pick(group.replicas));
      if (word % 10 === 0) group.restart(group.leader ?? "a");
    }

    expect(group.untilEnded(asked)).toEqual(asked.map(() => undefined));
    expect(text(group)).toBe(textOf(40));
    group.untilQuiet().conclude();
  }
});

test("C6: a client whose session was evicted is told so, and its command is not executed again", () => {
  const group = groupWithClients({ seed: 6, limits: { raft: quick, sessions: { sessionsMax: 2 } } });
  const leader = group.untilLeader();
  const from = clientOf(group, leader);
  group.call(add(1), { from });

  group.cutOneWay(leader, `c${from}`);
  const asked = group.ask(add(5), { from });
  for (const id of group.others(leader)) group.call(add(1), { from: clientOf(group, id) });
  expect(asked.end).toBeUndefined();
  group.reset(leader, `c${from}`).heal();

  expect(group.untilEnded([asked])).toEqual(["unknown"]);
  expect(group.client(from).status?.counters.sessionsLost).toBe(1);
  expect(group.call(add(1), { from })).toBe(9);
  expect(sessionsOf(group.untilQuiet())).toEqual([2, 2, 2]);
  group.conclude();
});
