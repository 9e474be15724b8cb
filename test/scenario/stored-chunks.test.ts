/** A bit that flips in a chunk of a checkpoint on the disk is found and healed long before anybody needs the checkpoint. */
import { expect, test } from "vitest";
import type { ReplicaStatus } from "../../src/api/replica.js";
import { CheckpointStore } from "../../src/storage/checkpoint-store.js";
import { nodeHash } from "../../src/node/hash.js";
import { ReplicaGroup } from "../../test-support/replica-group.js";

class Story {
  readonly group = new ReplicaGroup(["a", "b", "c"], {});

  status(id: string): Pick<ReplicaStatus, "audit" | "checkpoint"> {
    const core = this.group.running.get(id)?.core;
    if (core === undefined) throw new Error(`${id} does not run`);
    return core.status();
  }

  async until(what: string, isSo: () => boolean): Promise<void> {
    for (let ms = 0; ms < 5_000 && !isSo(); ms += 1) {
      for (const disk of this.group.checkpointDisks.values()) disk.settle();
      await this.group.pass(1);
    }
    if (!isSo()) throw new Error(`Waited in vain for ${what}`);
  }

  /** All replicas have taken, and certified, one of this entry or a later one. */
  certified(index: number): Promise<void> {
    return this.until(`a checkpoint at ${index}`, () =>
      this.group.ids.every((id) => this.status(id).checkpoint.certifiedIndex >= index),
    );
  }

  async add(times: number): Promise<void> {
    const door = this.group.door(this.group.untilLeader());
    const answers = Array.from({ length: times }, () => door.add("x"));
    await this.until("answers", () => answers.every((answer) => answer.length > 0));
    door.close();
  }

  /** Whether a replica that starts on this disk could begin with it. */
  isWhole(id: string): boolean {
    const disk = this.group.checkpointDisks.get(id)?.copy();
    if (disk === undefined) throw new Error(`${id} has no disk`);
    const store = new CheckpointStore({ disk, hash: nodeHash, directory: "data" });
    const { certified } = store;
    return certified?.chunks.every((chunk) => store.readChunkNow(chunk) !== undefined) ?? false;
  }
}

test("it is found within a cycle, and the checkpoint that is taken anew is whole", async () => {
  const story = new Story();
  const leader = story.group.untilLeader();
  await story.add(20);
  story.group.running.get(leader)?.core.instruct({ kind: "checkpoint" }, () => undefined);
  await story.certified(1);
  const [wrong = ""] = story.group.ids.filter((id) => id !== leader);
  const { certifiedIndex } = story.status(wrong).checkpoint;
  const disk = story.group.checkpointDisks.get(wrong);
  const chunk = disk?.list("data/checkpoints").find((name) => name.endsWith(".chunk")) ?? "";
  expect(story.isWhole(wrong)).toBe(true);

  disk?.damage(`data/checkpoints/${chunk}`, (bytes) => {
    bytes[5] = (bytes[5] ?? 0) ^ 1;
  });
  expect(story.isWhole(wrong)).toBe(false);
  await story.until("the damage to be found", () => story.status(wrong).audit.scrub.chunksDamaged === 1);
  await story.certified(certifiedIndex + 1);

  expect(story.isWhole(wrong)).toBe(true);
  expect(story.group.ids.map((id) => story.status(id).audit.scrub.chunksDamaged)).toEqual(
    story.group.ids.map((id) => (id === wrong ? 1 : 0)),
  );
  expect([story.group.broken, story.group.quarantines, story.group.found]).toEqual([[], [], []]);
});
