/**
 * A follower stands still, is slow or is away while the others are written to as fast as they go, and comes back (hazards F1 to F4).
 *
 * Owns: this story and its figures. Demands: what is on its way to the follower stays within the bytes in flight, nobody's operation fails, no
 * other leader is elected, the follower has everything again without anybody's help, and, if asked for, no process ever took more memory than is
 * allowed. Times and memory are figures: `bench/flow.mjs` prints them.
 */
import { performance } from "node:perf_hooks";
import { connect } from "quorate/client";
import { kv } from "quorate/services/kv";
import { Cluster, until } from "./cluster.mjs";
import { Counting } from "./counting.mjs";

const pass = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const mebibyte = 1_048_576;

/** Writes of values to a bounded number of keys, so many at once. */
class Writers {
  #client;
  #isStopping = false;
  #chains = [];
  written = 0;
  failures = [];
  /** Milliseconds of each write since somebody asked. */
  #times = [];

  constructor(client) {
    this.#client = client;
  }

  static async open(endpoints) {
    return new Writers(await connect(kv, { endpoints, timeoutMs: 120_000 }));
  }

  start({ outstanding, valueBytes, keys }) {
    const value = "v".repeat(valueBytes);
    this.#chains = Array.from({ length: outstanding }, async (_none, at) => {
      for (let next = at; !this.#isStopping; next += outstanding) {
        const begun = performance.now();
        const result = await this.#client.$try.set({ key: `written${next % keys}`, value });
        this.#times.push(performance.now() - begun);
        if (result.status === "ok") this.written += 1;
        else this.failures.push(`set: ${result.code ?? result.reason ?? result.message}`);
      }
    });
  }

  /** Of the writes that have ended since it was asked last. */
  takeP99Ms() {
    const times = this.#times.sort((one, other) => one - other);
    this.#times = [];
    return round(times[Math.floor(times.length * 0.99)] ?? Number.NaN);
  }

  async stop() {
    this.#isStopping = true;
    await Promise.all(this.#chains);
    await this.#client.$close();
  }
}

/** Looks at the leader all the time: the most that was seen. */
class Watch {
  #isStopping = false;
  #running;
  inFlightBytes = 0;
  queuedBytes = 0;
  /** The leader's memory, from look to look. */
  residents = [];

  constructor(cluster, { leader, follower }) {
    this.#running = this.#look(cluster, leader, follower);
  }

  async stop() {
    this.#isStopping = true;
    await this.#running;
  }

  async #look(cluster, leader, follower) {
    while (!this.#isStopping) {
      const status = await cluster.status(leader);
      const peer = status?.members.find(({ id }) => id === follower);
      this.inFlightBytes = Math.max(this.inFlightBytes, peer?.inFlightBytes ?? 0);
      this.queuedBytes = Math.max(this.queuedBytes, peer?.queuedBytes ?? 0);
      if (status !== undefined) this.residents.push(status.memory.rss / mebibyte);
      await pass(20);
    }
  }
}

/** How a follower is out of step, and how that ends. */
const ways = {
  paused: { begin: async (cluster, id) => cluster.pause(id), end: async (cluster, id) => cluster.resume(id) },
  killed: { begin: (cluster, id) => cluster.kill(id), end: (cluster, id) => cluster.start(id) },
  /** It runs a tenth of the time. */
  slow: {
    begin: async (cluster, id) => {
      cluster.slowness = setInterval(() => {
        cluster.pause(id);
        setTimeout(() => cluster.resume(id), 90);
      }, 100);
    },
    end: async (cluster, id) => {
      clearInterval(cluster.slowness);
      await pass(100);
      cluster.resume(id);
    },
  },
};

/** Operations a second of the writers while `during` goes on, how long the slowest of a hundred took, and entries a second of the log. */
async function rateOf(cluster, writers, during) {
  const before = { written: writers.written, index: (await cluster.leader()).commitIndex, at: performance.now() };
  writers.takeP99Ms();
  const outcome = await during();
  const p99Ms = writers.takeP99Ms();
  const seconds = (performance.now() - before.at) / 1000;
  const { commitIndex } = await cluster.leader();
  const figures = {
    seconds: round(seconds),
    p99Ms,
    writesPerSecond: Math.round((writers.written - before.written) / seconds),
    entriesPerSecond: Math.round((commitIndex - before.index) / seconds),
  };
  return { ...figures, outcome };
}

const mostOf = (list) => Math.round(list.reduce((most, each) => Math.max(most, each), 0));
const round = (number) => Math.round(number * 10) / 10;

/**
 * It is out of step until the log has grown by `entries`; before, for `calmEntries`, nothing is wrong. `memory` is what each process may take:
 * `{ heapMiB, residentMiB }`.
 */
export async function stallFollower({
  way = "paused",
  entries = 2_000,
  calmEntries = entries / 10,
  valueBytes = 4_096,
  outstanding = 64,
  keys = 1_000,
  limits = {},
  memory = /** @type {{ heapMiB: number, residentMiB: number } | undefined} */ (undefined),
} = {}) {
  const cluster = await Cluster.found(["a", "b", "c"], 3, limits, memory?.heapMiB);
  try {
    const leader = (await cluster.leader()).id;
    const follower = cluster.ids.find((id) => id !== leader);
    // Clients of the others: who asks the one that stands still waits for it, or goes elsewhere.
    const endpoints = cluster.endpoints(cluster.ids.filter((id) => id !== follower));
    const counting = await Counting.open([endpoints]);
    const writers = await Writers.open(endpoints);
    counting.start({ pauseMs: 20 });
    writers.start({ outstanding, valueBytes, keys });
    const grow = (count) => async () => {
      const { commitIndex: from } = await cluster.leader();
      await until(`${count} entries`, 3_600, async () => {
        return ((await cluster.status(leader))?.commitIndex ?? 0) >= from + count ? true : undefined;
      });
    };
    const calm = new Watch(cluster, { leader, follower });
    const whole = await rateOf(cluster, writers, grow(calmEntries));
    await calm.stop();
    const watch = new Watch(cluster, { leader, follower });
    await ways[way].begin(cluster, follower);
    const without = await rateOf(cluster, writers, grow(entries));
    const stalled = [...watch.residents];
    await ways[way].end(cluster, follower);
    const again = await rateOf(cluster, writers, () => caughtUp(cluster, { leader, follower }));
    await watch.stop();
    await writers.stop();
    await counting.stop();
    const statuses = await cluster.untilEven(cluster.ids);
    const wrong = [...(await counting.judge()), ...new Set(writers.failures), ...cluster.unexpected];
    if (cluster.leaders.length !== 1) wrong.push(`leaders: ${JSON.stringify(cluster.leaders)}`);
    // One message may begin below the limit and pass it.
    const bytesMax = (limits.raft?.inflightBytesMax ?? 8 * mebibyte) + 2 * mebibyte;
    for (const name of ["inFlightBytes", "queuedBytes"]) {
      if (watch[name] > bytesMax) wrong.push(`${name} reached ${watch[name]}`);
    }
    const residentMiBMost = Object.fromEntries(
      statuses.map(({ id, memory: { rssMost } }) => [id, Math.round(rssMost / mebibyte)]),
    );
    for (const [id, most] of Object.entries(residentMiBMost))
      if (most > (memory?.residentMiB ?? Infinity)) wrong.push(`${id} took ${most} MiB of memory`);
    const { outcome, ...catchingUp } = again;
    const { counters } = statuses.find(({ id }) => id === follower);
    return {
      wrong,
      way,
      entries,
      valueBytes,
      whole: withoutOutcome(whole),
      without: withoutOutcome(without),
      catchingUp: { ...catchingUp, ...outcome, checkpointsFetched: counters.checkpointsFetched },
      inFlightBytesMost: watch.inFlightBytes,
      queuedBytesMost: watch.queuedBytes,
      leaderResidentMiB: {
        before: mostOf(calm.residents),
        firstHalf: mostOf(stalled.slice(0, stalled.length / 2)),
        secondHalf: mostOf(stalled.slice(stalled.length / 2)),
      },
      residentMiBMost,
      ...counting.report,
    };
  } finally {
    clearInterval(cluster.slowness);
    await cluster.end();
  }
}

const withoutOutcome = ({ outcome: _outcome, ...figures }) => figures;

/** Until it lacks less than the others decide in a moment. How fast it went, compared with the log. */
async function caughtUp(cluster, { leader, follower }) {
  const started = performance.now();
  const first = await until("its status", 60, () => cluster.status(follower));
  const behind = (await cluster.status(leader)).commitIndex - first.executedIndex;
  const last = await until(`${follower} to catch up`, 3_600, async () => {
    const [one, other] = await Promise.all([cluster.status(follower), cluster.status(leader)]);
    return one !== undefined && other !== undefined && other.commitIndex - one.executedIndex < 100 ? one : undefined;
  });
  const seconds = (performance.now() - started) / 1000;
  const caughtPerSecond = Math.round((last.executedIndex - first.executedIndex) / seconds);
  return { behind, caughtPerSecond };
}
