/**
 * A certified checkpoint as the bytes of a snapshot file.
 *
 * Owns: reading its chunks one by one, and keeping them until the last is read. Leaves to others: the layout (`wire/snapshot-codec.ts`), where the
 * bytes go. Called by `create-replica.ts`.
 */
import type { SnapshotStream } from "../api/replica.js";
import { bytesOf, type Checkpoint } from "../model/checkpoint.js";
import type { CheckpointStore } from "../storage/checkpoint-store.js";
import type { Identity } from "../transport/gate.js";
import { encodeSnapshotHead } from "../wire/snapshot-codec.js";

/** `limits`: the fingerprint of those that execution depends on. */
export function openSnapshot(store: CheckpointStore, identity: Identity, limits: string): SnapshotStream | undefined {
  const { certified, certificate } = store;
  if (certified === undefined || certificate === undefined) return undefined;
  const { clusterId, machine, machineVersion } = identity;
  const head = encodeSnapshotHead({ clusterId, machine, machineVersion, limits, certificate, checkpoint: certified });
  for (const chunk of certified.chunks) store.adopt(chunk, ignore);
  return {
    index: certified.last.index,
    bytes: head.length + bytesOf(certified),
    content: read(store, certified, head),
  };
}

async function* read(
  store: CheckpointStore,
  { chunks }: Checkpoint,
  head: Uint8Array,
): AsyncGenerator<Uint8Array, void> {
  try {
    yield head;
    for (const chunk of chunks) {
      const bytes = await new Promise<Uint8Array | undefined>((resolve) => store.readChunk(chunk, resolve));
      if (bytes === undefined)
        throw new Error("Cannot read the snapshot: a chunk of the checkpoint is damaged on this disk");
      yield bytes;
    }
  } finally {
    store.letGo(chunks);
  }
}

function ignore(): void {
  // It is there: it is held from now on.
}
