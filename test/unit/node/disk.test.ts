/** The disk port on a real file system, in a directory of the test's own. */
import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { nodeDisk } from "../../../src/node/disk.js";
import type { DiskFile } from "../../../src/ports/disk.js";
import { DiskError } from "../../../src/ports/disk.js";

let root = "";

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "quorate-disk-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function written(file: DiskFile, at: number, text: string): Promise<DiskError | undefined> {
  return new Promise((resolve) => file.write(at, [Buffer.from(text)], resolve));
}

describe("disk", () => {
  test("a file and its directory are the owner's alone, and content comes back", async () => {
    const path = join(root, "deep", "data");
    nodeDisk.makeDirectory(path);
    const file = nodeDisk.openFile(join(path, "f"), "create");
    expect(await written(file, 4, "late")).toBeUndefined();
    file.writeNow(0, Buffer.from("soon"));
    file.syncNow();
    const read = await new Promise((resolve) => file.read(2, 100, resolve));

    expect(Buffer.from(read as Uint8Array).toString()).toBe("onlate");
    expect(file.size()).toBe(8);
    expect(statSync(join(path, "f")).mode & 0o777).toBe(0o600);
    expect(statSync(path).mode & 0o777).toBe(0o700);
    await new Promise((resolve) => file.close(resolve));
  });

  test("writes complete in the order of the calls, none from within a call", async () => {
    const file = nodeDisk.openFile(join(root, "f"), "create");
    const order: number[] = [];
    const all = Promise.all(
      Array.from({ length: 20 }, (_, at) => {
        // The first are the longest, so a pool of threads would finish them last.
        const bytes = new Uint8Array(at < 4 ? 1_000_000 : 10);
        return new Promise<void>((resolve) => {
          file.write(at * 1_000_000, [bytes], () => {
            order.push(at);
            resolve();
          });
        });
      }),
    );
    expect(order).toEqual([]);
    await all;

    expect(order).toEqual(Array.from({ length: 20 }, (_, at) => at));
  });

  test("a failed operation says what kind of failure it is", async () => {
    expect(() => nodeDisk.openFile(join(root, "absent"), "existing")).toThrow(
      expect.objectContaining({ code: "notFound" }),
    );
    expect(() => nodeDisk.list(join(root, "absent"))).toThrow(DiskError);
    expect(() => nodeDisk.readFile(root, 10)).toThrow(DiskError);
    const later = await new Promise((resolve) => nodeDisk.openLater(join(root, "absent"), "existing", resolve));
    const notPublished = await new Promise((resolve) => nodeDisk.publish(join(root, "x"), join(root, "y"), resolve));

    expect(later).toMatchObject({ code: "notFound" });
    expect(notPublished).toMatchObject({ code: "notFound" });
  });

  test.skipIf(!existsSync("/dev/full"))(
    "D12: a full device is told as full, and later writes may succeed",
    async () => {
      const file = nodeDisk.openFile("/dev/full", "existing");

      expect(await written(file, 0, "x")).toMatchObject({ code: "full" });
      expect(await written(file, 0, "x")).toMatchObject({ code: "full" });
      await new Promise((resolve) => file.close(resolve));
    },
  );

  test("a file written atomically replaces the old one and leaves nothing aside", () => {
    nodeDisk.writeFileAtomically(join(root, "f"), Buffer.from("old"));
    nodeDisk.writeFileAtomically(join(root, "f"), Buffer.from("new"));

    expect(Buffer.from(nodeDisk.readFile(join(root, "f"), 100)).toString()).toBe("new");
    expect(() => nodeDisk.readFile(join(root, "f"), 2)).toThrow("the limit is 2");
    expect(readdirSync(root)).toEqual(["f"]);
  });

  test("a directory that others may write to is told", () => {
    chmodSync(root, 0o770);
    const before = nodeDisk.isWritableByOthers(root);
    chmodSync(root, 0o750);

    expect([before, nodeDisk.isWritableByOthers(root)]).toEqual([true, false]);
  });
});

describe("disk lock", () => {
  test("M10: a lock is held by this process until it is released", () => {
    const first = nodeDisk.lock(root);
    const second = nodeDisk.lock(root);
    if (first.kind === "locked") first.release();

    expect(second).toEqual({ kind: "held", pid: process.pid });
    expect(nodeDisk.lock(root)).toMatchObject({ kind: "locked" });
  });

  test("M10: the lock of a living process holds, and that of a dead one does not", async () => {
    const child = spawn(process.execPath, ["-e", "setInterval(() => undefined, 1000)"]);
    const pid = child.pid ?? 0;
    writeFileSync(join(root, "lock-3"), `${pid} not-when-it-started\n`);
    const afterReuse = nodeDisk.lock(root);
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("exit", resolve));

    // The id is in use by a process that started at another time: an id used again.
    expect(afterReuse).toMatchObject({ kind: "locked" });
    expect(readdirSync(root)).toEqual(["lock-4"]);
  });
});
