/** Hazard D12, told of whole clusters: disks that have no space left, and then have. */
import { expect, test } from "vitest";

import type { ReplicaId } from "../../src/model/ids.js";
import { groupOf, quick, type Story } from "../../test-support/sim-stories.js";

const value = "x".repeat(1_000);
const put = (number: number) =>
  ({ command: "append", input: { key: `k${number}`, value: `${number} ${value}` } }) as const;
const get = (number: number) => ({ query: "get", input: { key: `k${number}` } }) as const;

/** Writes until one is refused; answers how many were acknowledged. */
function fill(group: Story): number {
  for (let number = 0; number < 200; number += 1) {
    const output = group.call(put(number));
    if (output === "refused DISK_FULL") return number;
    if (output !== undefined) throw new Error(`${JSON.stringify(output)}\n${group.traceText(60)}`);
  }
  throw new Error(`Nothing was refused\n${group.traceText()}`);
}

function expectAll(group: Story, count: number): void {
  for (let number = 0; number < count; number += 1) expect(group.call(get(number))).toBe(`${number} ${value}`);
}

const processesOf = (group: Story): readonly unknown[] => group.replicas.map((id) => group.replica(id).process);
const isFull = (group: Story, id: ReplicaId): boolean => group.raft(id).space !== "ample";

test("D12: with all disks full writes are refused at once, reads and elections go on, and writes go on when there is space", () => {
  for (const seed of [1, 2, 3]) {
    const group = groupOf(0, { seed, limits: { raft: quick } });
    const processes = processesOf(group);
    for (const id of group.replicas) group.disk(id).setFull(true);

    const acknowledged = fill(group);
    expect(acknowledged).toBeGreaterThan(10);
    for (const id of group.replicas) expect(isFull(group, id)).toBe(true);
    expectAll(group, acknowledged);
    // What is kept back is enough for elections, and what a leader of now cannot take it refuses too.
    for (let round = 0; round < 3; round += 1) {
      const deposed = group.untilLeader();
      group.cutOff([deposed]);
      group.untilLeader({ not: deposed });
      expect(group.call(get(0))).toBe(`0 ${value}`);
      expect(group.call(put(1_000))).toBe("refused DISK_FULL");
      group.heal().pass(1_000);
    }

    for (const id of group.replicas) group.disk(id).setFull(false);
    group.until("space to be found", () => group.replicas.every((id) => !isFull(group, id)), 2_000);
    expect(group.call(put(1_001))).toBeUndefined();
    expectAll(group, acknowledged);
    expect(group.call(get(1_000))).toBe("");
    expect(processesOf(group)).toEqual(processes);
    group.untilQuiet().conclude();
  }
});

test("D12: with full disks everywhere a group is started again, reads, and writes when there is space", () => {
  const group = groupOf(0, { seed: 6, limits: { raft: quick } });
  for (const id of group.replicas) group.disk(id).setFull(true);
  const acknowledged = fill(group);

  group.powerCut(...group.replicas).start(...group.replicas);
  group.untilLeader();
  expectAll(group, acknowledged);
  expect(group.call(put(1_000))).toBe("refused DISK_FULL");

  for (const id of group.replicas) group.disk(id).setFull(false);
  group.until("space to be found", () => group.replicas.every((id) => !isFull(group, id)), 2_000);
  expect(group.call(put(1_001))).toBeUndefined();
  expectAll(group, acknowledged);
  group.untilQuiet().conclude();
});

test("D12: a checkpoint that finds no space waits for it, and then frees log", () => {
  const limits = { raft: quick, checkpoints: { logEntriesMax: 20, logBytesMax: 1_000_000, chunkBytes: 4_096 } };
  const group = groupOf(0, { seed: 7, limits });
  for (const id of group.replicas) group.disk(id).setFull(true);
  const acknowledged = fill(group);
  const checkpointOf = (id: ReplicaId) => group.replica(id).opened?.core.status().checkpoint;
  for (const id of group.replicas)
    expect(checkpointOf(id)).toMatchObject({ index: 0, failure: expect.stringMatching("no space") as unknown });

  for (const id of group.replicas) group.disk(id).setFull(false);
  group.until(
    "the log to begin later",
    () => group.replicas.every((id) => (checkpointOf(id)?.logStart ?? 0) > 0),
    5_000,
  );
  expectAll(group, acknowledged);
  group.untilQuiet().conclude();
});

test("D12: a leader whose disk is full hands over to one with space, no write is refused, and it follows when it has space", () => {
  const group = groupOf(0, { seed: 4, limits: { raft: quick } });
  const processes = processesOf(group);
  const full = group.untilLeader();
  group.disk(full).setFull(true);

  for (let number = 0; number < 100; number += 1) expect(group.call(put(number))).toBeUndefined();
  expect(group.leader).not.toBe(full);
  expect(group.raft(full).log.lastIndex).toBeLessThan(group.raft(group.untilLeader()).log.lastIndex);
  // It keeps its reserve, and is told of the others' commits no further than it has the entries.
  expect(group.raft(full).space).toBe("none");

  group.disk(full).setFull(false);
  group.untilQuiet(10_000);
  expectAll(group, 100);
  expect(processesOf(group)).toEqual(processes);
  group.conclude();
});

test("D12: with full disks at a majority the leader refuses, although it has space; one of them with space is enough to go on", () => {
  const group = groupOf(0, { seed: 5, limits: { raft: quick } });
  const leader = group.untilLeader();
  const [one = "", other = ""] = group.others(leader);
  for (const id of [one, other]) group.disk(id).setFull(true);

  const acknowledged = fill(group);
  expect(isFull(group, leader)).toBe(false);
  // Nothing travels again and again to those who cannot take it.
  const before = group.replica(one).opened?.core.status().counters.peerBytesReceived ?? 0;
  group.pass(5_000);
  const received = (group.replica(one).opened?.core.status().counters.peerBytesReceived ?? 0) - before;
  expect(received).toBeLessThan(100_000);
  expectAll(group, acknowledged);

  group.disk(one).setFull(false);
  group.until("space to be found", () => !isFull(group, one), 2_000);
  group.pass(100);
  for (let number = acknowledged; number < acknowledged + 30; number += 1) {
    expect(group.call(put(number))).toBeUndefined();
  }
  group.disk(other).setFull(false);
  group.untilQuiet(10_000);
  expectAll(group, acknowledged + 30);
  group.conclude();
});

test("D12: when space ends, what was taken and is not in the order is refused as what is new, at each replica that asked", () => {
  const limits = { raft: quick, admission: { pipelineMax: 1 } };
  for (const seed of [8, 9]) {
    const group = groupOf(0, { seed, limits, clients: [["a"], ["b"], ["c"]] });
    for (const id of group.replicas) group.disk(id).setFull(true);
    const asked = Array.from({ length: 240 }, (_, at) =>
      group.ask(put(at), { from: (at % group.replicas.length) + 1 }),
    );

    const outputs = group.untilEnded(asked, 5_000);
    const acknowledged = outputs.filter((output) => output === undefined).length;
    expect(outputs.filter((output) => output === "refused DISK_FULL")).toHaveLength(240 - acknowledged);
    expect(acknowledged).toBeGreaterThan(10);
    expect(acknowledged).toBeLessThan(240);
    // What was refused is not there, now or later.
    for (const id of group.replicas) group.disk(id).setFull(false);
    group.until("space to be found", () => group.replicas.every((id) => !isFull(group, id)), 2_000);
    for (const [at, output] of outputs.entries()) {
      expect(group.call(get(at))).toBe(output === undefined ? `${at} ${value}` : "");
    }
    group.untilQuiet().conclude();
  }
});
