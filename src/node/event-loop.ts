/**
 * How long the event loop was held by one turn: by the wall clock, and by the processor time of its thread.
 *
 * Owns: the observation. A timer asks to be called each `resolutionMs`; how late it comes is how long a turn held the loop, at
 * least. The thread's processor time over the same interval says how much of it was our own work and not a busy machine.
 * Both are lower bounds with an error of one resolution. What is seen lies in shared memory, so that one thread may tell of another. Called by
 * `server/replica-process.ts` and `engine-worker.ts`; shown in status and metrics.
 */
import { closeSync, openSync, readSync } from "node:fs";

export interface EventLoopReport {
  readonly longestTurnWallMs: number;
  readonly longestTurnCpuMs: number;
  /** `thread`: the loop's own thread; `process`: all threads, where the system does not tell them apart. */
  readonly cpuOf: "thread" | "process";
  /** Since this time in Unix milliseconds. */
  readonly since: number;
}

export interface EventLoopWatch {
  report(): EventLoopReport;
  reset(): void;
  stop(): void;
}

const resolutionMs = 10;

/** Where they lie in a `LongestTurns`. */
const at = { wallMs: 0, cpuMs: 1, since: 2, isOfThread: 3 } as const;

/** Of one event loop, in memory that threads share. Whoever resets it may hear of the turn before once more. */
export type LongestTurns = Float64Array;

export function newLongestTurns(): LongestTurns {
  const turns = new Float64Array(new SharedArrayBuffer(8 * Object.keys(at).length));
  resetTurns(turns);
  return turns;
}

export function resetTurns(turns: LongestTurns): void {
  turns[at.wallMs] = 0;
  turns[at.cpuMs] = 0;
  turns[at.since] = Date.now();
}

export function reportOf(turns: LongestTurns): EventLoopReport {
  return {
    longestTurnWallMs: turns[at.wallMs] ?? 0,
    longestTurnCpuMs: turns[at.cpuMs] ?? 0,
    cpuOf: turns[at.isOfThread] === 1 ? "thread" : "process",
    since: turns[at.since] ?? 0,
  };
}

/** Watches the loop of the thread that calls. `stop` forgets nothing of what was seen. */
export function watchTurns(turns: LongestTurns): { look(): void; stop(): void } {
  const cpu = openCpuClock();
  turns[at.isOfThread] = cpu.of === "thread" ? 1 : 0;
  let lastWall = performance.now();
  let lastCpu = cpu.readMs();
  const look = (): void => {
    const wall = performance.now();
    const cpuNow = cpu.readMs();
    const lateMs = Math.max(0, wall - lastWall - resolutionMs);
    // What the thread worked since the last look includes turns before the late one; the lateness bounds it.
    turns[at.cpuMs] = Math.max(turns[at.cpuMs] ?? 0, Math.min(lateMs, cpuNow - lastCpu));
    turns[at.wallMs] = Math.max(turns[at.wallMs] ?? 0, lateMs);
    [lastWall, lastCpu] = [wall, cpuNow];
  };
  const timer = setInterval(look, resolutionMs);
  timer.unref();
  const stop = (): void => {
    clearInterval(timer);
    cpu.close();
  };
  return { look, stop };
}

export function watchEventLoop(): EventLoopWatch {
  const turns = newLongestTurns();
  const { look, stop } = watchTurns(turns);
  return {
    report: () => reportOf(turns),
    reset: () => {
      look();
      resetTurns(turns);
    },
    stop,
  };
}

interface CpuClock {
  readonly of: "thread" | "process";
  readMs(): number;
  close(): void;
}

/** Linux tells nanoseconds per thread. Elsewhere we take the whole process. */
function openCpuClock(): CpuClock {
  try {
    const fd = openSync("/proc/thread-self/schedstat", "r");
    const buffer = Buffer.alloc(64);
    const readMs = (): number =>
      Number(buffer.toString("latin1", 0, readSync(fd, buffer, 0, 64, 0)).split(" ")[0]) / 1e6;
    if (readMs() > 0) return { of: "thread", readMs, close: () => closeSync(fd) };
    closeSync(fd);
  } catch {
    // Not Linux, or a kernel without scheduler statistics: the process's clock below serves.
  }
  const readMs = (): number => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  };
  return { of: "process", readMs, close: () => undefined };
}
