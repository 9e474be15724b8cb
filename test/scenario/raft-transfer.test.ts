/** Stories about handing leadership over (hazards E14 and E15; thesis, section 3.10). */
import { expect, test } from "vitest";
import { append, Core, t } from "../../test-support/raft-core.js";
import { RaftCluster } from "../../test-support/raft-cluster.js";

const others = (cluster: RaftCluster, id: string): string[] => cluster.replicas.filter((each) => each !== id);

test("E14: whoever is offered leadership has everything, while clients go on writing", () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const cluster = new RaftCluster({ replicas: 3, seed, diskMs: [1, 20] });
    const leader = cluster.untilLeader();
    const target = others(cluster, leader)[seed % 2] ?? "";
    // The target lags when it is chosen.
    cluster.block(leader, target).submit(leader, "early").run(20).heal();

    const asked = cluster.instruct(leader, { kind: "transfer", to: target });
    for (let count = 0; count < 20; count += 1) cluster.submit(leader, `during ${count}`).run(1);
    cluster.until("the target leads", () => cluster.state(target).role.kind === "leader");
    cluster.untilExecuted("early");

    expect(cluster.outcomes.get(asked), `seed ${seed}`).toBe("done");
    expect(cluster.state(target).term, `seed ${seed}`).toBe(cluster.state(leader).term);
    cluster.checkLogMatching();
  }
});

test("E14: a leader that hands over appends nothing, and appends it if it goes on", () => {
  const leader = new Core({ voters: "abc" }).elect("b").persisted().acknowledged("b", 1).acknowledged("c", 1);
  leader.input({ kind: "instruct", id: 1, instruction: { kind: "transfer", to: "c" } }).propose("x", "y");

  expect(leader.state.log.lastIndex).toBe(1);
  expect(leader.state.view.settledAt).toBeUndefined();
  for (let passed = 0; passed < 310; passed += 10) leader.pass(10).acknowledged("b", 1).acknowledged("c", 1);

  expect(leader.history).toContainEqual({ kind: "instructed", id: 1, outcome: "NOT_TAKEN" });
  expect(leader.state.log.lastIndex).toBe(3);
  expect(leader.state.view.settledAt).toBe(1);
});

test("E14: leadership is offered only once the target has acknowledged the whole log", () => {
  const leader = new Core({ voters: "abc" }).elect("b").persisted().acknowledged("b", 1).propose("x");
  leader.input({ kind: "instruct", id: 1, instruction: { kind: "transfer", to: "c" } }).persisted();
  leader.acknowledged("c", 1);
  expect(leader.sent("TimeoutNow")).toEqual([]);

  leader.acknowledged("c", 2).acknowledged("c", 2);

  expect(leader.sent("TimeoutNow", "c")).toHaveLength(1);
});

test("E15: the target stands without pre-vote, and the old leader's heartbeat does not stop it", () => {
  const target = new Core({ self: "b", voters: "abc", term: 1, log: [1] })
    .receive("a", append(1, [1, 1], {}))
    .persisted();

  target
    .receive("a", { kind: "TimeoutNow", term: t(1) })
    .receive("a", append(1, [1, 1], { round: 2 }))
    .persisted();

  expect(target.state).toMatchObject({ term: 2, role: { kind: "candidate" } });
  expect(target.sent("PreVote")).toEqual([]);
  expect(target.sent("RequestVote").map(({ term }) => term)).toEqual([2, 2]);
});

test("E15: an offer of another term, of another replica, or to one that may not stand is not taken", () => {
  const follower = (trust: "whole" | "damaged"): Core =>
    new Core({ self: "b", voters: "abc", term: 2, log: [1], trust }).receive("a", append(2, [1, 1], {})).persisted();

  expect(follower("whole").receive("a", { kind: "TimeoutNow", term: t(1) }).state.role.kind).toBe("follower");
  expect(follower("whole").receive("c", { kind: "TimeoutNow", term: t(2) }).state.role.kind).toBe("follower");
  expect(follower("damaged").receive("a", { kind: "TimeoutNow", term: t(2) }).state.role.kind).toBe("follower");
});

test("E15: when the offer is lost the leader goes on within one election time-out", () => {
  const cluster = new RaftCluster({ replicas: 3, seed: 3 });
  const leader = cluster.untilLeader();
  const [target = ""] = others(cluster, leader);
  cluster.run(50);

  cluster.network = { ...cluster.network, loss: 1 };
  const asked = cluster.instruct(leader, { kind: "transfer", to: target });
  cluster.network = { ...cluster.network, loss: 0 };
  cluster.submit(leader, "kept").run(310).untilExecuted("kept");

  expect(cluster.outcomes.get(asked)).toBe("NOT_TAKEN");
  expect(cluster.leading).toEqual([leader]);
});

test("leadership is not handed to a learner, to a stranger, or to one that is not heard", () => {
  const leader = new Core({ voters: "abc", learners: "d" }).elect("b").persisted().acknowledged("b", 1);
  leader.input({ kind: "disconnected", peer: "c" });

  for (const [id, to] of ["c", "d", "x"].entries()) {
    leader.input({ kind: "instruct", id, instruction: { kind: "transfer", to } });
    expect(leader.effects).toContainEqual({ kind: "instructed", id, outcome: "NO_TARGET" });
  }
});

test("two transfers at once: the second is refused", () => {
  const leader = new Core({ voters: "abc" }).elect("b").persisted().acknowledged("b", 1);

  leader.input({ kind: "instruct", id: 1, instruction: { kind: "transfer", to: "c" } });
  leader.input({ kind: "instruct", id: 2, instruction: { kind: "transfer", to: "b" } });

  expect(leader.effects).toContainEqual({ kind: "instructed", id: 2, outcome: "BUSY" });
});

test("the voter that lacks least is chosen when nobody is named", () => {
  const leader = new Core({ voters: "abc" }).elect("b").persisted().acknowledged("b", 1).propose("x").persisted();
  leader.acknowledged("c", 2);

  leader.input({ kind: "instruct", id: 1, instruction: { kind: "transfer", to: undefined } });

  expect(leader.sent("TimeoutNow").length).toBe(1);
  expect(leader.sent("TimeoutNow", "c").length).toBe(1);
});

test("a link that breaks ends the transfer at once", () => {
  const leader = new Core({ voters: "abc" }).elect("b").persisted().acknowledged("b", 1);

  leader.input({ kind: "instruct", id: 1, instruction: { kind: "transfer", to: "c" } }).propose("x");
  leader.input({ kind: "disconnected", peer: "c" });

  expect(leader.effects).toContainEqual({ kind: "instructed", id: 1, outcome: "NOT_TAKEN" });
  expect(leader.state.log.lastIndex).toBe(2);
});

test("a lease does not stand in the way: the leader drops it with the offer, and those it binds are free", () => {
  const settings = { leaseMs: 100, clockDriftPercentMax: 1 };
  const cluster = new RaftCluster({ replicas: 3, seed: 4, settings });
  const leader = cluster.untilLeader();
  const [target = ""] = others(cluster, leader);
  cluster.run(200);

  const asked = cluster.instruct(leader, { kind: "transfer", to: target });
  cluster.run(30);

  expect(cluster.outcomes.get(asked)).toBe("done");
  expect(cluster.leading).toContain(target);
});
