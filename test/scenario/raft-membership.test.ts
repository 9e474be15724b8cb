/** Stories about members that come and go (hazards M1 to M12, E12, E13, E20; Raft section 6). */
import { describe, expect, test } from "vitest";
import { configurationAt, isChanging } from "../../src/consensus/raft/configuration.js";
import type { Entry } from "../../src/model/entry.js";
import type { MembershipChange } from "../../src/model/instruction.js";
import { Core, i, t } from "../../test-support/raft-core.js";
import { RaftCluster } from "../../test-support/raft-cluster.js";

const add = (id: string): MembershipChange => ({
  kind: "add",
  id,
  peer: `${id}:1`,
  client: `${id}:2`,
  role: "joining",
});
const remove = (id: string): MembershipChange => ({ kind: "remove", id });
const others = (cluster: RaftCluster, id: string): string[] => cluster.replicas.filter((each) => each !== id);

const isConfiguration = ({ kind }: Entry): boolean => kind === "configuration";

const settledLeader = (): Core =>
  new Core({ voters: "abc" }).elect("b", "c").persisted().acknowledged("b", 1).acknowledged("c", 1);

function instructed(core: Core, change: MembershipChange): unknown {
  core.input({ kind: "instruct", id: 77, instruction: { kind: "change", change } });
  const answer = core.effects.find((effect) => effect.kind === "instructed");
  return answer?.kind === "instructed" ? answer.outcome : "begun";
}

describe("a change of members", () => {
  test("passes through a majority of both sets, and a replica that joins becomes a voter by itself", () => {
    const cluster = new RaftCluster({ replicas: 3, seed: 1, wire: true });
    const leader = cluster.untilLeader();
    cluster.submit(leader, "early").join("d").add("d");
    cluster.until("d is a voter everywhere", () => cluster.replicas.every((id) => cluster.members(id) === "a b c d"));
    cluster.submit(leader, "late").untilExecuted("late");

    expect(cluster.executed("d")).toEqual(["early", "late"]);
    const kinds = cluster.durable("d").filter(({ kind }) => kind === "configuration");
    expect(kinds).toHaveLength(4);
  });

  test("changes the whole set, one by one, under writes", () => {
    const cluster = new RaftCluster({ replicas: 3, seed: 5 });
    cluster.untilLeader();
    cluster.join("d", "e", "f");
    for (const [gained, lost] of ["da", "eb", "fc"].map((pair) => [...pair] as [string, string])) {
      cluster.add(gained).until(`${gained} votes`, () => cluster.members(cluster.untilLeader()).includes(gained));
      cluster.submit(cluster.untilLeader(), `with ${gained}`);
      cluster.until("it is a voter", () => !cluster.members(cluster.untilLeader()).includes("joining"));
      cluster.change(remove(lost)).crash(lost);
    }
    cluster.submit(cluster.untilLeader(), "end").untilExecuted("end");

    expect(cluster.members(cluster.untilLeader())).toBe("d e f");
    expect(cluster.executed("f")).toEqual(["with d", "with e", "with f", "end"]);
  });

  test("exchanges several at once: no set in between ever counts, and it is all or nothing", () => {
    const cluster = new RaftCluster({ replicas: 3, seed: 9 });
    const leader = cluster.untilLeader();
    cluster.join("d", "e");
    for (const id of ["d", "e"])
      cluster.change({ kind: "add", id, peer: `${id}:1`, client: `${id}:2`, role: "learner" });
    cluster.submit(leader, "early").untilExecuted("early");
    const [gone = "", kept = ""] = others(cluster, leader).filter((id) => "abc".includes(id));
    const lastVoters = [leader, gone, kept].map((id) => ({ kind: "remove", id }) as const);
    const unknown = [{ kind: "remove", id: gone } as const, { kind: "promote", id: "z" } as const];
    const refused = [lastVoters, unknown].map((changes) =>
      cluster.instruct(leader, { kind: "change", change: { kind: "several", changes } }),
    );
    expect(refused.map((id) => cluster.outcomes.get(id))).toEqual(["LAST_VOTER", "NOT_A_MEMBER"]);
    expect(cluster.members(leader)).toMatch(/^a b c\b/);

    cluster.change({
      kind: "several",
      changes: [
        { kind: "promote", id: "d" },
        { kind: "promote", id: "e" },
        { kind: "remove", id: gone },
        { kind: "remove", id: leader },
      ],
    });
    cluster.crash(gone).crash(leader);
    cluster.submit(cluster.untilLeader(), "late").untilExecuted("late");
    expect(cluster.members(cluster.untilLeader())).toBe([kept, "d", "e"].sort().join(" "));
    const configurations = cluster.durable(kept).filter(isConfiguration);
    // Two for each learner, and two for all of the exchange.
    expect(configurations).toHaveLength(6);
  });

  test("survives the restart of everybody", () => {
    const cluster = new RaftCluster({ replicas: 3, seed: 2, tailCount: 1 });
    cluster.untilLeader();
    cluster
      .join("d")
      .add("d")
      .until("d votes", () => cluster.members("d") === "a b c d");
    for (let count = 0; count < 20; count += 1) cluster.submit(cluster.untilLeader(), `${count}`).run(5);
    for (const id of cluster.replicas) cluster.crash(id);
    for (const id of cluster.replicas) cluster.restart(id);
    cluster.untilLeader();

    expect(cluster.replicas.map((id) => cluster.members(id))).toEqual(Array(4).fill("a b c d"));
  });

  test("M6: every index of the log has its members, with all that was said of them, and a cut takes back what it cuts", () => {
    const cluster = new RaftCluster({ replicas: 3, seed: 9, wire: true });
    const leader = cluster.untilLeader();
    cluster.join("d").change({ kind: "add", id: "d", peer: "x:7", client: "x:8", role: "learner" }).run(200);
    const at = (index: number) => configurationAt(cluster.state("d"), i(index)).membership;
    const learner = { id: "d", role: "learner", incarnation: 0, peer: "x:7", client: "x:8" };

    expect(at(0)).toEqual({ members: [] });
    expect(at(2)).toMatchObject({ members: [{}, {}, {}, learner], before: [{ id: "a" }, { id: "b" }, { id: "c" }] });
    expect(at(3).members).toHaveLength(4);
    expect(at(3).before).toBeUndefined();
    expect(configurationAt(cluster.state(leader), i(1)).membership.members).toHaveLength(3);
    for (const id of cluster.replicas) cluster.crash(id).restart(id);
    expect(cluster.members(cluster.untilLeader())).toBe("a b c d (learner)");
  });

  test("a damaged configuration counts again once it is repaired", () => {
    const leader = settledLeader();
    instructed(leader, add("d"));
    const made = leader.state.log.entriesFrom(i(2), 1_000)?.[0];
    if (made === undefined) throw new Error("a configuration was appended");
    const damaged = new Core({ self: "b", voters: "abc", term: 1, log: [1, 1], trust: "damaged" });
    expect(damaged.state.peers).toEqual(["a", "c"]);

    damaged.input({ kind: "repaired", newest: made, configurations: [made] });

    expect(damaged.state.peers).toEqual(["a", "c", "d"]);
    expect(damaged.effects).toContainEqual(expect.objectContaining({ kind: "members" }));
  });

  test("is refused where it makes no sense, and then changes nothing", () => {
    expect(instructed(settledLeader(), add("b"))).toBe("ALREADY_A_MEMBER");
    expect(instructed(settledLeader(), remove("x"))).toBe("NOT_A_MEMBER");
    expect(instructed(settledLeader(), { kind: "promote", id: "x" })).toBe("NOT_A_MEMBER");
    expect(instructed(settledLeader(), { kind: "promote", id: "b" })).toBe("done");
    expect(instructed(new Core({ voters: "a" }).tick(5).persisted(), remove("a"))).toBe("LAST_VOTER");
    expect(instructed(new Core({ voters: "abc" }), add("d"))).toBe("NO_LEADER");
    const core = settledLeader().input({ kind: "disconnected", peer: "c" });
    expect(instructed(core, remove("b"))).toBe("NO_QUORUM");
    // The old c and the new one are two, so neither of two voters before the change would be left to agree with us.
    const pair = new Core({ voters: "ac" }).elect("c").persisted().acknowledged("c", 1);
    expect(instructed(pair, { kind: "replace", id: "c", peer: "x:1", client: "x:2" })).toBe("NO_QUORUM");
    expect(core.state.log.lastIndex).toBe(1);
  });

  test("M1: is refused until the leader has committed an entry of its own term", () => {
    const leader = new Core({ voters: "abc" }).elect("b");
    expect(instructed(leader, add("d"))).toBe("BUSY");

    leader.persisted().acknowledged("b", 1);

    expect(instructed(leader, add("d"))).toBe("begun");
  });

  test("M1: what a deposed leader had begun with a joiner elects nobody against the new members", () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const cluster = new RaftCluster({ replicas: 4, seed, links: false });
      const first = cluster.untilLeader();
      const [second = "", third = "", fourth = ""] = others(cluster, first);
      cluster.join("e").run(50).cutOff([first, "e"]);
      cluster.instruct(first, { kind: "change", change: add("e") });
      cluster.run(20).crash(first);
      cluster.untilLeader({ not: first });
      cluster.change(remove(first));
      cluster.submit(cluster.untilLeader({ not: first }), "decided").run(100);
      cluster.crash(second).crash(third).restart(first).heal();
      for (let tries = 0; tries < 5; tries += 1) cluster.urge(first, 200).urge("e", 200).run(300);

      expect(cluster.leading.filter((id) => cluster.state(id).view.settledAt !== undefined)).toEqual([]);
      cluster.restart(second).restart(third);
      cluster.until("all that take part know the new members", () =>
        [second, third, fourth].every((id) => !cluster.members(id).includes(first)),
      );
      cluster.checkLogMatching();
    }
  });

  test("M2: a replica that has executed neither of two changes wins nothing with the old majority", () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const cluster = new RaftCluster({ replicas: 3, seed, links: false });
      const leader = cluster.untilLeader();
      const [lagging = "", third = ""] = others(cluster, leader);
      cluster.cutOff([lagging]).join("d", "e").block("d", lagging).block("e", lagging);
      cluster.block(lagging, "d").block(lagging, "e").add("d");
      cluster.until("d votes", () => !cluster.members(leader).includes("joining")).add("e");
      cluster.until(
        "e votes",
        () => !cluster.members(leader).includes("joining") && !isChanging(cluster.state(leader)),
      );

      cluster.heal().cutOff([lagging, third]).urge(lagging, 500).urge(third, 500).run(600);

      expect(cluster.state(lagging).role.kind).not.toBe("leader");
      expect(cluster.state(third).role.kind).not.toBe("leader");
      cluster.submit(leader, "goes on").run(100);
      expect(cluster.executed("d")).toContain("goes on");
    }
  });

  test("M3: a learner that was promoted and does not know it gives its vote", () => {
    const cluster = new RaftCluster({ replicas: 3, learners: 1, seed: 3, links: false });
    const leader = cluster.untilLeader();
    cluster.run(100).cutOff(["d"]).change({ kind: "promote", id: "d" });
    cluster.until("the voters know", () => [..."abc"].every((id) => cluster.members(id) === "a b c d"));
    expect(cluster.members("d")).toBe("a b c d (learner)");

    cluster.crash(leader).heal();

    // Three of four are needed, and d is one of the three that are left.
    cluster.untilLeader({ not: leader });
  });

  test("M4: a promotion that only some have leaves nobody without a leader", () => {
    for (let seed = 1; seed <= 10; seed += 1) {
      const cluster = new RaftCluster({ replicas: 3, learners: 1, seed, links: false });
      const leader = cluster.untilLeader();
      cluster.run(100);
      for (const id of others(cluster, leader)) if (id !== "d") cluster.block(leader, id);
      cluster.instruct(leader, { kind: "change", change: { kind: "promote", id: "d" } });
      cluster.run(10).crash(leader).heal();
      const next = cluster.untilLeader({ not: leader, limitMs: 1_500 });
      cluster.until("no change is left half done", () => !isChanging(cluster.state(next)));

      cluster.submit(next, "goes on").untilExecuted("goes on");
    }
  });

  test("M5: a replica that is added does not count before it has nearly the whole log", () => {
    const cluster = new RaftCluster({ replicas: 3, seed: 4 });
    const leader = cluster.untilLeader();
    const [down = ""] = others(cluster, leader);
    cluster.crash(down).join("d").cutOff(["d"]).add("d");
    for (let count = 0; count < 300; count += 1) cluster.submit(leader, `${count}`).run(2);
    cluster.run(20);

    expect(cluster.executed(leader)).toHaveLength(300);
    expect(cluster.members(leader)).toBe("a b c d (joining)");
    const early = cluster.instruct(leader, { kind: "change", change: { kind: "promote", id: "d" } });
    expect(cluster.outcomes.get(early)).toBe("NOT_CLOSE");
    cluster.heal().until("d is promoted", () => cluster.members("d") === "a b c d");
  });

  test("M7: a second change is refused while one is under way, and the last configuration is simple", () => {
    const cluster = new RaftCluster({ replicas: 3, seed: 6, diskMs: [5, 20] });
    const leader = cluster.untilLeader();
    cluster.join("d", "e");
    const asked = ["d", "e"].map((id) => cluster.instruct(leader, { kind: "change", change: add(id) }));
    cluster.until("the first is done", () => cluster.outcomes.size === 2);

    expect(asked.map((id) => cluster.outcomes.get(id))).toEqual(["done", "BUSY"]);
    cluster.until("d votes", () => cluster.members("d") === "a b c d");
  });

  test("M7: R17 the core itself never lets two changes overlap", () => {
    const leader = settledLeader();
    expect(instructed(leader, add("d"))).toBe("begun");
    for (const change of [add("e"), remove("b"), { kind: "promote", id: "b" } as const])
      expect(instructed(leader, change)).toBe("BUSY");
    leader.input({ kind: "instruct", id: 78, instruction: { kind: "transfer", to: undefined } });
    expect(leader.effects).toContainEqual({ kind: "instructed", id: 78, outcome: "BUSY" });
  });

  test("M11: members that only a cut off leader knows disappear with it, and it never counts itself alone", () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const cluster = new RaftCluster({ replicas: 3, seed, links: false });
      const leader = cluster.untilLeader();
      const [second = ""] = others(cluster, leader);
      cluster.run(50).cutOff([leader]);
      const asked = cluster.instruct(leader, { kind: "change", change: remove(second) });
      cluster.submit(leader, "lost").run(50);
      const next = cluster.untilLeader({ not: leader });
      cluster.submit(next, "kept").heal().untilExecuted("kept");

      expect(cluster.outcomes.get(asked)).toBe("unknown");
      expect(cluster.replicas.map((id) => cluster.members(id))).toEqual(["a b c", "a b c", "a b c"]);
      expect(cluster.executed(leader)).not.toContain("lost");
    }
  });

  test("a replaced replica is another one: its old promises count for nobody", () => {
    const leader = settledLeader();
    expect(instructed(leader, { kind: "replace", id: "c", peer: "x:1", client: "x:2" })).toBe("begun");

    // Two of the three before are needed, and neither the old c nor the new one can be the second.
    leader.persisted().acknowledged("c", 2);
    expect(leader.state.commitIndex).toBe(1);
    leader.acknowledged("b", 2);

    expect(leader.state.commitIndex).toBe(2);
    expect(leader.state.voters).toEqual(["a", "b"]);
    const { membership } = configurationAt(leader.state, i(3));
    expect(membership.members.at(-1)).toMatchObject({ id: "c", role: "joining", incarnation: 0, replaces: 1 });
  });

  test("another data directory under the same id begins with an empty log, whatever the earlier one acknowledged", () => {
    const leader = settledLeader().input({ kind: "connected", peer: "c", incarnation: 1 }).acknowledged("c", 1);
    leader.input({ kind: "connected", peer: "c", incarnation: 5 });

    const { role } = leader.state;
    expect(role.kind === "leader" && role.followers.get("c")?.progress).toMatchObject({ mode: "probe", match: 0 });
  });
});

test("M8: a new disk reads in the log that its predecessor alone was the group, and is not that one", () => {
  const again = new Core({ voters: "a", incarnation: 2, term: 1, log: [1] });
  for (let ticks = 0; ticks < 1_000; ticks += 1) again.tick(5);
  expect(again.state).toMatchObject({ role: { kind: "follower" }, term: 1 });

  const predecessor = new Core({ voters: "a", term: 1, log: [1] }).tick(5).persisted();
  expect(predecessor.state.role.kind).toBe("leader");
});

describe("a replica that is removed", () => {
  test("E12: disturbs nobody after it was cut off while it was removed", () => {
    const cluster = new RaftCluster({ replicas: 3, seed: 7, links: false });
    const leader = cluster.untilLeader();
    const [removed = "", other = ""] = others(cluster, leader);
    cluster.cutOff([removed]).change(remove(removed)).run(1_000).heal();
    const { term } = cluster.state(leader);
    cluster.submit(leader, "goes on").run(3_000);

    expect(cluster.leading).toEqual([leader]);
    expect(cluster.state(leader).term).toBe(term);
    expect(cluster.executed(other)).toContain("goes on");
  });

  test("E13: leads until it is out, hands over, and never stands again", () => {
    for (let seed = 1; seed <= 10; seed += 1) {
      const cluster = new RaftCluster({ replicas: 3, seed });
      const leader = cluster.untilLeader();
      cluster.run(50).submit(leader, "before").change(remove(leader));
      const next = cluster.untilLeader({ not: leader, limitMs: 500 });
      const { term } = cluster.state(leader);
      cluster.submit(next, "after").run(2_000);

      expect(cluster.executed(next)).toEqual(["before", "after"]);
      expect(cluster.state(leader)).toMatchObject({ role: { kind: "follower" }, term });
      expect(cluster.members(leader)).not.toContain(leader);
    }
  });

  test("E13: a leader that is out by an entry which it alone holds leads again until that is committed", () => {
    for (let seed = 1; seed <= 10; seed += 1) {
      const cluster = new RaftCluster({ replicas: 2, seed, links: false });
      const leader = cluster.untilLeader();
      const [left = ""] = others(cluster, leader);
      cluster.run(50).instruct(leader, { kind: "change", change: remove(leader) });
      cluster.until(
        "it alone holds the last configuration",
        () => cluster.durable(leader).filter(isConfiguration).length === 2,
      );
      cluster.cutOff([leader]).crash(leader).crash(left).run(50).heal().restart(leader).restart(left);
      expect(cluster.durable(left).filter(isConfiguration)).toHaveLength(1);
      cluster.until("the one that is left leads", () => cluster.state(left).role.kind === "leader");
      cluster.submit(left, "alone").run(50);

      expect(cluster.executed(left)).toEqual(["alone"]);
      expect(cluster.members(left)).toBe(left);
      expect(cluster.run(2_000).state(leader).role.kind).toBe("follower");
    }
  });

  test("is told, and then sent nothing more", () => {
    const cluster = new RaftCluster({ replicas: 4, seed: 8 });
    const leader = cluster.untilLeader();
    const [removed = ""] = others(cluster, leader);
    cluster.change(remove(removed)).run(200);
    const { role } = cluster.state(leader);

    expect(cluster.members(removed)).not.toContain(removed);
    expect(role.kind === "leader" && role.followers.has(removed)).toBe(false);
  });

  test("E20: votes and acknowledgements of one that is no member count for nothing", () => {
    const candidate = new Core({ voters: "abc" });
    while (candidate.state.role.kind !== "preCandidate") candidate.tick(5);
    const { attempt } = candidate.state;
    candidate.receive("x", { kind: "PreVoteReply", term: t(0), attempt, granted: true });
    expect(candidate.state.role.kind).toBe("preCandidate");

    const leader = settledLeader().propose("y").persisted();
    leader.acknowledged("x", 2).receive("x", { kind: "ReadIndex", term: t(1), id: 1, byLease: false });

    expect(leader.state.commitIndex).toBe(1);
    expect(leader.sent("ReadIndexReply")).toEqual([]);
  });
});

test("a leader that its follower does not know yet as a member is followed", () => {
  const follower = new Core({ self: "c", voters: "abc", term: 1 });

  follower.receive("d", {
    ...{ kind: "AppendEntries", term: t(2), round: 1, commit: i(0), entries: [] },
    previous: { index: i(0), term: t(0) },
  });

  expect(follower.state).toMatchObject({ term: 2, role: { kind: "follower", leader: "d" } });
});

test("M12: random changes under loss, crashes and partitions keep every promise", () => {
  for (let seed = 1; seed <= 25; seed += 1) {
    const network = { delayMs: [1, 8], loss: 0.02, duplication: 0.02, reorder: seed % 2 === 0 } as const;
    const cluster = new RaftCluster({ replicas: 3, seed, network, diskMs: [1, 6] });
    cluster.join("d", "e");
    const draw = (of: number, salt: number): number => (seed * 7919 + salt * 104_729) % of;
    for (let round = 0; round < 25; round += 1) {
      const id = "abcde"[draw(5, round)] ?? "a";
      const [leader] = cluster.leading;
      const change = round % 3 === 0 ? add(id) : remove(id);
      if (leader !== undefined) {
        const count = cluster.state(leader).voters.length;
        if (change.kind === "add" || count > 2) cluster.instruct(leader, { kind: "change", change });
        cluster.submit(leader, `${round}`);
      }
      if (round % 5 === 2) cluster.cutOff([id]);
      if (round % 5 === 4) cluster.heal();
      if (round % 7 === 3 && cluster.isAlive(id)) cluster.crash(id);
      cluster.run(120);
      for (const dead of cluster.replicas) if (!cluster.isAlive(dead)) cluster.restart(dead);
    }
    cluster.heal().calm().untilLeader({ limitMs: 10_000 });
    const leader = cluster.untilLeader();
    cluster.submit(leader, "end").until("it is decided", () => cluster.executed(cluster.untilLeader()).includes("end"));
    cluster.until("no change is half done", () => !isChanging(cluster.state(cluster.untilLeader())));
    cluster.checkLogMatching();
  }
});
