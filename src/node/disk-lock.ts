/**
 * Keeps a second process out of a data directory.
 *
 * Owns: the files `lock-<n>` in it. There is no lock call of the system within reach, so a lock is a file that names a living
 * process. Numbers only grow: whoever finds the highest one abandoned makes the next, and making a file under a name that is
 * not taken succeeds for one process alone. The highest file stays after a release, so a slow contender never makes an old
 * number new again. A process is told by its id and the moment of its start, since ids are used again.
 *
 * Limit: processes that do not see each other (two containers over one directory) do not keep each other out.
 */
import { existsSync, linkSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { DirectoryHeld, DirectoryLock } from "../ports/disk.js";
import { DiskError } from "../ports/disk.js";

const lockPattern = /^lock-(\d+)$/;
const attemptsMax = 8;
const released = "released\n";

export function lockDirectory(directory: string): DirectoryLock | DirectoryHeld {
  for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
    const newest = newestLock(directory);
    if (newest > 0) {
      const holder = readHolder(`${directory}/lock-${newest}`);
      if (holder === "gone") continue;
      if (holder !== "abandoned") return { kind: "held", pid: holder };
    }
    const mine = newest + 1;
    if (!claim(directory, mine)) continue;
    // Others may have come and gone since we looked, and taken the file between with them: the highest number counts.
    if (newestLock(directory) === mine) return lockHeld(directory, mine);
    rmSync(`${directory}/lock-${mine}`, { force: true });
  }
  throw new DiskError("failed", `Cannot lock ${directory}: others took it ${attemptsMax} times in between`);
}

/** The process that has the directory now, if one has. Takes nothing. */
export function holderOf(directory: string): number | undefined {
  const newest = newestLock(directory);
  const holder = newest === 0 ? "abandoned" : readHolder(`${directory}/lock-${newest}`);
  return typeof holder === "number" ? holder : undefined;
}

function lockHeld(directory: string, number: number): DirectoryLock {
  for (const older of lockNumbers(directory)) if (older < number) rmSync(`${directory}/lock-${older}`, { force: true });
  const release = (): void => writeFileSync(`${directory}/lock-${number}`, released);
  return { kind: "locked", release };
}

/** Makes the file with its content in one step; false if somebody else made it first. */
function claim(directory: string, number: number): boolean {
  const aside = `${directory}/lock.${process.pid}.new`;
  writeFileSync(aside, `${process.pid} ${startOf(process.pid)}\n`, { mode: 0o600 });
  try {
    linkSync(aside, `${directory}/lock-${number}`);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}

function lockNumbers(directory: string): readonly number[] {
  return readdirSync(directory).flatMap((name) => {
    const number = lockPattern.exec(name)?.[1];
    return number === undefined ? [] : [Number(number)];
  });
}

function newestLock(directory: string): number {
  return Math.max(0, ...lockNumbers(directory));
}

/** The process that holds this lock. `gone`: a newer lock has replaced the file. */
function readHolder(path: string): number | "abandoned" | "gone" {
  let text;
  try {
    text = readFileSync(path, "latin1");
  } catch {
    return existsSync(path) ? "abandoned" : "gone";
  }
  const match = /^(\d+) (\S+)\n$/.exec(text);
  if (match === null) return "abandoned";
  const pid = Number(match[1]);
  return isAlive(pid) && startOf(pid) === match[2] ? pid : "abandoned";
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives and belongs to somebody else.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** When a process started, in ticks since the machine did, with the machine's own start; "unknown" where the system does not tell. */
function startOf(pid: number): string {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "latin1");
    const ticks = fields.slice(fields.lastIndexOf(")") + 2).split(" ")[19];
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
    return `${boot}/${ticks}`;
  } catch {
    return "unknown";
  }
}
