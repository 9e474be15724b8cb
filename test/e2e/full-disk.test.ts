/**
 * D12: real processes on a small file system in memory that is filled up and then grows.
 *
 * Mounting needs root. Without that right the test is skipped and says why.
 */
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, expect, test } from "vitest";

import { RequestRefused } from "../../src/api/errors.js";
import { connect } from "../../src/node/create-client.js";
import { kv } from "../../src/services/kv/index.js";
import { DevCluster, quorateMain, until, type CardReplica } from "../../test-support/dev-cluster.js";

const cleanUp: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
});

/** Where it is mounted, or why it cannot be. */
function mountMemory(megabytes: number): { readonly path: string } | { readonly reason: string } {
  const path = mkdtempSync(join(tmpdir(), "quorate-full-"));
  cleanUp.push(() => rmSync(path, { recursive: true, force: true }));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", path], { stdio: "pipe" });
  } catch (cause) {
    return { reason: `Cannot mount a file system in memory: ${cause instanceof Error ? cause.message : "?"}` };
  }
  cleanUp.push(() => void execFileSync("umount", ["-l", path]));
  return { path };
}

/** A tenant that takes every byte that is left. */
function takeAll(path: string): void {
  const file = openSync(join(path, "tenant"), "w");
  try {
    for (let bytes = 1 << 20; bytes > 0;) {
      try {
        if (writeSync(file, new Uint8Array(bytes)) < bytes) bytes = 0;
      } catch (cause) {
        if (!(cause instanceof Error) || !("code" in cause) || cause.code !== "ENOSPC") throw cause;
        bytes >>= 1;
      }
    }
  } finally {
    closeSync(file);
  }
}

interface StorageStatus {
  readonly storage: { readonly full?: string };
}

test("D12: writes are refused while the disks are full, reads and elections go on, and all goes on when there is space", async (context) => {
  const mounted = mountMemory(200);
  if ("reason" in mounted) {
    process.stdout.write(`skipped: ${mounted.reason}\n`);
    return context.skip(mounted.reason);
  }
  const cluster = await DevCluster.start(["--data", join(mounted.path, "data")]);
  cleanUp.push(() => cluster.stop());
  await cluster.whole();
  const pids = cluster.replicas.map(({ id }) => cluster.pidOf(id));
  const client = await connect(kv, { endpoints: cluster.replicas.map((each) => each.client), timeoutMs: 30_000 });
  cleanUp.push(() => client.$close());
  takeAll(mounted.path);

  const value = "x".repeat(200_000);
  let acknowledged = 0;
  const refusal = await until("a refusal", async () => {
    try {
      await client.set({ key: `key-${acknowledged}`, value: `${acknowledged} ${value}` });
      acknowledged += 1;
      return undefined;
    } catch (cause) {
      return cause;
    }
  });

  expect(refusal).toBeInstanceOf(RequestRefused);
  expect(refusal).toMatchObject({ refusal: { code: "DISK_FULL" } });
  expect(acknowledged).toBeGreaterThan(20);
  const expectAll = async () => {
    for (let at = 0; at < acknowledged; at += 1) {
      expect(await client.get(`key-${at}`)).toMatchObject({ value: `${at} ${value}` });
    }
  };
  await expectAll();
  const leader = await cluster.leader();
  const storageOf = async (replica: CardReplica) => (await cluster.status(replica)) as StorageStatus | undefined;
  expect((await storageOf(leader))?.storage.full).toMatch(/^Cannot extend the log: ENOSPC/);
  const response = await fetch(`http://${leader.http}/v1/commands/set`, {
    method: "POST",
    body: '{"key":"k","value":"v"}',
  });
  expect([response.status, ((await response.json()) as { refused: string }).refused]).toEqual([507, "DISK_FULL"]);
  const endpoints = cluster.replicas.map(({ http }) => http).join(",");
  const table = execFileSync(process.execPath, [quorateMain, "status", "--endpoints", endpoints], { encoding: "utf8" });
  expect(table.match(/disk full/g)).toHaveLength(3);

  process.kill(cluster.pidOf(leader.id), "SIGSTOP");
  const others = cluster.replicas.filter(({ id }) => id !== leader.id);
  await until("another leader", async () => {
    const statuses = await Promise.all(others.map((replica) => cluster.status(replica)));
    return statuses.some((status) => status?.role === "leader") ? true : undefined;
  });
  process.kill(cluster.pidOf(leader.id), "SIGCONT");
  await expectAll();

  execFileSync("mount", ["-o", "remount,size=400m", mounted.path]);
  await until("space to be found", async () => {
    const statuses = await Promise.all(cluster.replicas.map(storageOf));
    return statuses.every((status) => status !== undefined && status.storage.full === undefined) ? true : undefined;
  });
  await client.set({ key: "after", value: "v" });
  await expectAll();
  expect(cluster.replicas.map(({ id }) => cluster.pidOf(id))).toEqual(pids);
  expect(cluster.events.filter(({ event }) => event === "restarted")).toEqual([]);
});
