/**
 * Goals of what must not happen, or be over soon: leaders that die or stand still, leaders lost under full load, memory that grows. Called by `goals.mjs`.
 *
 * Owns: these stories and their figures. Leaves to others: bounds (`goal-table.mjs`), processes. Nobody is disturbed before all replicas are ready.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { connect } from "quorate/client";
import { kv } from "quorate/services/kv";
import { Cluster } from "../test-support/faults/cluster.mjs";
import { beside, leaderOf, statusesOf } from "./goal-loads.mjs";
import { median, shown } from "./measure.mjs";
import { liveMemory, startLoad, startQuorate, until } from "./processes.mjs";

const { defaultLimits } = await import(new URL("../dist/api/config.js", import.meta.url).href);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const ofAsked = (done, asked) => (done < asked ? `${done} of the ${asked}` : String(done));

/** Writers that go on whatever happens, and the longest time in which none of them was answered. */
class Writers {
  #isStopping = false;
  #chains;
  #lastAt = performance.now();
  longestGapMs = 0;
  written = 0;

  constructor(client, outstanding) {
    this.#chains = Array.from({ length: outstanding }, (_none, at) => this.#write(client, `writer:${at}`));
  }

  /** From now on. */
  reset() {
    this.#lastAt = performance.now();
    this.longestGapMs = 0;
  }

  async stop() {
    this.#isStopping = true;
    await Promise.all(this.#chains);
  }

  async #write(client, key) {
    while (!this.#isStopping) {
      const { status } = await client.$try.set({ key, value: "v".repeat(128) });
      if (status !== "ok") {
        await sleep(5);
        continue;
      }
      const now = performance.now();
      this.longestGapMs = Math.max(this.longestGapMs, now - this.#lastAt);
      this.#lastAt = now;
      this.written += 1;
    }
  }
}

const isWhole = async (cluster) => (await cluster.statuses()).every((status) => status?.ready === true);

/** The longest gap from what `disturb` does until everybody is ready again and all write, so many times. */
async function gapsAfter(cluster, writers, { times, disturb, say }) {
  const gaps = [];
  for (let time = 1; time <= times; time += 1) {
    await until("every replica ready", 60_000, () => isWhole(cluster));
    await sleep(500);
    const leader = await leaderOf(cluster);
    writers.reset();
    await disturb(leader);
    const before = writers.written;
    await until("writes to go on", 60_000, async () => writers.written > before + 100);
    await until("every replica ready again", 60_000, () => isWhole(cluster));
    gaps.push(writers.longestGapMs);
    say(`  ${time} of ${times}: ${shown(writers.longestGapMs)} ms`);
  }
  return gaps;
}

export async function failover(plan) {
  const { kills, pauses, say } = plan;
  const cluster = await startQuorate(join(plan.directory, "failover"));
  let client;
  try {
    client = await connect(kv, { endpoints: cluster.endpoints, timeoutMs: 20_000, name: "failover" });
    const writers = new Writers(client, 16);
    const kill = async ({ id, pid }) => {
      const restarts = () => cluster.events.filter(({ event }) => event === "restarted").length;
      const before = restarts();
      process.kill(pid, "SIGKILL");
      await until(`the restart of ${id}`, 60_000, async () => restarts() > before);
    };
    const pause = async ({ pid }) => {
      process.kill(pid, "SIGSTOP");
      // Longer than any election takes, so that it is not what ends the gap.
      await sleep(4_000);
      process.kill(pid, "SIGCONT");
    };
    const killed = await gapsAfter(cluster, writers, { times: kills, disturb: kill, say });
    const paused = await gapsAfter(cluster, writers, { times: pauses, disturb: pause, say });
    await writers.stop();
    const { electionTimeoutMsMin, electionTimeoutMsMax } = defaultLimits.raft;
    return new Map([
      ["kill-median", { value: median(killed), note: `${ofAsked(kills, 100)} kills, 16 writers` }],
      ["kill-max", { value: Math.max(...killed), note: `${ofAsked(kills, 100)} kills` }],
      [
        "pause-median",
        {
          value: median(paused) / electionTimeoutMsMin,
          note: `${pauses} pauses, median ${shown(median(paused))} ms, longest ${shown(Math.max(...paused))} ms; time-outs are drawn from ${electionTimeoutMsMin}–${electionTimeoutMsMax} ms`,
        },
      ],
    ]);
  } finally {
    await client?.$close();
    await cluster.stop();
  }
}

const lostLeaders = async (cluster) =>
  (await statusesOf(cluster)).reduce((sum, { counters }) => sum + counters.leaderChanges, 0);

export async function flat(plan) {
  const directory = join(plan.directory, "flat");
  mkdirSync(directory, { recursive: true });
  const agent = fileURLToPath(new URL("../scripts/live-memory.mjs", import.meta.url));
  const environment = { NODE_OPTIONS: `--import ${agent}`, SOAK_DIRECTORY: directory };
  return beside({ quorate: () => startQuorate(directory, environment) }, async ({ quorate: { cluster, load } }) => {
    const job = { target: "quorate", endpoints: cluster.endpoints, connections: 8, outstanding: 256 };
    const seconds = plan.flatMinutes * 60;
    const nothing = () => Promise.resolve();
    // Fills what is bounded: every key, and the newest entries of the log.
    await load.run({ ...job, warmupSeconds: 0, seconds: Math.max(15, seconds / 10) }, nothing);
    const [before, lostBefore] = [await liveMemory(cluster, directory), await lostLeaders(cluster)];
    const { operations } = await load.run({ ...job, warmupSeconds: 0, seconds }, nothing);
    const lost = (await lostLeaders(cluster)) - lostBefore;
    const after = await liveMemory(cluster, directory);
    const growth = Math.max(...after.map((late, at) => late / before[at]));
    const note = `${ofAsked(plan.flatMinutes, 30)} min, 256 outstanding`;
    return new Map([
      ["elections", { value: lost, note: `${note}, ${operations.toLocaleString("en")} writes` }],
      [
        "memory-flat",
        {
          value: growth,
          note: `${note}; MiB ${before.map((mib, at) => `${shown(mib)} → ${shown(after[at])}`).join(", ")}`,
        },
      ],
    ]);
  });
}

/**
 * Values of 1 MB one after the other, in a cluster whose followers take a silence of 150 ms for the end of their leader, with heartbeats each 50 ms: so
 * each delay of a heartbeat by more than 100 ms, the interval that is usual, is seen.
 */
export async function heartbeats({ seconds, say }) {
  const valueBytes = 1_000_000;
  const raft = { heartbeatMs: 50, electionTimeoutMsMin: 150, electionTimeoutMsMax: 151 };
  const cluster = await Cluster.found(["a", "b", "c"], 3, { raft });
  const load = startLoad();
  try {
    const lost = async () => {
      const statuses = await Promise.all(cluster.ids.map((id) => cluster.status(id)));
      return statuses.reduce((sum, { counters }) => sum + counters.leaderChanges, 0);
    };
    await cluster.leader();
    const job = {
      target: "quorate",
      endpoints: cluster.endpoints(),
      connections: 1,
      outstanding: 1,
      warmupSeconds: 1,
      seconds: 2 * seconds,
    };
    const taken = {};
    const run = async (shape) => {
      const result = await load.run({ ...job, ...shape }, async (mark) => (taken[mark] = await lost()));
      return { ...result, lost: taken.stop - taken.start };
    };
    const small = await run({});
    const large = await run({ valueBytes, keys: 20 });
    const of = ({ lost, throughput }) => `${lost} in ${2 * seconds} s at ${shown(throughput)}/s`;
    say(`  leaders lost: ${of(large)}; with small values ${of(small)}`);
    return new Map([["heartbeats", { value: large.lost, note: `${of(large)}; small values: ${of(small)}` }]]);
  } finally {
    await load.stop();
    await cluster.end();
  }
}
