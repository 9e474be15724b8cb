/** Whole replicas order by PBFT: the same host, log, sessions and checkpoints as under crash faults. */
import { expect, test } from "vitest";
import { encodeUtf8 } from "../../src/base/bytes.js";
import { BftGroup } from "../../test-support/bft-group.js";
import type { Door } from "../../src/api/door.js";
import { nullBatch } from "../../src/consensus/bft/messages.js";
import type { Liar } from "../../src/sim/liars/liar.js";
import { liarNamed } from "../../src/sim/liars/named.js";
import { tally } from "../../test-support/tally-machine.js";

const ids = ["a", "b", "c", "d"];

/** Those that run have executed the same, up to the same entry. */
async function untilAlike(group: BftGroup): Promise<void> {
  const states = (): readonly string[] =>
    [...group.running.values()].map(
      ({ executor, core }) => `${core.status().executedIndex} ${Buffer.from(executor.digest()).toString("hex")}`,
    );
  await group.until("equal states", () => new Set(states()).size === 1);
}

/** No two have executed something else at the same index. */
function expectOneOrder(group: BftGroup): void {
  const order = new Map<number, string>();
  for (const executed of group.executed.values()) {
    executed.forEach((what, index) => {
      expect(order.get(index) ?? what).toBe(what);
      order.set(index, what);
    });
  }
}

test("four replicas execute a client's commands, each once, and answer reads in their order", async () => {
  const group = new BftGroup(ids);
  const [door, other] = [group.door("b"), group.door("a")];

  expect(await group.add(door, "x")).toBe("1");
  expect(await group.add(other, "x")).toBe("2");
  expect(await group.read(door, "x")).toBe("2");

  await untilAlike(group);
  expectOneOrder(group);
  expect(group.broken).toEqual([]);
});

test("reads that come while an entry is on its way share the next one", async () => {
  const group = new BftGroup(ids);
  const doors = new Map(ids.map((id) => [id, group.door(id)] as const));
  const [a, b, c, d] = ids.map((id) => doors.get(id)) as [Door, Door, Door, Door];
  await group.add(a, "x");
  const proposed = (): number => group.replica("a").core.status().counters.entriesProposed;
  const before = proposed();
  const rounds = 20;
  for (let round = 1; round <= rounds; round += 1) {
    const asked = [group.add(a, "x"), group.read(b, "x"), group.read(c, "x"), group.read(d, "x")];
    const [added, ...found] = await Promise.all(asked);
    expect(added).toBe(String(round + 1));
    for (const each of found) expect([String(round), added]).toContain(each);
  }

  // The command's, that of the reads, and now and then one of a report or of the time.
  expect(proposed() - before).toBeLessThanOrEqual(2.5 * rounds);
});

test("votes that come behind a quorum of equal ones are not verified", async () => {
  const group = new BftGroup(ids);
  const door = group.door("a");
  // What d says comes late.
  const disk = group.disks.get("d");
  const settle = disk?.settle.bind(disk);
  let asked = 0;
  Object.assign(disk ?? {}, { settle: () => ((asked += 1) % 10 === 0 ? settle?.() : undefined) });
  await group.add(door, "x");
  const figures = (id: string): { readonly verified: number; readonly known: number } =>
    group.replica(id).core.status().counters.signatures;
  const entries = (): number => group.replica("a").core.status().executedIndex;
  const before = { b: figures("b"), entries: entries() };
  for (let count = 2; count <= 40; count += 1) expect(await group.add(door, "x")).toBe(String(count));

  // Of six votes of others a backup needs four, and what the client has signed; the two of d are spare.
  const passed = entries() - before.entries;
  expect(figures("b").known - before.b.known).toBeGreaterThanOrEqual(1.5 * passed);
  expect(figures("b").verified - before.b.verified).toBeLessThanOrEqual(6 * passed);
  await untilAlike(group);
  expect(group.broken).toEqual([]);
});

test("a crashed backup is not missed, a crashed primary is replaced, and whoever comes back has all of it", async () => {
  const group = new BftGroup(ids);
  const door = group.door("c");
  expect(await group.add(door, "x")).toBe("1");

  group.crash("b");
  expect(await group.add(door, "x")).toBe("2");
  group.start("b");
  expect(await group.add(door, "x")).toBe("3");
  await untilAlike(group);

  group.crash("a");
  expect(await group.add(door, "x")).toBe("4");
  expect(group.primary()).toBe("b");
  expect(await group.read(door, "x")).toBe("4");
  group.start("a");
  expect(await group.add(door, "x")).toBe("5");
  await untilAlike(group);
  expectOneOrder(group);
  expect(group.broken).toEqual([]);
});

test("seven replicas bear the loss of the first two primaries, and take them back", async () => {
  const group = new BftGroup(["a", "b", "c", "d", "e", "f", "g"]);
  const door = group.door("e");
  expect(await group.add(door, "x")).toBe("1");
  group.crash("a");
  group.crash("b");

  expect(await group.add(door, "x")).toBe("2");
  expect(group.primary()).toBe("c");
  group.start("a");
  group.start("b");
  expect(await group.add(door, "x")).toBe("3");
  await untilAlike(group);
  expectOneOrder(group);
  expect(group.broken).toEqual([]);
});

test("after all have crashed nothing that was answered is lost, and the view is the same", async () => {
  const group = new BftGroup(ids);
  const door = group.door("d");
  for (let count = 1; count <= 10; count += 1) expect(await group.add(door, "x")).toBe(String(count));
  group.crash("a");
  expect(await group.add(door, "x")).toBe("11");
  group.start("a");

  for (const id of ids) group.crash(id);
  for (const id of ids) group.start(id);
  const again = group.door("d");
  expect(await group.read(again, "x")).toBe("11");
  expect(await group.add(again, "x")).toBe("12");
  expect(group.primary()).toBe("b");
  await untilAlike(group);
  expectOneOrder(group);
});

test("the log is given back behind stable checkpoints, and who was away too long is given a checkpoint that a quorum has signed", async () => {
  const group = new BftGroup(ids);
  const door = group.door("b");
  expect(await group.add(door, "x")).toBe("1");
  group.crash("d");
  for (let count = 2; count <= 80; count += 1) expect(await group.add(door, "x")).toBe(String(count));
  const stable = group.replica("b").core.engine.driver.state.stable.index;
  expect(stable).toBeGreaterThan(60);

  group.start("d");
  await untilAlike(group);
  expect(group.replica("d").core.status().counters.checkpointsFetched).toBe(1);
  // As any other it takes part again: without it there is no quorum.
  group.crash("c");
  expect(await group.add(door, "x")).toBe("81");
  await untilAlike(group);
  expectOneOrder(group);
  expect(group.broken).toEqual([]);
});

/** As primary it tells two of the others that nothing is ordered, and votes for both. */
const twoOrders: Liar = {
  name: "twoOrders",
  outgoing(to, message, { sign }) {
    if (to === "b") return [message];
    if (message.kind === "PrePrepare") {
      return [{ kind: "PrePrepare", prepare: sign({ ...message.prepare.statement, digest: "" }), batch: nullBatch }];
    }
    if (message.kind !== "Said") return [message];
    const { statement } = message.signed;
    const isVote = statement.kind === "Prepare" || statement.kind === "Commit";
    return isVote ? [{ kind: "Said", signed: sign({ ...statement, digest: "" }) }] : [message];
  },
};

const onTheWire = [
  ...["silent", "deafToSome", "unreliable", "corruptVotes", "doubleVotes", "corruptCommits", "nextIndex", "farView"],
  ...["withholdingCommits", "hasty", "doubleProposals", "emptyPrimary", "gaps", "repeating", "hidingBatches"],
  ...["mismatched", "farProposals", "leavingOut", "usurping", "restless", "twoFaced", "spoiling", "omitting", "adding"],
  ...["wrongCheckpoints", "twoCheckpoints", "noCheckpoints", "unprovedStable", "falseProofs", "lyingStatus", "needy"],
  ...["wrongBatches", "unhelpful", "slowPrimary", "slowCommits", "replaying", "forging", "flooding"],
];

test.each(["twoOrders", ...onTheWire])(
  "%s: the first primary lies, and clients are served and the others agree",
  async (name) => {
    const group = new BftGroup(ids, { liar: name === twoOrders.name ? twoOrders : liarNamed(name) });
    const door = group.door("b");
    for (let count = 1; count <= 20; count += 1) expect(await group.add(door, "x")).toBe(String(count));
    expect(await group.read(door, "x")).toBe("20");
    const honest = ids.slice(1);
    await group.until("a stable checkpoint", () =>
      honest.every((id) => group.replica(id).core.engine.driver.state.stable.index > 8),
    );
    group.crash("a");
    await untilAlike(group);
    expectOneOrder(group);
    expect(group.broken).toEqual([]);
    for (const accused of group.evidence) expect(accused).toMatch(/: a /);
  },
);

test("a replica that computes something else sets itself aside by what a quorum has signed, and the others go on", async () => {
  const group = new BftGroup(ids, {
    machineOf: (id) =>
      id !== "c"
        ? tally
        : {
            ...tally,
            open: (environment) => {
              const machine = tally.open(environment);
              const right = machine.fork.bind(machine);
              return Object.assign(machine, { fork: () => ({ ...right(), chunks: () => [encodeUtf8("[]")] }) });
            },
          },
  });
  const door = group.door("b");
  for (let count = 1; count <= 20; count += 1) expect(await group.add(door, "x")).toBe(String(count));
  await group.until("it to be set aside", () => group.replica("c").core.status().quarantine.state === "stopped");
  expect(await group.add(door, "x")).toBe("21");
  expect(await group.read(door, "x")).toBe("21");
  for (const id of ["a", "b", "d"]) expect(group.replica(id).core.status().quarantine.state).toBe("sound");
  expectOneOrder(group);
});
