/** How a core begins and what it tells the service side. */
import { expect, test } from "vitest";
import { RaftCluster } from "../../../test-support/raft-cluster.js";
import { append, Core, id, matchesOf, t } from "../../../test-support/raft-core.js";

test("the service side hears of every change of role, term, leader and settlement, once", () => {
  const core = new Core({ voters: "abc" }).elect("b").persisted().acknowledged("b", 1).acknowledged("c", 1).pass(20);
  core.receive("b", append(2, [1, 1], { entries: [2] })).receive("b", append(2, [2, 2], {}));

  const views = core.history.flatMap((effect) => (effect.kind === "role" ? [effect.role] : []));
  expect(views).toEqual([
    { role: "candidate", term: 0, leader: undefined, settledAt: undefined },
    { role: "candidate", term: 1, leader: undefined, settledAt: undefined },
    { role: "leader", term: 1, leader: "a", settledAt: undefined },
    { role: "leader", term: 1, leader: "a", settledAt: 1 },
    { role: "follower", term: 2, leader: "b", settledAt: undefined },
  ]);
});

test("a learner receives the log, is never counted, never stands, and says that it learns", () => {
  const learner = new Core({ self: "l", voters: "ab", learners: "l", term: 1 }).pass(2000);
  learner.receive("a", append(1, [0, 0], { entries: [1, 1], commit: 2 })).persisted();

  expect(learner.state.view).toMatchObject({ role: "learner", leader: "a" });
  expect(learner.state.commitIndex).toBe(2);
  expect(matchesOf(learner.sent("AppendEntriesReply", "a"))).toEqual([2]);
  expect([...learner.sent("PreVote"), ...learner.sent("RequestVote")]).toEqual([]);
});

test("a learner that is asked gives its vote: whether it counts is the candidate's decision (M3)", () => {
  const learner = new Core({ self: "l", voters: "ab", learners: "l" });

  learner.receive("a", { kind: "RequestVote", term: t(1), last: id(0, 0) }).persisted();

  expect(learner.sent("RequestVoteReply")).toMatchObject([{ granted: true }]);
});

test("a replica with damaged entries votes and acknowledges, and never stands (D9)", () => {
  const damaged = new Core({ self: "b", voters: "abc", term: 1, log: [1, 1], trust: "damaged" }).pass(2000);
  expect(damaged.history).toEqual([]);

  damaged.receive("a", { kind: "RequestVote", term: t(2), last: id(2, 1) }).persisted();
  damaged.receive("a", append(2, [2, 1], { entries: [2], commit: 3 })).persisted();

  expect(damaged.sent("RequestVoteReply")).toMatchObject([{ granted: true }]);
  expect(matchesOf(damaged.sent("AppendEntriesReply"))).toEqual([3]);
  expect(damaged.state.commitIndex).toBe(3);
});

test("a replica whose damaged entries are repaired stands again; what an amnesiac forgot is not repaired (D10)", () => {
  const options = { self: "b", voters: "abc", term: 1, log: [1, 1] };
  const repaired = new Core({ ...options, trust: "damaged" }).input({ kind: "repaired" }).pass(4000);
  const amnesiac = new Core({ ...options, trust: "amnesiac" }).input({ kind: "repaired" }).pass(4000);

  expect(repaired.sent("PreVote").length).toBeGreaterThan(0);
  expect(amnesiac.sent("PreVote")).toEqual([]);
});

test("an amnesiac replica promises nothing to anybody (R12, M8)", () => {
  const amnesiac = new Core({ self: "b", voters: "abc", term: 1, log: [1], trust: "amnesiac" }).pass(2000);

  amnesiac.receive("a", { kind: "PreVote", term: t(1), attempt: 1, last: id(9, 1) });
  amnesiac.receive("a", { kind: "RequestVote", term: t(2), last: id(9, 1) });
  amnesiac.receive("a", append(2, [1, 1], { entries: [2], commit: 2 })).persisted();

  expect(amnesiac.left).toEqual([]);
  expect(amnesiac.state.log.lastIndex).toBe(1);
  expect(amnesiac.state.commitIndex).toBe(0);
  expect(amnesiac.state.view.leader).toBe("a");
});

test("one step makes one write, whatever it changes", () => {
  const follower = new Core({ self: "b", voters: "abc", term: 1, log: [1, 1, 1] });

  follower.receive("a", append(3, [1, 1], { entries: [3, 3] }));

  expect(follower.effects.filter(({ kind }) => kind === "persist")).toMatchObject([
    {
      write: { id: 1, hardState: { term: 3, votedFor: undefined }, truncateFrom: 2, entries: [{}, {}] },
      then: [{ to: "a" }],
    },
  ]);
});

test("followers at the same place share one message, so that it is encoded once", () => {
  const leader = new Core({ voters: "abc" }).elect("b").persisted().acknowledged("b", 1).acknowledged("c", 1);

  leader.propose("x");

  const [first, second] = leader.effects.filter((effect) => effect.kind === "send");
  expect(first?.message).toBe(second?.message);
});

test("news of a commit reaches a follower that lacks nothing else at once, and once", () => {
  const leader = new Core({ voters: "abc" }).elect("b").persisted().acknowledged("b", 1).acknowledged("c", 1);
  leader.propose("x").persisted().acknowledged("c", 2).forget();

  leader.acknowledged("b", 2);
  expect(leader.left).toEqual([]);
  leader.propose("y").persisted().forget();
  leader.acknowledged("b", 3);

  expect(leader.sent("AppendEntries", "b")).toMatchObject([{ commit: 3, entries: [] }]);
  expect(leader.sent("AppendEntries", "c")).toMatchObject([{ commit: 3, entries: [] }]);
});

test("a follower answers news of a commit with silence, and a new round with an acknowledgement", () => {
  const follower = new Core({ self: "b", voters: "abc", term: 1 });
  follower.receive("a", append(1, [0, 0], { entries: [1], round: 1 })).persisted();
  follower.receive("a", append(1, [1, 1], { round: 2 })).forget();

  follower.receive("a", append(1, [1, 1], { round: 2, commit: 1 }));
  expect(follower.state.commitIndex).toBe(1);
  expect(follower.left).toEqual([]);
  follower.receive("a", append(1, [1, 1], { round: 3, commit: 1 }));

  expect(follower.sent("AppendEntriesReply")).toMatchObject([{ round: 3, outcome: { kind: "accepted", match: 1 } }]);
});

test("a repeated append is answered, since it may be a probe", () => {
  const follower = new Core({ self: "b", voters: "abc", term: 1 });
  follower.receive("a", append(1, [0, 0], { entries: [1, 1], round: 4 })).persisted();
  follower.receive("a", append(1, [2, 1], { round: 4 })).forget();

  follower.receive("a", append(1, [0, 0], { entries: [1], round: 4 }));

  expect(matchesOf(follower.sent("AppendEntriesReply"))).toEqual([2]);
});

test("a link that opens costs one exchange, not the wait for a heartbeat", () => {
  const cluster = new RaftCluster({ replicas: 3, seed: 14 });
  const leader = cluster.untilLeader();
  const other = cluster.replicas.find((replica) => replica !== leader) ?? "";
  const { role } = cluster.state(leader);
  if (role.kind !== "leader") throw new Error("it leads");
  const { round } = role;
  cluster.until("a heartbeat begins", () => role.round > round).run(3);

  cluster.input(leader, { kind: "disconnected", peer: other });
  cluster.input(leader, { kind: "connected", peer: other });
  cluster.run(3).submit(leader, "x").run(4);

  expect(cluster.durable(other).length).toBe(2);
});

test("a process that did not run for a while gives others the time to be heard before it gives them up", () => {
  const follower = new Core({ self: "b", voters: "abc", term: 1 }).receive("a", append(1, [0, 0], { entries: [1] }));
  follower.tick(5).tick(5000);
  expect(follower.state.role.kind).toBe("follower");
  follower.pass(40);
  expect(follower.state.role.kind).toBe("preCandidate");

  const leader = new Core({ voters: "abc" }).elect("b").persisted().acknowledged("b", 1).tick(5).tick(5000);
  expect(leader.state.role.kind).toBe("leader");
  leader.pass(80);
  expect(leader.state.role.kind).toBe("follower");
});

test("a leader keeps its log for who is a little behind, for four checkpoints at most, and neither for the silent nor without space (S6)", () => {
  const leader = (): Core => {
    const core = new Core({ voters: "abc" }).elect("b").persisted().acknowledged("b", 1).acknowledged("c", 1);
    for (let index = 2; index <= 14; index += 1) core.propose("x").persisted().acknowledged("b", index);
    return core;
  };
  const startsOf = (core: Core, ...checkpoints: readonly number[]): readonly number[] =>
    checkpoints.map((index) => core.input({ kind: "checkpointed", checkpoint: id(index, 1) }).state.log.start.index);

  expect(startsOf(leader(), 2, 4, 6, 8, 10, 12)).toEqual([1, 1, 1, 1, 2, 4]);
  expect(startsOf(leader().acknowledged("c", 14), 2, 4)).toEqual([2, 4]);
  const deaf = leader();
  for (let passed = 0; passed < 2_000; passed += 100) deaf.pass(100).acknowledged("b", 14);
  expect(startsOf(deaf, 2)).toEqual([2]);
  const core = leader();
  expect(startsOf(core, 2, 4)).toEqual([1, 1]);
  expect(core.input({ kind: "space", space: "short" }).state.log.start.index).toBe(4);
});
