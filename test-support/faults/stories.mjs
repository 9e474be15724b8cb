/**
 * What must be seen with real processes, each as a story of any length: short in a test, long by `npm run soak:faults`.
 *
 * A story founds a cluster, lets clients count (`counting.mjs`), does to the replicas what its name says, and answers
 * `{ wrong, …figures }`, where `wrong` is a list of sentences, empty if every demand held.
 */
import { watch } from "node:fs";
import { join } from "node:path";
import { connect } from "quorate/client";
import { kv } from "quorate/services/kv";
import { Cluster, until } from "./cluster.mjs";
import { Counting } from "./counting.mjs";

const pass = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Mulberry32: the same choices for the same seed. */
export function randomFrom(seed) {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const pick = (random, list) => list[Math.floor(random() * list.length)];

/** Operations that begin from now on end well. */
async function progress(counting, operations = 50) {
  const before = counting.operations;
  await until(`${operations} operations`, 60, async () =>
    counting.operations > before + operations ? true : undefined,
  );
}

async function withCluster(cluster, story) {
  try {
    return await story(cluster);
  } finally {
    await cluster.end();
  }
}

/** All of it: the counts, the history, and that no process ended by itself. */
async function finish(cluster, counting, ids) {
  await counting.stop();
  await cluster.untilReady(ids);
  const wrong = await counting.judge();
  await cluster.untilEven(ids);
  return [...wrong, ...cluster.unexpected];
}

/**
 * The leader's process is stopped for `seconds` under load, and goes on (hazards E17, L2, L3, F5): the others elect one leader and it
 * stays, the old one answers nothing stale, also to those who know no other replica, and nobody's operation fails.
 */
export async function pauseLeader({ rounds = 1, seconds = 10, read = "linearizable" } = {}) {
  // Time-outs that a busy machine does not reach by itself: exactly one change of leader is the demand.
  const raft = { electionTimeoutMsMin: 3_000, electionTimeoutMsMax: 6_000 };
  const lease = read === "lease" ? { durationMs: 1_000 } : {};
  return withCluster(await Cluster.found(["a", "b", "c"], 3, { raft, lease }), async (cluster) => {
    const counting = await Counting.open([...cluster.ids.map((id) => cluster.endpoints([id])), cluster.endpoints()]);
    counting.start({ read });
    const wrong = [];
    for (let round = 0; round < rounds; round += 1) {
      await progress(counting);
      const { id } = await cluster.leader();
      const before = cluster.leaders.length;
      cluster.pause(id);
      const stopped = pass(seconds * 1000);
      await until("another leader", 60, async () => (cluster.leaders.length > before ? true : undefined));
      await progress(counting, 20);
      await stopped;
      cluster.resume(id);
      await until("the stopped one to follow", 60, async () => {
        const [one, newest] = [await cluster.status(id), cluster.leaders.at(-1)];
        return one?.role === "follower" && one.leader === newest.id && one.ready ? true : undefined;
      });
      await progress(counting);
      const changes = cluster.leaders.slice(before);
      if (changes.length !== 1) wrong.push(`${changes.length} changes of leader: ${JSON.stringify(changes)}`);
    }
    wrong.push(...(await finish(cluster, counting, cluster.ids)));
    return { wrong, rounds, ...counting.report };
  });
}

/**
 * Every replica makes room for a new one, one change at a time, and then all the way back, while clients count and a replica at a time is
 * killed and started again, whatever change is going on (hazards M8, M12).
 */
export async function walkMembers({ replicas = 5, rounds = 1, seed = 1 } = {}) {
  const ids = [..."abcdefghij"].slice(0, 2 * replicas);
  return withCluster(await Cluster.found(ids, replicas), async (cluster) => {
    const random = randomFrom(seed);
    const counting = await Counting.open([cluster.endpoints(), cluster.endpoints(), cluster.endpoints()]);
    counting.start();
    const killer = new Killer(cluster, random);
    killer.start();
    let changes = 0;
    const [here, there] = [ids.slice(0, replicas), ids.slice(replicas)];
    for (let round = 0; round < rounds; round += 1) {
      for (const [from, to] of [here, there].map((list, at, both) => [list, both[1 - at]])) {
        for (const [at, leaving] of from.entries()) {
          await replaceBy(cluster, killer, { leaving, coming: to[at] });
          changes += 2;
        }
      }
    }
    await killer.stop();
    const wrong = await finish(cluster, counting, cluster.ids);
    return { wrong, changes, kills: killer.kills, leaders: cluster.leaders.length, ...counting.report };
  });
}

async function replaceBy(cluster, killer, { leaving, coming }) {
  const member = cluster.place(coming);
  await cluster.join(coming);
  const votes = (members) => members.some(({ id, role }) => id === coming && role === "voter");
  await cluster.change("add", member, votes, 120);
  const isGone = (members) => members.every(({ id }) => id !== leaving);
  await cluster.change("remove", leaving, isGone, 120);
  await killer.without(leaving, () => cluster.forget(leaving));
}

/** Kills one replica at a time and starts it again, and goes on once it is ready. */
class Killer {
  #cluster;
  #random;
  #isStopping = false;
  #spared = new Set();
  #busy = Promise.resolve();
  #running;
  kills = 0;

  constructor(cluster, random) {
    this.#cluster = cluster;
    this.#random = random;
  }

  start() {
    this.#running = this.#run();
    // Seen by `stop`.
    this.#running.catch(() => undefined);
  }

  async stop() {
    this.#isStopping = true;
    await this.#running;
  }

  /** Does this while nobody is being killed. */
  async without(id, act) {
    this.#spared.add(id);
    await this.#busy.catch(() => undefined);
    await act();
    this.#spared.delete(id);
  }

  async #run() {
    while (!this.#isStopping) {
      await pass(200 + this.#random() * 1_000);
      const id = pick(
        this.#random,
        this.#cluster.ids.filter((each) => !this.#spared.has(each)),
      );
      this.#busy = this.#kill(id);
      await this.#busy;
    }
  }

  async #kill(id) {
    await this.#cluster.kill(id);
    this.kills += 1;
    await this.#cluster.start(id);
    // One that does not vote yet, or no more, need not be ready.
    await until(`${id} to be back`, 60, async () => {
      const { members } = await this.#cluster.leader();
      const votes = members.some((member) => member.id === id && member.role === "voter");
      return !votes || (await this.#cluster.status(id))?.ready === true ? true : undefined;
    });
  }
}

/** A checkpoint every few hundred entries, of many chunks, that takes a while to fetch. */
const hastyLimits = {
  checkpoints: { logEntriesMax: 200, chunkBytes: 65_536 },
  storage: { segmentBytes: 2_097_152, reserveBytes: 1_048_576 },
  raft: { logCacheBytes: 131_072 },
  transfer: { bytesPerSecondMax: 2_097_152, replyMs: 1_000, restMs: 200 },
};

/**
 * All replicas are killed at once, again and again: while they write a checkpoint, while one fetches a checkpoint since the others have given
 * back what it lacks, and at any other time (hazards R8, S7, S9). They always start again, nothing acknowledged is lost, and whoever lagged
 * catches up in the end.
 */
export async function killAll({ rounds = 6, seed = 1, fillMiB = 4 } = {}) {
  return withCluster(await Cluster.found(["a", "b", "c"], 3, hastyLimits), async (cluster) => {
    const random = randomFrom(seed);
    const counting = await Counting.open([cluster.endpoints(), cluster.endpoints()]);
    await fill(cluster, { fillMiB, with: "v" });
    counting.start({ pauseMs: 2 });
    const killed = { "in a checkpoint": 0, "in a transfer": 0, "at any time": 0 };
    const kinds = Object.keys(killed);
    for (let round = 0; round < rounds; round += 1) {
      await progress(counting);
      const kind = kinds[round % kinds.length];
      if (kind === "in a checkpoint") await untilChunk(cluster, pick(random, cluster.ids));
      else if (kind === "in a transfer") await untilFetching(cluster, pick(random, cluster.ids), { random, fillMiB });
      else await pass(random() * 2_000);
      await Promise.all(cluster.ids.map((id) => cluster.kill(id)));
      killed[kind] += 1;
      await Promise.all(cluster.ids.map((id) => cluster.start(id)));
    }
    const last = pick(random, cluster.ids);
    await untilFetching(cluster, last, { random, fillMiB });
    const wrong = await finish(cluster, counting, cluster.ids);
    const { checkpointsFetched } = (await cluster.status(last)).counters;
    if (checkpointsFetched === 0) wrong.push(`${last} caught up without the checkpoint that it needed`);
    return { wrong, killed, ...counting.report };
  });
}

/** Values that nobody reads, so that a checkpoint is large. */
async function fill(cluster, { fillMiB, with: text }) {
  const client = await connect(kv, { endpoints: cluster.endpoints(), timeoutMs: 60_000 });
  const value = text.repeat(4_096);
  const keys = Array.from({ length: fillMiB * 256 }, (_none, at) => `filling${at}`);
  await Promise.all(keys.map((key) => client.set({ key, value })));
  await client.$close();
}

/** Until a file of a checkpoint appears in this directory. */
function untilChunk(cluster, id) {
  return new Promise((resolve) => {
    const watcher = watch(join(cluster.dataDir(id), "checkpoints"), () => {
      watcher.close();
      resolve();
    });
  });
}

/** It is killed, left behind until it needs a checkpoint, started, and has a part of one. */
async function untilFetching(cluster, id, { random, fillMiB }) {
  const { lastIndex } = await until("a status", 60, () => cluster.status(id));
  await cluster.kill(id);
  // Other values than it has, or there was nothing to fetch.
  await fill(cluster, { fillMiB, with: String.fromCharCode(97 + Math.floor(random() * 26)) });
  await until("the log to be given back", 120, async () => {
    const { checkpoint } = await cluster.leader();
    return checkpoint.logStart > lastIndex ? true : undefined;
  });
  await cluster.start(id);
  const part = random() * 0.8;
  await until(`${id} to fetch a checkpoint`, 60, async () => {
    const { fetching } = (await cluster.status(id))?.checkpoint ?? {};
    return fetching !== undefined && fetching.bytesDone > part * fetching.bytes ? true : undefined;
  });
}
