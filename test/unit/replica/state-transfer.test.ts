/** Fetching a checkpoint from peers: from all at once, no faster than allowed, only what is missing, and only what its hash says. */
import { expect, test } from "vitest";

import { equalBytes } from "../../../src/base/bytes.js";
import type { Certificate, Checkpoint, ChunkName } from "../../../src/model/checkpoint.js";
import type { TransferMessage } from "../../../src/model/transfer.js";
import { StateTransfer } from "../../../src/replica/state-transfer.js";
import { CheckpointStore } from "../../../src/storage/checkpoint-store.js";
import { encodeManifest } from "../../../src/wire/checkpoint-codec.js";
import { decodeTransferMessage, encodeTransferMessage } from "../../../src/wire/transfer-codec.js";
import { directory, indexOf, termOf, testHash } from "../../../test-support/log-world.js";
import { MemoryDisk } from "../../../test-support/memory-disk.js";

const chunkBytes = 1_000;
const contents = Array.from({ length: 8 }, (_, at) => new Uint8Array(chunkBytes).fill(at));
const chunks: readonly ChunkName[] = contents.map((bytes) => ({ hash: testHash.sha256(bytes), bytes: bytes.length }));
const plain = { last: { index: indexOf(20), term: termOf(1) }, time: 0, chunks };
const checkpoint: Checkpoint = { ...plain, root: testHash.sha256(encodeManifest(plain)) };
const certificate: Certificate = { index: indexOf(20), root: checkpoint.root, bytes: 1, by: ["b", "c"] };

interface Asked {
  readonly peer: string;
  readonly message: TransferMessage;
}

function newDisk(): MemoryDisk {
  const disk = new MemoryDisk();
  disk.makeDirectory(directory);
  return disk;
}

/** A replica that lacks what is not on its disk, with peers that answer when the test says so. */
function fetching(
  bytesPerSecondMax = 1_000_000,
  peers: readonly string[] = ["b", "c"],
  disk = newDisk(),
  believesPeers = true,
) {
  const store = new CheckpointStore({ disk, hash: testHash, directory });
  const asked: Asked[] = [];
  const done: Checkpoint[] = [];
  const dropped: string[] = [];
  const transfer = new StateTransfer({
    store,
    hash: testHash,
    believesPeers,
    limits: { bytesPerSecondMax, replyMs: 1_000, restMs: 100, readsInFlightMax: 4 },
    peers: () => peers,
    send: (peer, payload) => {
      const message = decodeTransferMessage(payload);
      if (message === undefined) throw new Error("a message that cannot be read");
      asked.push({ peer, message });
    },
    fetched: (one) => void done.push(one),
    dropped: (reason) => void dropped.push(reason),
  });
  const answer = (peer: string, message: TransferMessage, now: number): void => {
    transfer.receive(peer, encodeTransferMessage(message), now);
    disk.settle();
  };
  /** The manifest from the first peer; others say that they have none. */
  const begin = (now: number): void => {
    transfer.want(indexOf(20));
    transfer.step(now);
    for (const { peer } of asked.splice(0)) {
      if (peer === peers[0]) answer(peer, { kind: "manifestReply", certificate, manifest: encodeManifest(plain) }, now);
      else answer(peer, { kind: "manifestAbsent", index: indexOf(20) }, now);
    }
  };
  return { transfer, store, disk, asked, done, dropped, answer, begin };
}

function replyTo({ message }: Asked): TransferMessage {
  if (message.kind !== "chunkRequest") throw new Error(`asked for ${message.kind}`);
  const content = contents.find((_, at) => equalBytes(chunks[at]?.hash ?? new Uint8Array(0), message.hash));
  return { kind: "chunkReply", hash: message.hash, content: content ?? new Uint8Array(0) };
}

test("all peers that have it serve it together, each one chunk at a time, and every chunk comes once", () => {
  const { transfer, asked, done, answer, begin } = fetching(1_000_000, ["b", "c", "d"]);
  begin(0);
  transfer.step(200);

  const served: string[] = [];
  const hashes = new Set<string>();
  while (asked.length > 0) {
    const open = asked.splice(0);
    expect(new Set(open.map(({ peer }) => peer)).size).toBe(open.length);
    for (const one of open) {
      served.push(one.peer);
      if (one.message.kind === "chunkRequest") hashes.add(Buffer.from(one.message.hash).toString("hex"));
      answer(one.peer, replyTo(one), 200);
    }
  }
  expect(served).toHaveLength(8);
  expect(hashes.size).toBe(8);
  expect(new Set(served)).toEqual(new Set(["b", "c", "d"]));
  expect(done).toEqual([checkpoint]);
  expect(transfer.fetched).toBe(1);
});

test("no more is asked for than the bandwidth that it may take, and progress is told", () => {
  const perSecond = 2_000;
  const { transfer, asked, done, answer, begin } = fetching(perSecond);
  begin(0);
  const bytesAt: number[] = [];
  let bytes = 0;
  for (let now = 0; done.length === 0 && now < 20_000; now += 50) {
    transfer.step(now);
    for (const one of asked.splice(0)) {
      bytes += chunkBytes;
      answer(one.peer, replyTo(one), now);
    }
    bytesAt.push(bytes);
    // The chunk that passes the limit is asked for, and the next waits for it.
    expect(bytes).toBeLessThanOrEqual((now / 1_000) * perSecond + chunkBytes);
    if (done.length === 0) expect(transfer.progress).toEqual({ index: 20, bytes: 8_000, bytesDone: bytes });
  }
  expect(bytes).toBe(8_000);
  expect(new Set(bytesAt).size).toBeGreaterThan(7);
  expect(transfer.progress).toBeUndefined();
});

test("a process that is killed in the middle goes on where it was: only what is missing is asked for", () => {
  const first = fetching();
  first.begin(0);
  first.transfer.step(200);
  for (let count = 0; count < 5; count += 1) {
    const [one] = first.asked.splice(0, 1);
    if (one !== undefined) first.answer(one.peer, replyTo(one), 200);
  }
  expect(first.transfer.progress?.bytesDone).toBe(5_000);

  const second = fetching(1_000_000, ["b", "c"], first.disk);
  second.begin(0);
  expect(second.transfer.progress?.bytesDone).toBe(5_000);
  second.transfer.step(200);
  let count = 0;
  while (second.asked.length > 0) {
    for (const one of second.asked.splice(0)) {
      count += 1;
      second.answer(one.peer, replyTo(one), 200);
    }
  }
  expect(count).toBe(3);
  expect(second.done).toEqual([checkpoint]);
});

test("a chunk that is not what its hash says is not kept, and comes from another peer", () => {
  const { transfer, store, asked, done, dropped, answer, begin } = fetching();
  begin(0);
  transfer.step(200);
  const liar = asked.find(({ peer }) => peer === "b");
  if (liar?.message.kind !== "chunkRequest") throw new Error("nothing was asked of b");
  const { hash } = liar.message;
  answer("b", { kind: "chunkReply", hash, content: new Uint8Array(chunkBytes).fill(99) }, 200);
  expect(dropped).toEqual(["checkpoint chunk"]);
  expect(store.has({ hash, bytes: chunkBytes })).toBe(false);

  asked.splice(asked.indexOf(liar), 1);
  while (asked.length > 0) {
    const open = asked.splice(0);
    expect(open.every(({ peer }) => peer === "c")).toBe(true);
    for (const one of open) answer(one.peer, replyTo(one), 250);
  }
  expect(done).toEqual([checkpoint]);
});

test("a peer that has another checkpoint by now is passed over; the one whose manifest it is gives the rest", () => {
  const { transfer, asked, done, answer, begin } = fetching();
  begin(0);
  transfer.step(200);
  while (asked.length > 0) {
    for (const one of asked.splice(0)) {
      if (one.message.kind !== "chunkRequest") throw new Error(`asked for ${one.message.kind}`);
      if (one.peer === "c") answer("c", { kind: "chunkAbsent", hash: one.message.hash }, 200);
      else answer(one.peer, replyTo(one), 200);
    }
  }
  expect(done).toEqual([checkpoint]);
});

test("once whoever gave the manifest has the checkpoint no more, another manifest is asked for", () => {
  const { transfer, asked, done, answer, begin } = fetching();
  begin(0);
  transfer.step(200);
  const [one] = asked.splice(0).filter(({ peer }) => peer === "b");
  if (one?.message.kind !== "chunkRequest") throw new Error("nothing was asked of b");
  answer("b", { kind: "chunkAbsent", hash: one.message.hash }, 200);
  expect(transfer.progress).toBeUndefined();
  transfer.step(400);
  expect(asked.map(({ message }) => message.kind)).toContain("manifestRequest");
  expect(done).toEqual([]);
});

test("what a peer fetches is kept until it has asked for nothing for a while, however many newer ones there are", () => {
  const giver = fetching();
  giver.begin(0);
  giver.transfer.step(200);
  while (giver.asked.length > 0) for (const one of giver.asked.splice(0)) giver.answer(one.peer, replyTo(one), 200);
  const [first] = chunks;
  if (first === undefined) throw new Error("there are chunks");
  giver.answer("d", { kind: "manifestRequest", index: indexOf(1) }, 1_000);

  const newer = { ...plain, last: { index: indexOf(30), term: termOf(1) }, chunks: [] };
  const newest: Checkpoint = { ...newer, root: testHash.sha256(encodeManifest(newer)) };
  giver.store.publish(newest, () => {});
  giver.disk.settle();
  giver.store.certify({ index: indexOf(30), root: newest.root, bytes: 1, by: ["b", "c"] }, "isReplaced", () => {});
  giver.disk.settle();
  expect(giver.store.certified).toEqual(newest);
  expect(giver.store.has(first)).toBe(true);

  giver.answer("d", { kind: "chunkRequest", ...first }, 4_000);
  giver.transfer.step(7_900);
  expect(giver.store.has(first)).toBe(true);
  giver.transfer.step(8_100);
  expect(giver.store.has(first)).toBe(false);
  expect(giver.store.all).toEqual([newest]);
});

test("a peer that lacks a chunk is not asked for it each time that it has rested, while the one that has it waits", () => {
  const { transfer, asked, done, answer } = fetching(1_000_000, ["b", "c"]);
  transfer.want(indexOf(20));
  transfer.step(0);
  asked.splice(0);
  answer("b", { kind: "manifestAbsent", index: indexOf(20) }, 0);
  answer("c", { kind: "manifestReply", certificate, manifest: encodeManifest(plain) }, 0);
  // Each step comes when `b` has just rested enough.
  for (let now = 100; done.length === 0 && now < 2_000; now += 100) {
    transfer.step(now);
    for (const one of asked.splice(0)) {
      const { message } = one;
      if (one.peer === "c") answer("c", replyTo(one), now);
      else if (message.kind === "chunkRequest") answer("b", { kind: "chunkAbsent", hash: message.hash }, now);
    }
  }
  expect(done).toEqual([checkpoint]);
});

test("a manifest that is newer than what is known waits until it is, without being asked for again", () => {
  const { transfer, asked, done, dropped, answer } = fetching(1_000_000, ["b"], newDisk(), false);
  transfer.want(indexOf(12), new Uint8Array(32));
  transfer.step(0);
  expect(asked.splice(0).map(({ message }) => message.kind)).toEqual(["manifestRequest"]);
  answer("b", { kind: "manifestReply", certificate, manifest: encodeManifest(plain) }, 0);
  transfer.step(500);
  expect(asked).toEqual([]);
  expect(transfer.progress).toBeUndefined();

  transfer.want(indexOf(20), checkpoint.root);
  transfer.step(1_000);
  for (let one = asked.shift(); one !== undefined; one = asked.shift()) answer(one.peer, replyTo(one), 1_000);
  expect(done).toEqual([checkpoint]);
  expect(dropped).toEqual([]);
});

test("a newer manifest whose root turns out to be another one is never taken", () => {
  const { transfer, asked, answer } = fetching(1_000_000, ["b"], newDisk(), false);
  transfer.want(indexOf(12), new Uint8Array(32));
  transfer.step(0);
  answer("b", { kind: "manifestReply", certificate, manifest: encodeManifest(plain) }, 0);
  asked.splice(0);
  transfer.want(indexOf(20), new Uint8Array(32));
  transfer.step(1_000);
  expect(asked.map(({ message }) => message.kind)).toEqual(["manifestRequest"]);
  expect(transfer.progress).toBeUndefined();
});
