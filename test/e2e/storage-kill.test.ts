/** A process is killed in the middle of its writes, again and again: each start finds all that was acknowledged (D2, D4, D15). */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { nodeDisk } from "../../src/node/disk.js";
import { createNodeClock } from "../../src/node/clock.js";
import type { Entry } from "../../src/model/entry.js";
import type { LogStore } from "../../src/storage/log-store.js";
import { openLog } from "../../src/storage/wal.js";
import { indexOf, testHash } from "../../test-support/log-world.js";

const killCount = 10;
/** Small, so that segments roll many times under way. */
const segmentBytes = 1024 * 1024;
const root = mkdtempSync(join(tmpdir(), "quorate-kill-"));
const path = join(root, "data");

afterAll(() => rmSync(root, { recursive: true, force: true }));

interface Life {
  readonly term: number;
  readonly found: number;
  readonly acknowledged: number;
}

/** Lets the child write until it has acknowledged some, then kills it as the system does. */
function liveAndDie(acknowledgements: number): Promise<Life> {
  const child = spawn(process.execPath, ["test-support/log-child.mjs", path, String(segmentBytes)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  let seen = 0;
  child.stdout.setEncoding("latin1").on("data", (chunk: string) => {
    text += chunk;
    seen += chunk.split("acknowledged").length - 1;
    if (seen >= acknowledgements) child.kill("SIGKILL");
  });
  return new Promise((resolve) => {
    child.once("close", () => {
      const [, term, found] = /^start (\d+) (\d+)$/m.exec(text) ?? [];
      const all = [...text.matchAll(/^acknowledged (\d+)$/gm)].map((match) => Number(match[1]));
      resolve({ term: Number(term), found: Number(found), acknowledged: Math.max(Number(found), ...all) });
    });
  });
}

async function readAll(log: LogStore, last: number): Promise<readonly Entry[]> {
  const entries: Entry[] = [];
  while (entries.length < last) {
    const result = await new Promise<Parameters<Parameters<LogStore["read"]>[2]>[0]>((resolve) =>
      log.read(indexOf(entries.length + 1), 1_000_000, resolve),
    );
    if ("kind" in result) throw new Error(result.message);
    entries.push(...result);
  }
  return entries;
}

test("a log survives its process being killed ten times, and forgets nothing acknowledged", async () => {
  let acknowledged = 0;
  for (let count = 1; count <= killCount; count += 1) {
    const life = await liveAndDie(20 + count * 37);
    expect(life.term).toBe(count);
    expect(life.found).toBeGreaterThanOrEqual(acknowledged);
    expect(life.acknowledged).toBeGreaterThan(life.found);
    acknowledged = life.acknowledged;
  }

  const options = { disk: nodeDisk, hash: testHash, clock: createNodeClock(), directory: path };
  const logIdentity = new Uint8Array([8, 7, 6, 5, 4, 3, 2, 1]);
  const opened = openLog({
    ...options,
    logIdentity,
    segmentBytes,
    groupsInFlightMax: 1,
    reserveBytes: 65_536,
    cacheBytes: 65_536,
  });
  if (opened.kind === "refused") throw new Error(opened.message);
  const { log, recovered } = opened;
  const entries = await readAll(log, recovered.lastIndex);
  await new Promise<void>((resolve) => log.close(resolve));

  expect(recovered).toMatchObject({ damaged: [], amnesia: undefined });
  expect(recovered.lastIndex).toBeGreaterThanOrEqual(acknowledged);
  for (const [at, { index, payload }] of entries.entries()) {
    expect(index).toBe(at + 1);
    expect(payload.length).toBe(100 + ((index * 7919) % 4000));
    expect(payload.every((byte) => byte === index % 251)).toBe(true);
  }
});
