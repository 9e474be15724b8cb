/**
 * What must be seen with real processes, each story in a short form; `npm run soak:faults` tells them at length.
 */
import { expect, test } from "vitest";
import { flipBits } from "../../test-support/faults/flip.mjs";
import { stallFollower } from "../../test-support/faults/stall.mjs";
import { killAll, pauseLeader, walkMembers } from "../../test-support/faults/stories.mjs";

test("a leader that is stopped for 10 s costs one change of leader, no operation and no stale read", async () => {
  const told = await pauseLeader();

  expect(told.wrong).toEqual([]);
  expect(told.acknowledged).toBeGreaterThan(100);
}, 120_000);

test("the same for reads by lease", async () => {
  expect((await pauseLeader({ read: "lease" })).wrong).toEqual([]);
}, 120_000);

test("five replicas walk onto five others and back under load and kills", async () => {
  const told = await walkMembers();

  expect(told.wrong).toEqual([]);
  expect(told.changes).toBe(20);
  expect(told.kills).toBeGreaterThan(5);
}, 300_000);

test("all replicas are killed in a checkpoint, in a transfer and at any time, and start again with everything", async () => {
  const told = await killAll({ rounds: 3 });

  expect(told.wrong).toEqual([]);
  expect(told.killed).toEqual({ "in a checkpoint": 1, "in a transfer": 1, "at any time": 1 });
}, 300_000);

test("a bit flips in one of three: the others name it, it is healed, and no client that votes is misled", async () => {
  const told = await flipBits({ trials: 2 });

  expect(told.wrong).toEqual([]);
  expect(told.foundMs).toMatchObject({ output: { count: 1 }, state: { count: 1 } });
}, 180_000);

/** Little is on its way to one follower, and much is read from disk for it; a busy machine does not elect another leader. */
const narrow = {
  raft: {
    inflightBytesMax: 1_048_576,
    logCacheBytes: 1_048_576,
    electionTimeoutMsMin: 3_000,
    electionTimeoutMsMax: 6_000,
  },
};

/** Of each process, in MiB. */
const small = { heapMiB: 128, residentMiB: 256 };

test.each(["paused", "slow", "killed"])(
  "F1 to F4: a follower that is %s costs the others bounded memory, and catches up under load, all in 256 MiB",
  async (way) => {
    const told = await stallFollower({ way, entries: 400, limits: narrow, memory: small });

    expect(told.wrong).toEqual([]);
    expect(told.inFlightBytesMost).toBeGreaterThan(0);
    expect(Object.keys(told.residentMiBMost)).toHaveLength(3);
  },
  120_000,
);
