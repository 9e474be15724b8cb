/** Hazards R1 to R10, R11, R13, F1, F3 and F8: what has gone wrong in replication of systems like this one. */
import { describe, expect, test } from "vitest";
import { counterMax } from "../../src/model/ids.js";
import { RaftCluster } from "../../test-support/raft-cluster.js";
import { accepted, append, Core, entriesOf, i, id, matchesOf, proposal, t } from "../../test-support/raft-core.js";

describe("commitment", () => {
  test("an entry of an earlier term is not committed by counting its copies (R1, figure 8)", () => {
    const leader = new Core({ voters: "abcde", term: 3, log: [1, 2] }).elect("b", "c").persisted();
    expect(leader.state.term).toBe(4);

    leader.acknowledged("b", 2).acknowledged("c", 2).acknowledged("d", 2);
    expect(leader.state.commitIndex).toBe(0);
    leader.acknowledged("b", 3).acknowledged("c", 3);

    expect(leader.state.commitIndex).toBe(3);
  });

  test("a follower commits no further than this very message has verified (R2)", () => {
    const follower = new Core({ self: "b", voters: "abcde", term: 3, log: [1, 1, 1, 1, 1, 1, 3, 3] });

    follower.receive("a", append(4, [6, 1], { commit: 8 }));

    expect(follower.state.commitIndex).toBe(6);
  });

  test("a late short append leaves later entries that matched (R3)", () => {
    const follower = new Core({ self: "b", voters: "abc", term: 1, log: [1, 1, 1, 1] });

    follower.receive("a", append(1, [4, 1], { entries: [1, 1, 1] }));
    follower.receive("a", append(1, [4, 1], { entries: [1] }));

    expect(follower.terms).toHaveLength(7);
    expect(
      follower.history.every((effect) => effect.kind !== "persist" || effect.write.truncateFrom === undefined),
    ).toBe(true);
  });

  test("a conflict replaces the entry and removes the tail behind it (R4)", () => {
    const follower = new Core({ self: "b", voters: "abc", term: 2, log: [1, 1, 1, 2, 2] });

    follower.receive("a", append(3, [3, 1], { entries: [3] }));

    expect(follower.terms).toEqual([1, 1, 1, 3]);
    expect(follower.effects[0]).toMatchObject({
      kind: "persist",
      write: { truncateFrom: 4, entries: [{ index: 4, term: 3 }] },
    });
  });
});

describe("acknowledgements", () => {
  test("name the matched index, not the own last one (R5)", () => {
    const follower = new Core({ self: "b", voters: "abc", term: 2, log: [1, 1, 1, 1, 1, 2, 2, 2, 2] });

    follower.receive("a", append(3, [5, 1], {})).persisted();

    expect(matchesOf(follower.sent("AppendEntriesReply", "a"))).toEqual([5]);
  });

  test("of an older term move nothing, and match never goes back (R6)", () => {
    const leader = new Core({ voters: "abc", term: 3, log: [1, 1] }).elect("b").persisted();
    leader.acknowledged("b", 3);

    leader.receive("c", accepted(2, 3));
    leader.acknowledged("b", 1);

    const { role } = leader.state;
    if (role.kind !== "leader") throw new Error("it leads");
    expect(role.followers.get("b")?.progress.match).toBe(3);
    expect(role.followers.get("c")?.progress.match).toBe(0);
  });

  test("of what the leader does not have are ignored", () => {
    const leader = new Core({ voters: "abc" }).elect("b").persisted();

    leader.acknowledged("b", 99);

    expect(leader.state.commitIndex).toBe(0);
  });

  test("a late signal of an overwritten write confirms nothing at that index (R7)", () => {
    const follower = new Core({ self: "b", voters: "abcdefg", term: 1, log: [1, 1] });
    follower.receive("a", append(2, [2, 1], { entries: [2] })); // x at 3, write 1
    follower.receive("c", append(3, [2, 1], { entries: [3] })); // y replaces it, write 2
    follower.receive("d", append(4, [2, 1], { entries: [2] })); // a third leader puts x back, write 3
    expect(follower.unwritten).toBe(3);

    follower.forget().persisted(1);
    expect(follower.state.writes.durableIndex).toBe(2);
    expect(matchesOf(follower.sent("AppendEntriesReply", "d"))).not.toContain(3);
    follower.persisted(1);
    expect(follower.state.writes.durableIndex).toBe(2);
    follower.persisted();

    expect(follower.state.writes.durableIndex).toBe(3);
    expect(matchesOf(follower.sent("AppendEntriesReply", "d"))).toContain(3);
  });

  test("the same at a leader: its own copy counts by the newest write of an index only (R7)", () => {
    const core = new Core({ voters: "abc", term: 1 });
    core.receive("b", append(2, [0, 0], { entries: [2, 2] })); // Write 1, pending.
    core.receive("c", append(3, [0, 0], { entries: [3] })); // Cuts both off, write 2, pending.

    core.persisted(1);

    expect(core.state.writes.durableIndex).toBe(0);
  });

  test("leave only when the entries are on disk (R8)", () => {
    const follower = new Core({ self: "b", voters: "abc", term: 1 });

    follower.receive("a", append(1, [0, 0], { entries: [1, 1] }));
    expect(matchesOf(follower.sent("AppendEntriesReply", "a"))).toEqual([]);
    follower.receive("a", append(1, [2, 1], { round: 2 })); // A heartbeat meanwhile claims what is durable: nothing.
    expect(matchesOf(follower.sent("AppendEntriesReply", "a"))).toEqual([0]);
    follower.receive("a", append(1, [0, 0], { entries: [1, 1], round: 3 })); // So does a repeated append.
    expect(matchesOf(follower.sent("AppendEntriesReply", "a"))).toEqual([0, 0]);
    follower.persisted();

    expect(matchesOf(follower.sent("AppendEntriesReply", "a"))).toEqual([0, 0, 2]);
  });

  test("a new leader hears of entries that an earlier one had sent, once they are durable", () => {
    const follower = new Core({ self: "b", voters: "abc", term: 1 });
    follower.receive("a", append(1, [0, 0], { entries: [1, 1] }));
    follower.receive("c", append(2, [2, 1], {}));
    expect(matchesOf(follower.sent("AppendEntriesReply", "c")).filter((match) => match > 0)).toEqual([]);

    follower.persisted();

    expect(matchesOf(follower.sent("AppendEntriesReply", "c"))).toContain(2);
  });

  test("the leader counts its own copy only when its own write is durable (R9)", () => {
    const leader = new Core({ voters: "abc" }).elect("b").persisted();
    leader.acknowledged("b", 1).propose("x").acknowledged("b", 2);
    expect(leader.state.commitIndex).toBe(1);

    leader.persisted();

    expect(leader.effects).toContainEqual({ kind: "commit", upTo: 2 });
  });

  test("two followers' copies commit without the leader's own disk", () => {
    const leader = new Core({ voters: "abc" }).elect("b").acknowledged("b", 1).acknowledged("c", 1);

    expect(leader.state.commitIndex).toBe(1);
  });

  test("one replica alone elects itself at its first tick and commits when its own write is durable (R10)", () => {
    const solo = new Core({ voters: "a" }).tick(5).persisted(1);
    expect(solo.state.role.kind).toBe("leader");
    solo.persisted().propose("x");
    expect(solo.state.commitIndex).toBe(1);

    solo.persisted();

    expect(solo.state.commitIndex).toBe(2);
  });

  test("a follower that lost what it acknowledged neither crashes nor makes the leader spin (R11)", () => {
    const follower = new Core({ self: "b", voters: "abc", term: 1, log: [1] });
    follower.receive("a", append(1, [5, 1], { commit: 5 }));
    expect(follower.state.commitIndex).toBe(0);

    const leader = new Core({ voters: "abc", term: 1, log: [1, 1, 1, 1, 1] })
      .elect("b")
      .persisted()
      .acknowledged("b", 6)
      .forget();
    const refusal = { kind: "conflict", rejected: i(6), hint: id(1, 1) } as const;
    leader.receive("b", { kind: "AppendEntriesReply", term: t(2), round: 1, outcome: refusal });

    expect(leader.sent("AppendEntries", "b")).toEqual([]);
    expect(leader.tick(30).sent("AppendEntries", "b")).toHaveLength(1);
    leader.input({ kind: "disconnected", peer: "b" }).input({ kind: "connected", peer: "b" }).forget();
    leader.receive("b", { kind: "AppendEntriesReply", term: t(2), round: 1, outcome: refusal });
    expect(leader.sent("AppendEntries", "b")).toEqual([]);
  });
});

describe("limits", () => {
  test("messages are cut by bytes, and a single large entry still travels (R13)", () => {
    const leader = new Core({ voters: "ab", settings: { appendBytesMax: 1000 } })
      .elect("b")
      .persisted()
      .acknowledged("b", 1);
    leader.forget().propose("x".repeat(5000), ...Array.from({ length: 20 }, () => "y".repeat(100)));

    const sizes = leader.sent("AppendEntries", "b").map(({ entries }) => entries.length);
    expect(sizes[0]).toBe(1);
    expect(Math.max(...sizes)).toBe(6);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(21);
  });

  test("a follower far behind catches up in messages within the limit (R13)", () => {
    const cluster = new RaftCluster({ replicas: 3, seed: 4, wire: true, tailCount: 5 });
    const leader = cluster.untilLeader();
    const behind = cluster.replicas.find((replica) => replica !== leader) ?? "";
    cluster.crash(behind);
    for (let burst = 0; burst < 100; burst += 1)
      cluster.submit(leader, ...Array.from({ length: 10 }, () => `${burst}`)).run(2);
    cluster.submit(leader, "last").run(20);

    cluster.restart(behind).untilExecuted("last", 500);

    expect(cluster.executed(behind)).toEqual(cluster.executed(leader));
  });

  test("a follower that does not answer is sent a window, not the log; memory stays bounded (F1)", () => {
    const settings = { inflightBytesMax: 4000, inflightCountMax: 100, logCacheBytes: 5000 };
    const leader = new Core({ voters: "abc", settings })
      .elect("b")
      .persisted()
      .acknowledged("b", 1)
      .acknowledged("c", 1);
    for (let at = 2; at < 500; at += 1) {
      leader.propose("x".repeat(100)).persisted();
      if (leader.state.commitIndex < at) leader.acknowledged("b", at);
    }

    const silent = leader.sent("AppendEntries", "c").reduce((sum, { entries }) => sum + entries.length, 0);
    expect(silent).toBeLessThan(30);
    expect(leader.state.commitIndex).toBe(499);
    expect(leader.state.log.cachedBytes).toBeLessThan(5500);
  });

  test("a follower whose disk stood still for ten seconds catches up by itself (F3)", () => {
    const cluster = new RaftCluster({ replicas: 3, seed: 12 });
    const leader = cluster.untilLeader();
    const slow = cluster.replicas.find((replica) => replica !== leader) ?? "";
    cluster.stallDisk(slow);
    for (let at = 0; at < 1000; at += 1) cluster.submit(leader, `${at}`).run(10);

    cluster.releaseDisk(slow).until("it has all", () => cluster.durable(slow).length >= 1000, 5000);
    expect(cluster.leading).toEqual([leader]);
  });

  test("a lost message, probe or reply is made good by the next heartbeat (F3)", () => {
    const cluster = new RaftCluster({ replicas: 3, seed: 13, links: false });
    const leader = cluster.untilLeader();
    const other = cluster.replicas.find((replica) => replica !== leader) ?? "";
    for (const [from, to] of [
      [leader, other],
      [other, leader],
    ] as const) {
      cluster.block(from, to).submit(leader, `lost ${from}`).run(20).heal();

      cluster.untilExecuted(`lost ${from}`, 100);
    }
  });

  test("counters beyond 2^32 are exact, and at their end a replica refuses clearly (F8)", () => {
    const old = new Core({ voters: "ab", term: 2 ** 32 - 2 }).elect("b").persisted().acknowledged("b", 1);
    for (let time = 0; time < 3; time += 1) {
      old
        .receive("b", append(old.state.term + 2, [1, 2 ** 32 - 1], {}))
        .persisted()
        .elect("b")
        .persisted();
    }
    expect(old.state.term).toBeGreaterThan(2 ** 32);
    expect(old.state.role.kind).toBe("leader");

    const last = new Core({ voters: "ab", term: counterMax - 1 }).pass(2000);
    expect(last.state.role.kind).toBe("follower");
    expect(last.state.term).toBe(counterMax - 1);
    const heard = new Core({ voters: "ab" }).receive("b", append(counterMax - 1, [0, 0], { entries: [1] })).persisted();
    expect(matchesOf(heard.sent("AppendEntriesReply"))).toEqual([1]);
  });
});

describe("conflict repair", () => {
  test("a long divergent tail costs one round for each term in it, not for each entry", () => {
    const tail = Array.from({ length: 5000 }, () => 2);
    const follower = new Core({ self: "b", voters: "abc", term: 2, log: [1, ...tail] });
    const leader = new Core({ voters: "abc", term: 3, log: [1, ...Array.from({ length: 5000 }, () => 3)] })
      .elect("c")
      .persisted();

    let rounds = 0;
    while (!follower.terms.includes(4) && rounds < 100) {
      rounds += 1;
      for (const message of leader.sent("AppendEntries", "b").splice(0)) follower.receive("a", message);
      leader.forget();
      for (const message of follower.persisted().sent("AppendEntriesReply", "a")) leader.receive("b", message);
      follower.forget();
      if (leader.effects.some((effect) => effect.kind === "load")) {
        const from = leader.effects.find((effect) => effect.kind === "load")?.from ?? i(0);
        leader.input({ kind: "loaded", peer: "b", from, entries: entriesOf([3, 3], from - 1) });
      }
      if (rounds < 5 && follower.terms[1] === 3) break;
    }

    expect(follower.terms[1]).toBe(3);
    expect(rounds).toBeLessThanOrEqual(4);
  });

  test("a refusal that comes late, after the leader has drawn its conclusion, starts no second search", () => {
    const leader = new Core({ voters: "abc", term: 1, log: [1, 1, 1, 1] }).elect("c").persisted();
    const refusal = { kind: "conflict", rejected: i(4), hint: id(2, 1) } as const;
    leader.receive("b", { kind: "AppendEntriesReply", term: t(2), round: 1, outcome: refusal }).forget();

    leader.receive("b", { kind: "AppendEntriesReply", term: t(2), round: 1, outcome: refusal });

    expect(leader.sent("AppendEntries", "b")).toEqual([]);
  });

  test("entries no longer in memory are loaded, and a late or foreign load is not sent", () => {
    const leader = new Core({ voters: "abc", settings: { logCacheBytes: 0 }, term: 1, log: [1, 1, 1] })
      .elect("c")
      .persisted();
    leader.acknowledged("c", 4).tick(5);
    const refusal = { kind: "conflict", rejected: i(3), hint: id(0, 0) } as const;
    leader.receive("b", { kind: "AppendEntriesReply", term: t(2), round: 1, outcome: refusal });
    expect(leader.effects).toContainEqual({ kind: "load", peer: "b", from: 1, bytesMax: 4096 });
    leader.forget();

    leader.input({ kind: "loaded", peer: "b", from: i(2), entries: entriesOf([1], 1) });
    expect(leader.sent("AppendEntries", "b")).toEqual([]);
    leader.input({ kind: "loaded", peer: "b", from: i(1), entries: entriesOf([1, 1, 1]) });

    expect(leader.sent("AppendEntries", "b")).toMatchObject([{ previous: { index: 0 }, entries: [{}, {}, {}] }]);
  });
});

describe("agreed time", () => {
  test("never goes back along the log, whatever clock proposes it", () => {
    const leader = new Core({ voters: "a" }).tick(5).persisted();
    leader.input({
      kind: "propose",
      proposals: [
        { ...proposal("x"), time: 5000 },
        { ...proposal("y"), time: 4000 },
      ],
    });

    const times = leader.effects.flatMap((effect) =>
      effect.kind === "persist" ? effect.write.entries.map(({ time }) => time) : [],
    );
    expect(times).toEqual([5000, 5000]);
  });
});
