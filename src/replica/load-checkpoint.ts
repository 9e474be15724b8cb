/**
 * Puts the state of a checkpoint on this disk in place of an executor's.
 *
 * Owns: what to do with one that cannot be read: an objection, after which the executor runs nothing. Leaves to others: fetching what is
 * damaged from peers. Called at start and when a checkpoint was fetched.
 */
import type { Steps } from "../base/steps.js";
import { installFrames } from "../execution/checkpoint-frames.js";
import type { Executor } from "../execution/executor.js";
import type { Checkpoint } from "../model/checkpoint.js";
import { ChunkDamaged, readAll, type CheckpointStore } from "../storage/checkpoint-store.js";

/** Answers why not, if it could not. */
export function* loadCheckpoint(
  executor: Executor,
  store: CheckpointStore,
  { last, time, chunks }: Omit<Checkpoint, "root">,
): Steps<string | undefined> {
  try {
    return yield* installFrames(executor, { index: last.index, time }, readAll(store, chunks));
  } catch (cause) {
    if (!(cause instanceof ChunkDamaged)) throw cause;
    return `Cannot install the checkpoint of entry ${last.index}: ${cause.message}`;
  }
}
