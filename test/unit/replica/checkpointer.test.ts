/** A checkpoint is taken in slices with rests between them, in which nothing of it is done. */
import { expect, test } from "vitest";
import type { Clock } from "../../../src/ports/clock.js";
import { orderedAttestation } from "../../../src/replica/attestation.js";
import { Checkpointer } from "../../../src/replica/checkpointer.js";
import { CheckpointStore } from "../../../src/storage/checkpoint-store.js";
import { directory, testHash as hash } from "../../../test-support/log-world.js";
import { ManualClock } from "../../../test-support/manual-clock.js";
import { MemoryDisk } from "../../../test-support/memory-disk.js";
import { command, entryOf, execute, opened, replicaWith } from "../../../test-support/order.js";

test("a slice that has taken its time is followed by a rest, and the checkpoint is the same", () => {
  const disk = new MemoryDisk();
  disk.makeDirectory(directory);
  const store = new CheckpointStore({ disk, hash, directory });
  const replica = replicaWith({});
  const session = opened(replica, 1, "n");
  execute(replica, 2, [command(session, 1, "x")]);
  const time = new ManualClock();
  let passed = 0;
  const rests: (() => void)[] = [];
  const clock: Clock = {
    // Every look at the clock costs time, so that each frame is a slice.
    monotonic: () => (passed += 0.7),
    wall: () => time.wall(),
    after: (_delayMs, fire) => {
      rests.push(fire);
      return () => {};
    },
    atTurnEnd: (run) => time.atTurnEnd(run),
    nextTurn: (run) => time.nextTurn(run),
  };
  const checkpointer = new Checkpointer({
    executor: replica.executor,
    store,
    hash,
    clock,
    chunkBytes: 1_000_000,
    attestation: orderedAttestation({ self: "a", incarnation: 1, executor: replica.executor, order: () => {} }),
    waitingMax: 0,
    certified: () => {},
    diverged: (reason) => expect.fail(reason),
  });
  checkpointer.take(entryOf(2, 2, []));
  let rested = 0;
  for (;;) {
    time.endTurn();
    disk.settle();
    const rest = rests.shift();
    if (rest === undefined) break;
    expect(store.newest).toBeUndefined();
    rested += 1;
    rest();
  }

  expect(rested).toBeGreaterThan(3);
  expect(checkpointer.statistics).toEqual({ taken: 1, failure: undefined });
  expect(store.newest?.last.index).toBe(2);
});
