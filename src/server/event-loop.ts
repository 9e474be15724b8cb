/**
 * How long the event loop was held by one turn: by the wall clock, and by the processor time of its thread.
 *
 * Owns: the observation. A timer asks to be called each `resolutionMs`; how late it comes is how long a turn held the loop, at
 * least. The thread's processor time over the same interval says how much of it was our own work and not a busy machine.
 * Both are lower bounds with an error of one resolution. Called by `replica-process.ts`; shown in status and metrics.
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

export function watchEventLoop(): EventLoopWatch {
  const cpu = openCpuClock();
  let longestTurnWallMs = 0;
  let longestTurnCpuMs = 0;
  let since = Date.now();
  let lastWall = performance.now();
  let lastCpu = cpu.readMs();
  const look = (): void => {
    const wall = performance.now();
    const cpuNow = cpu.readMs();
    const lateMs = Math.max(0, wall - lastWall - resolutionMs);
    // What the thread worked since the last look includes turns before the late one; the lateness bounds it.
    longestTurnCpuMs = Math.max(longestTurnCpuMs, Math.min(lateMs, cpuNow - lastCpu));
    longestTurnWallMs = Math.max(longestTurnWallMs, lateMs);
    [lastWall, lastCpu] = [wall, cpuNow];
  };
  const timer = setInterval(look, resolutionMs);
  timer.unref();
  return {
    report: () => ({ longestTurnWallMs, longestTurnCpuMs, cpuOf: cpu.of, since }),
    reset: () => {
      look();
      [longestTurnWallMs, longestTurnCpuMs, since] = [0, 0, Date.now()];
    },
    stop: () => {
      clearInterval(timer);
      cpu.close();
    },
  };
}

interface CpuClock {
  readonly of: "thread" | "process";
  readMs(): number;
  close(): void;
}

/** Linux tells nanoseconds per thread; the main thread's number is the process's. Elsewhere we take the whole process. */
function openCpuClock(): CpuClock {
  try {
    const fd = openSync(`/proc/self/task/${process.pid}/schedstat`, "r");
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
