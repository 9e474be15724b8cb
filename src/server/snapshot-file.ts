/**
 * Snapshot files: looked at whole, and made the beginning of a new cluster.
 *
 * Owns: reading such a file in order, what is checked, the new data directory. Leaves to others: the layout (`wire/snapshot-codec.ts`), where the
 * bytes came from (`commands/snapshot.ts`). A restored replica belongs to another cluster, with members of its own, so nothing that still
 * runs of the old one speaks with it; sessions and their replies come along, so a client's retry is still answered, and not executed twice.
 */
import { open, type FileHandle } from "node:fs/promises";
import { equalBytes } from "../base/bytes.js";
import { bytesOf, type Certificate, type Checkpoint, type ChunkName } from "../model/checkpoint.js";
import type { Member } from "../model/membership.js";
import { nodeDisk } from "../node/disk.js";
import { nodeEntropy } from "../node/entropy.js";
import { nodeHash } from "../node/hash.js";
import { withoutMembers } from "../execution/checkpoint-frames.js";
import type { DiskError } from "../ports/disk.js";
import { CheckpointStore } from "../storage/checkpoint-store.js";
import { openDataDirectory } from "../storage/data-dir.js";
import { encodeManifest } from "../wire/checkpoint-codec.js";
import {
  decodeSnapshotHead,
  readSnapshotPrefix,
  snapshotPrefixBytes,
  type SnapshotHead,
} from "../wire/snapshot-codec.js";
import { CommandFailure, exitCodes } from "./exit-codes.js";

/** Reads every byte. @throws CommandFailure at the first that is not what it should be. */
export async function verifySnapshot(path: string): Promise<SnapshotHead> {
  return readSnapshot(path, async () => undefined);
}

export interface RestoreTarget {
  readonly id: string;
  readonly clusterId: string;
  readonly dataDir: string;
  readonly members: readonly Member[];
  readonly segmentBytes: number;
}

/** Makes the data directory of one founder of a new cluster. @throws CommandFailure */
export async function restoreSnapshot(path: string, target: RestoreTarget): Promise<SnapshotHead> {
  // Nothing is made from a file that is not whole.
  const head = await verifySnapshot(path);
  const { id, clusterId, dataDir, members, segmentBytes } = target;
  if (clusterId === head.clusterId) {
    throw failure(
      path,
      `it is of cluster ${clusterId} itself: the new cluster needs another id, or replicas of both would speak`,
    );
  }
  const directory = openDataDirectory({
    ...{ disk: nodeDisk, hash: nodeHash, path: dataDir, clusterId, replicaId: id, machine: head.machine, segmentBytes },
    bootstrap: { membership: { members }, incarnation: 1, entropy: nodeEntropy.bytes(8) },
  });
  if (directory.kind === "refused") throw new CommandFailure(exitCodes.failure, directory.message, {});
  try {
    if (directory.identity.starts > 1)
      throw failure(path, `${dataDir} is in use already: a snapshot is restored into a new directory`);
    const store = new CheckpointStore({ disk: nodeDisk, hash: nodeHash, directory: dataDir });
    const chunks: ChunkName[] = [];
    await readSnapshot(path, async (content) => {
      const bytes = withoutMembers(content);
      const name = { hash: nodeHash.sha256(bytes), bytes: bytes.length };
      chunks.push(name);
      await done((then) => store.writeChunk(name, bytes, then));
    });
    await publish(store, { last: head.checkpoint.last, time: head.checkpoint.time, chunks }, members);
    await new Promise<void>((resolve) => store.close(resolve));
  } finally {
    directory.release();
  }
  return head;
}

async function publish(
  store: CheckpointStore,
  plain: Omit<Checkpoint, "root">,
  members: readonly Member[],
): Promise<void> {
  const checkpoint = { ...plain, root: nodeHash.sha256(encodeManifest(plain)) };
  const { root } = checkpoint;
  const by = members.map((member) => member.id);
  const certificate: Certificate = { index: plain.last.index, root, bytes: bytesOf(checkpoint), by };
  await done((then) => store.publish(checkpoint, then));
  await done((then) => store.certify(certificate, "isReplaced", then));
}

function done(begin: (then: (failed: DiskError | undefined) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => begin((failed) => (failed === undefined ? resolve() : reject(failed))));
}

async function readSnapshot(path: string, take: (chunk: Uint8Array) => Promise<void>): Promise<SnapshotHead> {
  const file = await open(path, "r").catch((cause: unknown) => {
    throw failure(path, cause instanceof Error ? cause.message : String(cause));
  });
  try {
    const length = readSnapshotPrefix(await exactly(file, path, snapshotPrefixBytes));
    if (typeof length === "string") throw failure(path, length);
    const head = decodeSnapshotHead(await exactly(file, path, length), nodeHash);
    if (typeof head === "string") throw failure(path, head);
    for (const [at, { hash, bytes }] of head.checkpoint.chunks.entries()) {
      const chunk = await exactly(file, path, bytes);
      if (!equalBytes(nodeHash.sha256(chunk), hash)) throw failure(path, `chunk ${at + 1} is damaged`);
      await take(chunk);
    }
    const { bytesRead } = await file.read(new Uint8Array(1), 0, 1);
    if (bytesRead > 0) throw failure(path, "it goes on behind its end");
    return head;
  } finally {
    await file.close();
  }
}

async function exactly(file: FileHandle, path: string, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const { bytesRead } = await file.read(bytes, at, length - at);
    if (bytesRead === 0) throw failure(path, "it ends early");
    at += bytesRead;
  }
  return bytes;
}

function failure(path: string, fact: string): CommandFailure {
  return new CommandFailure(exitCodes.failure, `Cannot use the snapshot ${path}: ${fact}`, {});
}
