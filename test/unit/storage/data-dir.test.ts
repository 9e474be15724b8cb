/** A data directory is taken by its own replica, by one process, and never by mistake (M8, M10). */
import { describe, expect, test } from "vitest";
import type { DataDirectory, DataDirectoryOptions, DataDirectoryRefused } from "../../../src/storage/data-dir.js";
import { openDataDirectory } from "../../../src/storage/data-dir.js";
import { directory, logIdentity, smallSegment, testHash } from "../../../test-support/log-world.js";
import { MemoryDisk } from "../../../test-support/memory-disk.js";

const membership = {
  members: [
    { id: "a", role: "voter" as const, incarnation: 1, peer: "127.0.0.1:7001", client: "127.0.0.1:7101" },
    { id: "b", role: "learner" as const, incarnation: 2, peer: "127.0.0.1:7002", client: "127.0.0.1:7102" },
  ],
};
const bootstrap = { membership, incarnation: 3, entropy: logIdentity };

function open(disk: MemoryDisk, change: Partial<DataDirectoryOptions>): DataDirectory | DataDirectoryRefused {
  const options = {
    disk,
    hash: testHash,
    path: directory,
    clusterId: "prod",
    replicaId: "a",
    machine: "kv",
    segmentBytes: smallSegment,
  };
  return openDataDirectory({ ...options, bootstrap: undefined, ...change });
}

function created(): MemoryDisk {
  const disk = new MemoryDisk();
  const opened = open(disk, { bootstrap });
  if (opened.kind === "opened") opened.release();
  return disk;
}

function damageIdentity(disk: MemoryDisk, change: (bytes: Uint8Array) => void): void {
  disk.damage(`${directory}/identity`, (bytes) => {
    change(bytes);
    new DataView(bytes.buffer, bytes.byteOffset).setUint32(4, testHash.crc32(bytes.subarray(8)), true);
  });
}

describe("data-dir", () => {
  test("a bootstrap writes down who the replica is, and each start is counted durably", () => {
    const disk = new MemoryDisk();
    const first = open(disk, { bootstrap });
    if (first.kind === "opened") first.release();
    disk.crash("nothing");
    const second = open(disk, {});

    const identity = { clusterId: "prod", replicaId: "a", machine: "kv", incarnation: 3, membership, logIdentity };
    expect(first).toMatchObject({ kind: "opened", identity: { ...identity, starts: 1 } });
    expect(second).toMatchObject({ kind: "opened", identity: { ...identity, starts: 2 } });
  });

  test("M9: a directory that was disowned is never started again, and says why and what to do", () => {
    const disk = created();
    const opened = open(disk, {});
    if (opened.kind === "opened") {
      opened.disown("Replica a has promised more.");
      opened.release();
    }
    disk.crash("nothing");
    expect(open(disk, {})).toMatchObject({
      ...{ kind: "refused", code: "disowned" },
      message: expect.stringMatching(/Replica a has promised more\. Erase it, run quorate member replace a, .* --join/),
    });
    expect(open(disk, { bootstrap })).toMatchObject({ code: "disowned" });
  });

  test("a bootstrap of a directory that has an identity changes nothing of it", () => {
    const disk = created();

    const again = open(disk, { bootstrap: { ...bootstrap, incarnation: 9, entropy: new Uint8Array(8) } });
    expect(again).toMatchObject({ identity: { incarnation: 3, logIdentity, starts: 2 } });
  });

  test("M8: an empty or absent directory is refused without a bootstrap, and nothing is made", () => {
    const disk = new MemoryDisk();
    const absent = open(disk, {});
    const made = [...disk.directories];
    disk.makeDirectory(directory);

    expect(absent).toMatchObject({ kind: "refused", code: "empty" });
    expect(made).toEqual([]);
    expect(open(disk, {})).toEqual({
      kind: "refused",
      code: "empty",
      message:
        "Cannot start replica a: its data directory data is empty, and a replica that lost its disk must not vote: it has forgotten what it promised. To take part again: quorate member replace a, and start it with --join; --bootstrap is for founding a cluster, once",
    });
  });

  test("M10: a second process is refused with the holder's id, and admitted once it has let go", () => {
    const disk = new MemoryDisk();
    const first = open(disk, { bootstrap });
    const second = open(disk, {});
    if (first.kind === "opened") first.release();

    expect(second).toMatchObject({ code: "held", message: expect.stringContaining("process 4711") as string });
    expect(open(disk, {})).toMatchObject({ kind: "opened" });
  });

  test("another cluster's, replica's or machine's directory is refused, and the lock is given back", () => {
    const disk = created();

    expect(open(disk, { clusterId: "test" })).toMatchObject({ code: "otherCluster" });
    expect(open(disk, { replicaId: "b" })).toMatchObject({ code: "otherReplica" });
    expect(open(disk, { machine: "bank" })).toMatchObject({
      code: "otherMachine",
      message: expect.stringContaining("holds the log of machine kv, not of bank") as string,
    });
    expect(open(disk, {})).toMatchObject({ kind: "opened", identity: { starts: 2 } });
  });

  test("a newer format is refused with both versions", () => {
    const disk = created();
    damageIdentity(disk, (bytes) => (bytes[8] = 7));

    expect(open(disk, {})).toMatchObject({
      code: "newerVersion",
      message: expect.stringContaining("format version 7, and this program knows 1") as string,
    });
  });

  test("a flipped bit anywhere in the identity is refused as damage", () => {
    const whole = created();
    const length = whole.bytesOf(`${directory}/identity`).length;
    for (let at = 0; at < length; at += 1) {
      const disk = whole.copy();
      disk.damage(`${directory}/identity`, (bytes) => (bytes[at] = (bytes[at] ?? 0) ^ 1));

      expect(open(disk, {})).toMatchObject({ code: "damaged" });
    }
  });

  test("a directory of somebody else's files, or one that has lost its identity, is refused even with a bootstrap", () => {
    const foreign = new MemoryDisk();
    foreign.makeDirectory(directory);
    foreign.writeFileAtomically(`${directory}/photos`, new Uint8Array(1));
    const lost = created();
    lost.remove(`${directory}/identity`);

    expect(open(foreign, { bootstrap })).toMatchObject({ code: "notEmpty" });
    expect(open(lost, { bootstrap })).toMatchObject({ code: "notEmpty" });
  });

  test("a directory that others may write to is refused", () => {
    const disk = created();
    disk.writableByOthers = true;

    expect(open(disk, {})).toMatchObject({ code: "unsafePermissions" });
  });

  test("D12: a lock that cannot be written is a refusal that says what and what to do, and the next start is free of it", () => {
    const remedies = { full: "free some space", denied: "can be written", failed: "see to that" } as const;
    for (const [code, remedy] of Object.entries(remedies)) {
      const disk = created();
      disk.fail(/lock-/, code as keyof typeof remedies, 1);

      const refused = open(disk, {});
      expect(refused).toMatchObject({ kind: "refused", code: "notLockable" });
      const { message } = refused as DataDirectoryRefused;
      expect(message).toContain(
        `Cannot start replica a: no lock file can be written in its data directory ${directory}`,
      );
      expect(message).toContain(remedy);
      expect(open(disk, {})).toMatchObject({ kind: "opened" });
    }
  });
});
