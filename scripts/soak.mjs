/**
 * The long test: `npm run soak -- [--kill-minutes 5] [--memory-minutes 5] [--seed 1] [--write]`.
 *
 * First it kills and pauses replicas of a real cluster under writes, in an order that a seed fixes, and then counts: every
 * acknowledged increment is there once, and an unknown one is settled and there at most once. Then a new cluster runs under a
 * steady load, and its memory must be flat and no turn of an event loop long. With `--write`, docs/internals/soak.md gets the
 * outcome. Owns: the story and the verdict. Leaves to others: processes (`bench/processes.mjs`). Ends with 1 if a demand fails.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import {
  commitOf,
  describeMachine,
  liveMemory,
  measureFlush,
  residentMiBOf,
  startLoad,
  startQuorate,
  until,
} from "../bench/processes.mjs";

const demands = {
  /** Live memory (after a collection) at the end over that at the start: what is kept for ever shows here. */
  growthMax: 1.05,
  /** Processor time of one turn of a replica's event loop. */
  turnMsMax: 50,
};

/**
 * Before memory is watched: first writes that touch every key, then the steady load itself until the cache of log entries
 * (64 MiB by default) holds only entries of that load's size. Both are bounded, and would look like growth until they are full.
 */
const fillOperations = 600_000;
const settleSeconds = 240;

const workers = 16;
const steadyRate = 2000;

const { values: given } = parseArgs({
  options: {
    "kill-minutes": { type: "string", default: "5" },
    "memory-minutes": { type: "string", default: "5" },
    seed: { type: "string", default: String(process.pid) },
    write: { type: "boolean", default: false },
  },
});

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const say = (line) => console.log(`${new Date().toISOString().slice(11, 19)} ${line}`);

/** Mulberry32: enough to choose victims, and repeated from its seed. */
function randomFrom(seed) {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Each worker counts up a key of its own, one step after the other, and remembers what it was told. */
class Counting {
  #client;
  #running = true;
  #workers = [];
  counts = Array.from({ length: workers }, () => ({ acknowledged: 0, refused: 0, settled: 0, lost: 0, unknown: 0 }));
  longestGapMs = 0;
  #lastAt = performance.now();

  constructor(client) {
    this.#client = client;
  }

  start() {
    this.#workers = this.counts.map((count, at) => this.#run(count, `soak:${at}`));
  }

  async stop() {
    this.#running = false;
    await Promise.all(this.#workers);
  }

  get total() {
    return this.counts.reduce((sum, { acknowledged, settled }) => sum + acknowledged + settled, 0);
  }

  async #run(count, key) {
    while (this.#running) {
      const result = await this.#client.$try.increment({ key, by: 1 });
      if (result.status === "ok") {
        count.acknowledged += 1;
        const now = performance.now();
        this.longestGapMs = Math.max(this.longestGapMs, now - this.#lastAt);
        this.#lastAt = now;
      } else if (result.status === "unknown") {
        count.unknown += 1;
        await this.#settle(count, result.token);
      } else {
        count.refused += 1;
        await sleep(20);
      }
    }
  }

  /** Asks until somebody knows: executed, never executed, or lost with its session. */
  async #settle(count, token) {
    for (let tries = 0; tries < 100; tries += 1) {
      const resolved = await this.#client.$resolve(token);
      if (resolved.status === "executed") count.settled += 1;
      if (resolved.status === "lost") count.lost += 1;
      if (resolved.status !== "refused") return;
      await sleep(100);
    }
    count.lost += 1;
  }
}

/** Kills or pauses one replica at a time and lets the cluster become whole again in between. */
async function disturb(cluster, counting, { random, minutes }) {
  const done = { kills: 0, pauses: 0, leadersHit: 0 };
  const end = performance.now() + minutes * 60_000;
  while (performance.now() < end) {
    await sleep(500 + random() * 2500);
    const statuses = await cluster.statuses();
    const leader = statuses.find((status) => status?.role === "leader")?.id;
    const replicas = [...cluster.replicas.values()];
    const victim =
      random() < 0.6 && leader !== undefined ? leader : replicas[Math.floor(random() * replicas.length)].id;
    if (victim === leader) done.leadersHit += 1;
    const { pid } = cluster.replicas.get(victim);
    if (random() < 0.75) {
      const restarts = cluster.events.filter(({ event }) => event === "restarted").length;
      process.kill(pid, "SIGKILL");
      done.kills += 1;
      const isRestarted = () => cluster.events.filter(({ event }) => event === "restarted").length > restarts;
      await until(`the restart of ${victim}`, 30_000, async () => isRestarted());
    } else {
      process.kill(pid, "SIGSTOP");
      done.pauses += 1;
      await sleep(200 + random() * 3000);
      process.kill(pid, "SIGCONT");
    }
    const before = counting.total;
    await until("progress", 30_000, async () => counting.total > before + workers);
    const isWhole = async () => (await cluster.statuses()).every((status) => status?.ready === true);
    await until("every replica ready again", 60_000, isWhole);
  }
  return done;
}

async function killTest(directory, { seed, minutes }) {
  const { connect } = await import("quorate/client");
  const { kv } = await import("quorate/services/kv");
  const cluster = await startQuorate(directory, {});
  try {
    const client = await connect(kv, { endpoints: cluster.endpoints, timeoutMs: 20_000, name: "soak" });
    const counting = new Counting(client);
    counting.start();
    const done = await disturb(cluster, counting, { random: randomFrom(seed), minutes });
    await counting.stop();
    const wrong = [];
    for (const [at, { acknowledged, settled, lost }] of counting.counts.entries()) {
      const found = await client.get(`soak:${at}`);
      const least = acknowledged + settled;
      const value = Number(found?.value ?? 0);
      if (value < least || value > least + lost) wrong.push(`soak:${at} is ${value}, told ${least} and ${lost} lost`);
    }
    const digests = await agreedIndexes(cluster);
    await client.$close();
    const sum = (name) => counting.counts.reduce((total, count) => total + count[name], 0);
    const outcome = { ...done, acknowledged: sum("acknowledged"), unknown: sum("unknown"), settled: sum("settled") };
    return {
      ...outcome,
      lost: sum("lost"),
      refused: sum("refused"),
      longestGapMs: counting.longestGapMs,
      wrong,
      ...digests,
    };
  } finally {
    await cluster.stop();
  }
}

/** Once writing stops, all replicas execute up to the same index. */
async function agreedIndexes(cluster) {
  const isEven = async () => {
    const indexes = (await cluster.statuses()).map((status) => status?.executedIndex);
    return indexes.every((index) => index !== undefined && index === indexes[0]);
  };
  await until("the replicas to have executed the same entries", 30_000, isEven);
  return { executedIndex: (await cluster.statuses())[0].executedIndex };
}

async function fill(load, { target, endpoints, connections }) {
  let filled = 0;
  while (filled < fillOperations) {
    const job = { target, endpoints, connections, outstanding: 256, warmupSeconds: 0, seconds: 10 };
    const { operations } = await load.run(job, () => Promise.resolve());
    if (operations === 0) throw new Error("Cannot fill the replicas: no write ended within 10 s");
    filled += operations;
  }
  return filled;
}

async function memoryTest(directory, { minutes }) {
  mkdirSync(directory, { recursive: true });
  const agent = fileURLToPath(new URL("./live-memory.mjs", import.meta.url));
  const environment = { NODE_OPTIONS: `--import ${agent}`, SOAK_DIRECTORY: directory };
  const cluster = await startQuorate(directory, environment);
  const load = startLoad();
  try {
    const job = { target: "quorate", endpoints: cluster.endpoints, connections: 4, outstandingMax: 4096 };
    say(`filled by ${await fill(load, job)} writes`);
    const resident = () => cluster.pids.map(residentMiBOf);
    await load.run({ ...job, rate: steadyRate, warmupSeconds: 0, seconds: settleSeconds }, () => Promise.resolve());
    const before = { live: await liveMemory(cluster, directory), resident: resident() };
    // A collection by order is a long turn of its own, so turns are counted between the two.
    const onMark = async (mark) => (mark === "start" ? cluster.resetTurns() : undefined);
    const result = await load.run({ ...job, rate: steadyRate, warmupSeconds: 5, seconds: minutes * 60 }, onMark);
    const { longestTurnMs } = await cluster.observe();
    const after = { resident: resident(), live: await liveMemory(cluster, directory) };
    return { ...result, before, after, longestTurnMs };
  } finally {
    await load.stop();
    await cluster.stop();
  }
}

function failuresOf(killed, memory) {
  const failed = [...killed.wrong];
  for (const [at, early] of memory.before.live.entries()) {
    const late = memory.after.live[at];
    if (late > early * demands.growthMax)
      failed.push(`live memory grew from ${early.toFixed(1)} to ${late.toFixed(1)} MiB`);
  }
  if (memory.longestTurnMs > demands.turnMsMax) {
    failed.push(`a turn held an event loop for ${memory.longestTurnMs.toFixed(1)} ms of processor time`);
  }
  const refused = Object.entries(memory.failures).map(([code, count]) => `${count} operations ended with ${code}`);
  return [...failed, ...refused];
}

function describe({ seed, commit, killed, memory, machine, flush, failed }) {
  const growth = (name, digits) =>
    memory.before[name]
      .map((early, at) => `${early.toFixed(digits)} → ${memory.after[name][at].toFixed(digits)}`)
      .join(", ");
  return `# Soak

Written by \`npm run soak -- --kill-minutes ${given["kill-minutes"]} --memory-minutes ${given["memory-minutes"]} --seed ${seed} --write\`.

| fact | value |
| --- | --- |
| date | ${new Date().toISOString().slice(0, 10)} |
| commit | ${commit} |
| machine | ${machine.processors} processors (${machine.model}), ${machine.memoryGiB} GiB, Node ${machine.node} |
| write + fdatasync of 4 KiB | p50 ${flush.p50Ms.toFixed(3)} ms, p99 ${flush.p99Ms.toFixed(3)} ms |
| verdict | ${failed.length === 0 ? "every demand held" : failed.join("; ")} |

## Kills and pauses under writes

${workers} clients each count up a key of their own while replicas are killed (\`kill -9\`) or paused, one at a time. Afterwards each key must hold exactly what its client was told.

| counted | value |
| --- | ---: |
| kills | ${killed.kills} |
| pauses | ${killed.pauses} |
| of these, the leader | ${killed.leadersHit} |
| acknowledged increments | ${killed.acknowledged} |
| unknown outcomes, all settled by asking | ${killed.unknown} |
| of these, executed | ${killed.settled} |
| lost with their session | ${killed.lost} |
| refused, surely not executed | ${killed.refused} |
| longest time without an acknowledgement | ${killed.longestGapMs.toFixed(0)} ms |
| keys with a wrong count | ${killed.wrong.length} |

## Memory and turns under a steady load

After ${fillOperations} writes and ${settleSeconds} s, which fill what is bounded (all keys, the cache of log entries), ${steadyRate} writes a second to the same keys for ${given["memory-minutes"]} minutes. Live memory is what a collection of garbage leaves; it may grow by ${Math.round((demands.growthMax - 1) * 100)} %. Resident memory drifts longer, because V8 keeps pages that it may need again.

| measured | value |
| --- | ---: |
| writes | ${memory.operations} |
| p50, p99, max | ${memory.p50Ms.toFixed(2)}, ${memory.p99Ms.toFixed(2)}, ${memory.maxMs.toFixed(1)} ms |
| live memory of each replica, before → after | ${growth("live", 1)} MiB |
| resident memory | ${growth("resident", 0)} MiB |
| longest turn of an event loop (limit ${demands.turnMsMax} ms of processor time) | ${memory.longestTurnMs.toFixed(1)} ms |
`;
}

async function main() {
  const seed = Number(given.seed);
  // What runs is what is built now, whatever is committed meanwhile.
  const commit = commitOf();
  say(`seed ${seed}, commit ${commit}`);
  const directory = mkdtempSync(join(tmpdir(), "quorate-soak-"));
  try {
    const machine = describeMachine(directory);
    const flush = measureFlush(directory);
    const killed = await killTest(join(directory, "kills"), { seed, minutes: Number(given["kill-minutes"]) });
    say(`kills: ${JSON.stringify(killed)}`);
    const memory = await memoryTest(join(directory, "memory"), { minutes: Number(given["memory-minutes"]) });
    say(`memory: ${JSON.stringify(memory)}`);
    const failed = failuresOf(killed, memory);
    if (given.write) {
      const path = new URL("../docs/internals/soak.md", import.meta.url);
      writeFileSync(path, describe({ seed, commit, killed, memory, machine, flush, failed }));
    }
    for (const line of failed) say(`FAILED: ${line}`);
    if (failed.length > 0) process.exitCode = 1;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

await main();
