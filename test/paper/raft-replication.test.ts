/** The rules of replication and reads, one test each; sections of the Raft paper, or of the thesis where named. */
import { expect, test } from "vitest";
import { accepted, append, Core, entriesOf, i, id, matchesOf, t } from "../../test-support/raft-core.js";

const conflict = (rejected: number, hint: readonly [number, number]) =>
  ({ kind: "conflict", rejected: i(rejected), hint: id(...hint) }) as const;

test("5.2: a leader shows itself to all at once, and again each heartbeat", () => {
  const leader = new Core({ voters: "abc" }).elect("b").persisted();
  expect(leader.sent("AppendEntries", "c")).toHaveLength(1);

  leader.acknowledged("b", 1).forget().pass(90);

  expect(leader.sent("AppendEntries", "b").filter(({ entries }) => entries.length === 0).length).toBeGreaterThanOrEqual(
    3,
  );
});

test("5.3: entries are taken only after an entry that both logs have", () => {
  const follower = new Core({ self: "b", voters: "abc", term: 2, log: [1, 1, 2] });

  follower.receive("a", append(3, [3, 1], { entries: [3] })); // Another term there.
  follower.receive("a", append(3, [5, 2], { entries: [3] })); // Nothing there.
  expect(follower.terms).toEqual([1, 1, 2]);
  expect(follower.sent("AppendEntriesReply").map(({ outcome }) => outcome)).toEqual([
    conflict(3, [2, 1]),
    conflict(5, [3, 2]),
  ]);

  follower.receive("a", append(3, [2, 1], { entries: [3] }));

  expect(follower.terms).toEqual([1, 1, 3]);
});

test("5.3: an entry that is there already is not written again, nor those behind it touched", () => {
  const follower = new Core({ self: "b", voters: "abc", term: 1, log: [1, 1, 1] });

  follower.receive("a", append(1, [0, 0], { entries: [1, 1] }));

  expect(follower.effects.filter(({ kind }) => kind === "persist")).toEqual([]);
  expect(follower.terms).toEqual([1, 1, 1]);
});

test("5.3: a refused leader goes back by whole terms", () => {
  const leader = new Core({ voters: "abc", term: 5, log: [1, 1, 1, 4, 4, 5, 5] }).elect("c").persisted().forget();

  leader.receive("b", { kind: "AppendEntriesReply", term: t(6), round: 1, outcome: conflict(7, [6, 3]) });
  expect(leader.sent("AppendEntries", "b")).toMatchObject([{ previous: id(3, 1) }]);
  leader.forget().receive("b", { kind: "AppendEntriesReply", term: t(6), round: 1, outcome: conflict(3, [0, 0]) });

  expect(leader.sent("AppendEntries", "b")).toMatchObject([{ previous: id(0, 0), entries: { length: 8 } }]);
});

test("5.3: a leader never overwrites or drops entries of its own log", () => {
  const leader = new Core({ voters: "abc", term: 1, log: [1, 1] }).elect("b").persisted().propose("x", "y").persisted();
  leader
    .receive("c", { kind: "AppendEntriesReply", term: t(2), round: 1, outcome: conflict(2, [1, 1]) })
    .acknowledged("b", 5);

  expect(leader.terms).toEqual([1, 1, 2, 2, 2]);
  expect(leader.history.some((effect) => effect.kind === "persist" && effect.write.truncateFrom !== undefined)).toBe(
    false,
  );
});

test("5.3: a follower commits what the leader has committed, once it has it", () => {
  const follower = new Core({ self: "b", voters: "abc", term: 1 }).receive(
    "a",
    append(1, [0, 0], { entries: [1, 1], commit: 9 }),
  );
  expect(follower.effects).toContainEqual({ kind: "commit", upTo: 2 });

  follower.receive("a", append(1, [2, 1], { entries: [1], commit: 1 }));

  expect(follower.state.commitIndex).toBe(2); // Never back.
});

test("5.3: an answer in a new term waits until the term is durable, although its entries are", () => {
  const follower = new Core({ self: "b", voters: "abc", term: 1, log: [1, 1] });

  follower.receive("a", append(2, [2, 1], {}));
  expect(follower.left).toEqual([]);
  follower.receive("a", append(2, [2, 1], { round: 2 }));
  expect(follower.left).toEqual([]);
  follower.persisted();

  expect(matchesOf(follower.sent("AppendEntriesReply", "a"))).toEqual([2, 2]);
});

test("5.4.2: a leader commits by counting only in its own term, and with it everything before", () => {
  const leader = new Core({ voters: "abc", term: 1, log: [1, 1] }).elect("b").persisted();
  leader.acknowledged("b", 2).acknowledged("c", 2);
  expect(leader.state.commitIndex).toBe(0);

  leader.acknowledged("c", 3);

  expect(leader.effects).toContainEqual({ kind: "commit", upTo: 3 });
});

test("5.4.2, 8: a leader opens its term with an entry of its own, timed like the last one", () => {
  const leader = new Core({ voters: "abc", term: 1, log: [1] }).elect("b");

  expect(leader.effects[0]).toMatchObject({
    kind: "persist",
    write: { entries: [{ index: 2, term: 2, kind: "noop", time: 0 }] },
  });
});

test("5.5: repeated and late messages change nothing", () => {
  const follower = new Core({ self: "b", voters: "abc", term: 1 });
  const message = append(1, [0, 0], { entries: [1, 1], commit: 1 });

  follower.receive("a", message).receive("a", message).persisted().receive("a", message);
  expect(follower.terms).toEqual([1, 1]);
  expect(follower.history.filter(({ kind }) => kind === "persist" || kind === "commit").length).toBeLessThanOrEqual(3);

  const leader = new Core({ voters: "abc" }).elect("b").persisted().acknowledged("b", 1);
  const before = leader.state.commitIndex;
  leader.acknowledged("b", 1).acknowledged("b", 0);
  expect(leader.state.commitIndex).toBe(before);
});

test("thesis 10.2: a leader sends ahead of acknowledgements, and writes its own log meanwhile", () => {
  const leader = new Core({ voters: "abc" }).elect("b").persisted().acknowledged("b", 1).forget();

  leader.propose("x").propose("y").propose("z");

  expect(leader.sent("AppendEntries", "b").map(({ previous, entries }) => [previous.index, entries.length])).toEqual([
    [1, 1],
    [2, 1],
    [3, 1],
  ]);
  expect(leader.unwritten).toBe(3);
});

test("a follower that is probed gets one message at a time", () => {
  const leader = new Core({ voters: "abc", term: 1, log: [1] }).elect("b").persisted().forget();

  leader.propose("x").propose("y");
  expect(leader.sent("AppendEntries", "c")).toEqual([]);
  leader.receive("c", accepted(2, 2, 1));

  expect(leader.sent("AppendEntries", "c")).toMatchObject([{ previous: { index: 2 }, entries: { length: 2 } }]);
});

test("a link that opens is used at once, and what was in flight on the old one is sent again", () => {
  const leader = new Core({ voters: "abc" })
    .elect("b")
    .persisted()
    .acknowledged("b", 1)
    .acknowledged("c", 1)
    .propose("x");
  leader.input({ kind: "disconnected", peer: "c" }).forget().propose("y").pass(40);
  expect(leader.sent("AppendEntries", "c")).toEqual([]);

  leader.input({ kind: "connected", peer: "c" });

  expect(leader.sent("AppendEntries", "c")).toMatchObject([{ previous: { index: 1 }, entries: { length: 2 } }]);
});

test("a follower whose first link opens only after the election is probed at once", () => {
  const leader = new Core({ voters: "abc" }).elect("b").persisted().forget();

  leader.input({ kind: "connected", peer: "c" });

  expect(leader.sent("AppendEntries", "c")).toMatchObject([{ previous: { index: 0 }, entries: { length: 1 } }]);
});

test("a load that an earlier leadership had asked for is not sent if the log has changed since", () => {
  const leader = new Core({ voters: "abc", term: 1, log: [1], settings: { logCacheBytes: 0 } }).elect("b").persisted();
  leader.acknowledged("b", 2).tick(5).tick(5);
  leader.receive("c", { kind: "AppendEntriesReply", term: t(2), round: 1, outcome: conflict(1, [0, 0]) });
  expect(leader.history.filter(({ kind }) => kind === "load")).toHaveLength(1);

  leader.forget().input({ kind: "loaded", peer: "c", from: i(1), entries: entriesOf([9, 9]) });

  expect(leader.sent("AppendEntries", "c")).toEqual([]);
  expect(leader.effects).toMatchObject([{ kind: "load", from: 1 }]);
});

test("a load without an answer is asked for again, so that the follower is not stuck (F3)", () => {
  const leader = new Core({ voters: "abc", term: 1, log: [1], settings: { logCacheBytes: 0 } }).elect("b").persisted();
  leader.acknowledged("b", 2).tick(5);
  leader.receive("c", { kind: "AppendEntriesReply", term: t(2), round: 1, outcome: conflict(1, [0, 0]) });
  const loads = (): number => leader.history.filter(({ kind }) => kind === "load").length;
  expect(loads()).toBe(1);

  for (let passed = 0; passed < 400; passed += 50) leader.pass(50).acknowledged("b", 2).acknowledged("c", 0);

  expect(loads()).toBe(2);
});

test("a leader is replaced in a follower's eyes only by one of a higher term", () => {
  const follower = new Core({ self: "b", voters: "abc", term: 1 }).receive("a", append(1, [0, 0], { entries: [1] }));

  expect(() => follower.receive("c", append(1, [0, 0], { entries: [1] }))).toThrow("R9");
});

test("what is committed is never replaced: a replica stops instead", () => {
  const follower = new Core({ self: "b", voters: "abc", term: 1 }).receive(
    "a",
    append(1, [0, 0], { entries: [1, 1], commit: 2 }),
  );

  expect(() => follower.receive("c", append(2, [1, 1], { entries: [2] }))).toThrow("R8");
});

test("entries come from memory while they are there, and from disk once they are evicted", () => {
  const settings = { logCacheBytes: 100, appendBytesMax: 4096 };
  const leader = new Core({ voters: "abc", settings }).elect("b").persisted().acknowledged("b", 1);
  for (let at = 2; at <= 10; at += 1) leader.propose("x").persisted().acknowledged("b", at);
  leader.forget().receive("c", accepted(1, 0, 1));
  expect(leader.history).toContainEqual({ kind: "load", peer: "c", from: 1, bytesMax: 4096 });

  leader.input({ kind: "loaded", peer: "c", from: i(1), entries: entriesOf([1, 1]) });
  const loads = leader.effects.filter(({ kind }) => kind === "load");

  expect(leader.sent("AppendEntries", "c")).toMatchObject([{ previous: { index: 0 }, entries: { length: 2 } }]);
  expect(loads).toMatchObject([{ from: 3 }]);
});
