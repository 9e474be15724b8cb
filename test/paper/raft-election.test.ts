/**
 * The rules of elections, one test each: Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (extended
 * version), and Ongaro's thesis where named.
 */
import { expect, test } from "vitest";
import { append, Core, id, matchesOf, t } from "../../test-support/raft-core.js";

const ask = (term: number, last: readonly [number, number]) =>
  ({ kind: "RequestVote", term: t(term), last: id(...last) }) as const;
const grants = (core: Core): boolean[] =>
  core
    .persisted()
    .sent("RequestVoteReply")
    .map(({ granted }) => granted);

test("5.1: a message of a higher term makes any replica a follower of that term", () => {
  const messages = [
    { kind: "PreVote", term: t(7), attempt: 1, last: id(0, 0) },
    { kind: "PreVoteReply", term: t(7), attempt: 1, granted: false },
    { kind: "RequestVote", term: t(7), last: id(0, 0) },
    { kind: "RequestVoteReply", term: t(7), granted: false },
    { kind: "AppendEntriesReply", term: t(7), round: 1, outcome: { kind: "outdated" } },
    { kind: "ReadIndex", term: t(7), id: 1, byLease: false },
    { kind: "ReadIndexReply", term: t(7), id: 1, index: undefined },
  ] as const;
  for (const message of messages) {
    const leader = new Core({ voters: "abc" }).elect("b").persisted().receive("c", message);

    expect(leader.state, message.kind).toMatchObject({ term: 7, role: { kind: "follower", leader: undefined } });
    expect(leader.effects, message.kind).toContainEqual(
      expect.objectContaining({
        kind: "persist",
        write: expect.objectContaining({ hardState: expect.objectContaining({ term: 7 }) }),
      }),
    );
  }
});

test("5.1: a request of an older term is refused with the newer one", () => {
  const voter = new Core({ self: "b", voters: "abc", term: 5 });

  voter.receive("a", ask(4, [9, 4])).receive("a", append(4, [0, 0], {}));
  voter.receive("a", { kind: "PreVote", term: t(4), attempt: 1, last: id(9, 4) });

  expect(voter.sent("RequestVoteReply")).toMatchObject([{ term: 5, granted: false }]);
  expect(voter.sent("AppendEntriesReply")).toMatchObject([{ term: 5, outcome: { kind: "outdated" } }]);
  expect(voter.sent("PreVoteReply")).toMatchObject([{ term: 5, granted: false }]);
});

test("5.2: a candidate increments its term, votes for itself durably, and only then asks", () => {
  const candidate = new Core({ voters: "abc", term: 3, log: [2] });
  while (candidate.state.role.kind !== "preCandidate") candidate.tick(5);
  const { attempt } = candidate.state;
  candidate.receive("b", { kind: "PreVoteReply", term: t(3), attempt, granted: true });

  expect(candidate.effects).toMatchObject([
    { kind: "persist", write: { hardState: { term: 4, votedFor: "a" } } },
    { kind: "role" },
  ]);
  expect(candidate.sent("RequestVote")).toEqual([]);
  candidate.persisted();

  expect(candidate.sent("RequestVote")).toMatchObject([ask(4, [1, 2]), ask(4, [1, 2])]);
});

test("5.2: a candidate's own vote counts only when it cannot be forgotten", () => {
  const candidate = new Core({ voters: "abc" });
  while (candidate.state.role.kind !== "preCandidate") candidate.tick(5);
  candidate.receive("b", { kind: "PreVoteReply", term: t(0), attempt: candidate.state.attempt, granted: true });

  candidate.receive("b", { kind: "RequestVoteReply", term: t(1), granted: true });
  expect(candidate.state.role.kind).toBe("candidate");
  candidate.persisted(1);

  expect(candidate.state.role.kind).toBe("leader");
});

test("5.2: one vote a term, first come, first served; the same candidate may ask again", () => {
  const voter = new Core({ self: "c", voters: "abcd" });

  voter
    .receive("a", ask(1, [0, 0]))
    .receive("b", ask(1, [5, 1]))
    .receive("a", ask(1, [0, 0]))
    .receive("b", ask(2, [0, 0]));

  expect(grants(voter).filter(Boolean)).toHaveLength(3);
  expect(voter.sent("RequestVoteReply", "b").map(({ term, granted }) => [term, granted])).toEqual([
    [1, false],
    [2, true],
  ]);
});

test("5.2: a pre-candidate that gives its vote to another keeps to it", () => {
  const voter = new Core({ self: "c", voters: "abcd" });
  while (voter.state.role.kind !== "preCandidate") voter.tick(5);

  voter.receive("a", ask(1, [0, 0]));
  expect(voter.state).toMatchObject({ votedFor: "a", role: { kind: "follower" } });
  voter.receive("b", ask(1, [0, 0]));

  expect(grants(voter)).toEqual([false, true]);
});

test("5.2: a leader that stepped down in its own term votes for nobody else in it", () => {
  const leader = new Core({ voters: "abc" }).elect("b").persisted().pass(500);
  expect(leader.state).toMatchObject({ term: 1, votedFor: "a" });
  expect(leader.state.role.kind).not.toBe("leader");

  leader.receive("c", ask(1, [9, 1]));

  expect(grants(leader)).toEqual([false]);
});

test("5.2: a majority of all voters elects, and one vote less does not", () => {
  const five = new Core({ voters: "abcde" });
  while (five.state.role.kind !== "preCandidate") five.tick(5);
  for (const from of ["b", "c"]) {
    five.receive(from, { kind: "PreVoteReply", term: t(0), attempt: five.state.attempt, granted: true });
  }
  five.persisted().receive("b", { kind: "RequestVoteReply", term: t(1), granted: true });
  five
    .receive("b", { kind: "RequestVoteReply", term: t(1), granted: true })
    .receive("d", { kind: "RequestVoteReply", term: t(1), granted: false });
  expect(five.state.role.kind).toBe("candidate");

  five.receive("e", { kind: "RequestVoteReply", term: t(1), granted: true });

  expect(five.state.role.kind).toBe("leader");
});

test("5.2: votes of an earlier term elect nobody", () => {
  const candidate = new Core({ voters: "abc", term: 5 });
  while (candidate.state.role.kind !== "preCandidate") candidate.tick(5);
  candidate
    .receive("b", { kind: "PreVoteReply", term: t(5), attempt: candidate.state.attempt, granted: true })
    .persisted();

  candidate.receive("b", { kind: "RequestVoteReply", term: t(5), granted: true });

  expect(candidate.state.role.kind).toBe("candidate");
});

test("5.2: a candidate that hears the leader of its term follows it", () => {
  const candidate = new Core({ voters: "abc" });
  while (candidate.state.role.kind !== "preCandidate") candidate.tick(5);
  candidate
    .receive("b", { kind: "PreVoteReply", term: t(0), attempt: candidate.state.attempt, granted: true })
    .persisted();

  candidate.receive("c", append(1, [0, 0], { entries: [1] })).persisted();

  expect(candidate.state.role).toMatchObject({ kind: "follower", leader: "c" });
  expect(matchesOf(candidate.sent("AppendEntriesReply"))).toEqual([1]);
});

test("5.2: time-outs are random, from the replica's own generator", () => {
  const firsts = new Set<number>();
  for (let at = 1; at <= 30; at += 1) {
    const core = new Core({ voters: "abc" });
    for (let drawn = 0; drawn < at; drawn += 1) core.receive("b", append(1, [0, 0], {}));
    const { now, state } = core;
    expect(state.electionDeadline - now).toBeGreaterThanOrEqual(150);
    expect(state.electionDeadline - now).toBeLessThanOrEqual(300);
    firsts.add(state.electionDeadline);
  }
  expect(firsts.size).toBeGreaterThan(15);
});

test("a replica that has just started waits two heartbeats at least, and one shortest time-out at most", () => {
  const { state, now } = new Core({ voters: "abc" });
  const { heartbeatMs, electionTimeoutMsMin } = state.settings;

  expect(state.electionDeadline - now).toBeGreaterThanOrEqual(2 * heartbeatMs);
  expect(state.electionDeadline - now).toBeLessThanOrEqual(electionTimeoutMsMin);
});

test("5.4.1: a vote goes only to a log that is at least as up to date: later last term, then longer", () => {
  const logs: readonly [last: [number, number], granted: boolean][] = [
    [[3, 2], true],
    [[4, 2], true],
    [[1, 3], true],
    [[2, 2], false],
    [[9, 1], false],
    [[0, 0], false],
  ];
  for (const [last, granted] of logs) {
    const voter = new Core({ self: "b", voters: "abc", term: 3, log: [1, 2, 2] });

    voter.receive("a", ask(4, last)).receive("a", { kind: "PreVote", term: t(4), attempt: 1, last: id(...last) });

    expect(grants(voter), `${last.join("@")}`).toEqual([granted]);
    expect(voter.sent("PreVoteReply"), `${last.join("@")}`).toMatchObject([{ granted }]);
  }
});

test("thesis 9.6: a pre-vote changes neither term nor vote, at either side", () => {
  const asked = new Core({ self: "b", voters: "abc", term: 3, votedFor: "c" });
  asked.receive("a", { kind: "PreVote", term: t(3), attempt: 4, last: id(0, 0) });
  expect(asked.effects).toMatchObject([{ kind: "send", message: { kind: "PreVoteReply", attempt: 4, granted: true } }]);
  expect(asked.state).toMatchObject({ term: 3, votedFor: "c" });

  const asking = new Core({ voters: "abc", term: 3, votedFor: "c" }).pass(2000);
  expect(asking.state).toMatchObject({ term: 3, votedFor: "c", role: { kind: "preCandidate" } });
  expect(asking.history.some(({ kind }) => kind === "persist")).toBe(false);
});

test("thesis 9.6: who leads, or has heard a leader within the shortest time-out, grants no pre-vote", () => {
  const question = (term: number) => ({ kind: "PreVote", term: t(term), attempt: 1, last: id(9, term) }) as const;
  const follower = new Core({ self: "b", voters: "abc", term: 1 }).receive("a", append(1, [0, 0], {}));
  follower.pass(100).receive("c", question(1)).pass(45).receive("c", question(1)).pass(5);
  expect(follower.sent("PreVoteReply").map(({ granted }) => granted)).toEqual([false, false]);
  follower.forget().receive("c", question(1));
  expect(follower.sent("PreVoteReply")).toMatchObject([{ granted: true }]);

  const leader = new Core({ voters: "abc" }).elect("b").persisted().receive("c", question(1));
  expect(leader.sent("PreVoteReply")).toMatchObject([{ granted: false }]);
});

test("thesis 9.6: answers to an earlier try do not count for a new one", () => {
  const core = new Core({ voters: "abc" });
  while (core.state.role.kind !== "preCandidate") core.tick(5);
  const { attempt } = core.state;
  while (core.state.attempt === attempt) core.tick(5);

  core.receive("b", { kind: "PreVoteReply", term: t(0), attempt, granted: true });

  expect(core.state.role.kind).toBe("preCandidate");
});

test("thesis 6.2: a leader that hears no majority for an election time-out steps down", () => {
  const leader = new Core({ voters: "abcde" }).elect("b", "c").persisted();
  for (let passed = 0; passed < 1000; passed += 50) leader.pass(50).acknowledged("b", 1).acknowledged("c", 1);
  expect(leader.state.role.kind).toBe("leader");

  for (let passed = 0; passed < 400; passed += 50) leader.pass(50).acknowledged("b", 1);

  expect(leader.state.role.kind).not.toBe("leader");
});

test("a lost link to the leader starts a pre-vote within the stated time, and puts nobody off for ever", () => {
  const core = new Core({ self: "b", voters: "abcde", term: 1 }).receive("a", append(1, [0, 0], {}));
  core.input({ kind: "disconnected", peer: "a" }).pass(35);
  expect(core.state.role.kind).toBe("preCandidate");

  // Another asks again and again: our own next try is put off once, not each time.
  const before = core.state.attempt;
  for (let passed = 0; passed < 900; passed += 10) {
    core.receive("c", { kind: "PreVote", term: t(1), attempt: passed, last: id(0, 0) }).pass(10);
  }
  expect(core.state.attempt).toBeGreaterThan(before + 1);
});

test("a peer whose link opens during an election is asked at once", () => {
  const core = new Core({ voters: "abc" })
    .input({ kind: "disconnected", peer: "b" })
    .input({ kind: "disconnected", peer: "c" });
  while (core.state.role.kind !== "preCandidate") core.tick(5);
  expect(core.left).toEqual([]);

  core.input({ kind: "connected", peer: "c" });
  expect(core.sent("PreVote", "c")).toHaveLength(1);
  core
    .receive("c", { kind: "PreVoteReply", term: t(0), attempt: core.state.attempt, granted: true })
    .persisted()
    .forget();
  core.input({ kind: "connected", peer: "b" });

  expect(core.sent("RequestVote", "b")).toHaveLength(1);
});
