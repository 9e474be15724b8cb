/**
 * The processes under test: starting, asking and stopping them, and what the operating system says of them (Linux).
 *
 * Owns: one shape for the product's cluster and the raw baseline: `{ endpoints, pids, observe, resetTurns, stop }`.
 * Called by `run.mjs`, `goals.mjs` and `scripts/soak.mjs`.
 */
import { execFileSync, fork, spawn } from "node:child_process";
import { closeSync, existsSync, fdatasyncSync, openSync, readFileSync, rmSync, statfsSync, writeSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { bftReplicas } from "./raw-bft.mjs";
import { usualShape } from "./shape.mjs";

const local = (path) => fileURLToPath(new URL(path, import.meta.url));

const ticksPerSecond = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

/** Seconds of processor time that a process has used, all its threads together. */
export function cpuSecondsOf(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  // The name may hold spaces and brackets: fields are counted after its last bracket, where the third of all comes first.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** Seconds since a process was started. */
export function ageSecondsOf(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const startedAt = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]) / ticksPerSecond;
  return Number(readFileSync("/proc/uptime", "latin1").split(" ")[0]) - startedAt;
}

export function residentMiBOf(pid) {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? 0) / 1024;
}

/** Three replicas of the key-value service as `quorate dev` of a build runs them, durable, each a process of its own. */
export async function startQuorate(directory, environment, options = [], build = new URL("../dist/", import.meta.url)) {
  const ports = ["redis", "http", "client", "peer"].flatMap((kind) => [`--${kind}-port`, "0"]);
  const settings = ["--json", "--data", join(directory, "quorate"), ...ports, ...options];
  const child = spawn(process.execPath, [fileURLToPath(new URL("server/main.js", build)), "dev", ...settings], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...environment },
  });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  const lines = createInterface({ input: child.stdout });
  const replicas = new Map();
  const events = [];
  await new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`quorate dev ended with ${code}`)));
    lines.on("line", (line) => {
      const message = JSON.parse(line);
      for (const replica of message.replicas ?? []) replicas.set(replica.id, replica);
      if (message.replicas !== undefined) return resolve();
      events.push(message);
      if (message.event === "restarted") replicas.get(message.id).pid = message.pid;
    });
  });
  const statuses = () => Promise.all([...replicas.values()].map(statusOf));
  const stop = async () => {
    child.kill("SIGTERM");
    const killer = setTimeout(() => child.kill("SIGKILL"), 15_000);
    await exited;
    clearTimeout(killer);
  };
  // Of one that lies nothing is expected.
  const unreadyMax = options.includes("--lie") ? 1 : 0;
  const isReady = (known) => known.filter((status) => status?.ready !== true).length <= unreadyMax;
  try {
    await until("every replica ready", 60_000, async () => isReady(await statuses()));
  } catch (cause) {
    await stop();
    throw cause;
  }
  return {
    name: "quorate",
    replicas,
    events,
    endpoints: [...replicas.values()].map(({ client }) => client),
    get pids() {
      return [...replicas.values()].map(({ pid }) => pid);
    },
    statuses,
    async observe() {
      const known = (await statuses()).filter((status) => status !== undefined);
      return {
        syncs: known.reduce((sum, { counters }) => sum + counters.logSyncs, 0),
        entries: Math.max(...known.map(({ counters }) => counters.entriesProposed)),
        made: known.reduce((sum, { counters }) => sum + counters.signatures.made, 0),
        verified: known.reduce((sum, { counters }) => sum + counters.signatures.verified, 0),
        view: Math.max(...known.map(({ term }) => term)),
        longestTurnMs: Math.max(...known.flatMap(loopsOf).map(({ longestTurnCpuMs }) => longestTurnCpuMs)),
        longestTurnWallMs: Math.max(...known.flatMap(loopsOf).map(({ longestTurnWallMs }) => longestTurnWallMs)),
      };
    },
    async resetTurns() {
      const reset = ({ http }) => fetch(`http://${http}/debug/event-loop/reset`, { method: "POST" });
      await Promise.all([...replicas.values()].map(reset));
    },
    stop,
  };
}

/** One for each thread that is watched. */
function loopsOf({ eventLoop, engineEventLoop }) {
  return engineEventLoop === undefined ? [eventLoop] : [eventLoop, engineEventLoop];
}

async function statusOf({ http }) {
  try {
    const response = await fetch(`http://${http}/v1/status`, { signal: AbortSignal.timeout(2000) });
    return await response.json();
  } catch {
    return undefined; // Not answering is an answer: the callers count who is ready.
  }
}

/** The floor: `raw.mjs` three times. */
export async function startRaw(directory, valueBytes = usualShape.valueBytes) {
  const children = [];
  const start = starter("./raw.mjs", children);
  const orderOf = (at, followers) => ({ path: join(directory, `raw-${valueBytes}-${at}`), valueBytes, followers });
  const followers = [await start(orderOf(1)), await start(orderOf(2))];
  const leader = await start(orderOf(0, followers));
  return baseline("raw", children, [leader]);
}

/** The floor of three phases with MACs: `raw-bft.mjs` four times. */
export async function startRawBft(directory) {
  const children = [];
  const start = starter("./raw-bft.mjs", children);
  const ports = [];
  for (let self = 0; self < bftReplicas; self += 1) {
    ports.push(await start({ path: join(directory, `raw-bft-${self}`), self, others: [...ports] }));
  }
  return baseline("rawBft", children, ports);
}

function starter(script, children) {
  return async (order) => {
    const child = fork(local(script));
    children.push(child);
    child.send(order);
    return (await once(child)).port;
  };
}

function baseline(name, children, ports) {
  return {
    name,
    endpoints: ports.map((port) => `127.0.0.1:${port}`),
    pids: children.map(({ pid }) => pid),
    async observe() {
      const answers = children.map((child) => {
        const answer = once(child);
        child.send({ ask: "syncs" });
        return answer;
      });
      const told = await Promise.all(answers);
      const syncs = told.reduce((sum, answer) => sum + answer.syncs, 0);
      const entries = told[0].entries ?? Number.NaN;
      return { syncs, entries, longestTurnMs: Number.NaN, longestTurnWallMs: Number.NaN };
    },
    resetTurns: () => Promise.resolve(),
    async stop() {
      const exits = children.map((child) => new Promise((resolve) => child.once("exit", resolve)));
      for (const child of children) child.send({ ask: "end" });
      await Promise.all(exits);
    },
  };
}

function once(child) {
  return new Promise((resolve, reject) => {
    const hear = (message) => {
      child.off("exit", ended);
      resolve(message);
    };
    const ended = (code) => {
      child.off("message", hear);
      reject(new Error(`a process of the baseline ended with ${code}`));
    };
    child.once("message", hear);
    child.once("exit", ended);
  });
}

/** One load process for one cluster; it may be given many jobs, one after the other. */
export function startLoad() {
  const child = fork(local("./load.mjs"));
  return {
    pid: child.pid,
    /** Runs a job. `onMark` is awaited when counting starts and when it stops. */
    run(job, onMark) {
      return new Promise((resolve, reject) => {
        const finish = (end, outcome) => {
          child.off("message", hear);
          child.off("exit", ended);
          end(outcome);
        };
        const hear = (message) => {
          if (message.mark !== undefined) {
            onMark(message.mark).then(
              () => child.send({ kind: "marked" }),
              (cause) => finish(reject, cause),
            );
          } else if (message.failed === undefined) finish(resolve, message.result);
          else finish(reject, new Error(message.failed));
        };
        const ended = (code) => finish(reject, new Error(`the load generator ended with ${code}`));
        child.on("message", hear);
        child.once("exit", ended);
        child.send({ kind: "job", ...job });
      });
    },
    async stop() {
      const exited = new Promise((resolve) => child.once("exit", resolve));
      child.removeAllListeners("message");
      child.send({ kind: "end" });
      await exited;
    },
  };
}

/**
 * MiB that each replica keeps alive: heap and buffers after a collection. `scripts/live-memory.mjs` is imported into them, with this directory in
 * `SOAK_DIRECTORY`.
 */
export async function liveMemory(cluster, directory) {
  const live = [];
  for (const pid of cluster.pids) {
    const path = join(directory, `${pid}.json`);
    rmSync(path, { force: true });
    process.kill(pid, "SIGUSR2");
    await until(`replica process ${pid} to tell its memory`, 30_000, () => Promise.resolve(existsSync(path)));
    const { heapUsed, arrayBuffers } = JSON.parse(readFileSync(path, "utf8"));
    live.push((heapUsed + arrayBuffers) / 2 ** 20);
  }
  return live;
}

export async function until(what, ms, holds) {
  const end = performance.now() + ms;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`Cannot go on: waited ${ms} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** What one write of 4 KiB with its flush costs here, over a file that already holds zeros: milliseconds. */
export function measureFlush(directory) {
  const path = join(directory, "flush");
  const fd = openSync(path, "w");
  try {
    writeSync(fd, Buffer.alloc(4 * 1024 * 1024));
    fdatasyncSync(fd);
    const page = Buffer.alloc(4096, 1);
    const taken = [];
    for (let at = 0; at < 300; at += 1) {
      const begunAt = performance.now();
      writeSync(fd, page, 0, page.length, (at % 1024) * 4096);
      fdatasyncSync(fd);
      taken.push(performance.now() - begunAt);
    }
    taken.sort((one, other) => one - other);
    return { p50Ms: taken[150], p99Ms: taken[297] };
  } finally {
    closeSync(fd);
    rmSync(path);
  }
}

export function describeMachine(directory) {
  const inMemory = new Set([0x0102_1994, 0x8584_58f6]);
  return {
    processors: cpus().length,
    model: cpus()[0]?.model ?? "unknown",
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    node: process.version,
    // How busy others kept it in the minute before: above the number of processors every absolute number is pessimistic.
    loadBefore: loadavg()[0],
    // A file system in memory flushes nothing: what is measured on it is not durable.
    durableFileSystem: !inMemory.has(statfsSync(directory).type),
  };
}

export function commitOf() {
  try {
    const git = (...words) => execFileSync("git", words, { cwd: local(".."), encoding: "utf8" }).trim();
    return `${git("rev-parse", "--short", "HEAD")}${git("status", "--porcelain", "--", "src") === "" ? "" : " with changes"}`;
  } catch {
    return "unknown"; // Not a clone: the numbers stand without it.
  }
}
