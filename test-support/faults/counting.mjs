/**
 * Clients that count on keys of their own and read them, and the verdict on what they were told.
 *
 * Owns: the load, the recorded history, the demands on both: no operation fails, each history is linearizable, each key holds exactly what
 * was acknowledged. Leaves to others: what is done to the replicas meanwhile (`stories.mjs`).
 */
import { spawn } from "node:child_process";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { connect } from "quorate/client";
import { kv } from "quorate/services/kv";

const program = fileURLToPath(new URL("../../dist/server/main.js", import.meta.url));
const pass = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Counting {
  #clients;
  #isStopping = false;
  #workers = [];
  #lastAt = performance.now();
  /** By key, as `quorate check-history` reads them. */
  histories = new Map();
  acknowledged = 0;
  reads = 0;
  unknown = 0;
  /** Increments of which nobody could tell any more whether they were executed. */
  lost = new Map();
  /** What ended otherwise. */
  failures = [];
  longestGapMs = 0;

  constructor(clients) {
    this.#clients = clients;
  }

  /** One client for each list of endpoints. */
  static async open(lists, options = {}) {
    const patient = { timeoutMs: 120_000, connectTimeoutMs: 60_000, ...options };
    const clients = lists.map((endpoints) => connect(kv, { endpoints, ...patient }));
    return new Counting(await Promise.all(clients));
  }

  get operations() {
    return this.acknowledged + this.reads;
  }

  /** How often somebody's answer was not what others had (`faults: "value"`). */
  get outvoted() {
    return this.#clients.reduce((sum, client) => sum + (client.$status().votes?.outvoted ?? 0), 0);
  }

  /** Resolves when so many increments are acknowledged. */
  async until(acknowledged) {
    while (this.acknowledged < acknowledged) await pass(5);
  }

  /**
   * `writers` and `readers` go on until `stop`, on `keys` keys, each pausing for up to `pauseMs` between two operations. `read`: how fresh
   * answers must be; all of these levels are linearizable.
   */
  start({ keys = 4, writers = 8, readers = 8, pauseMs = 4, read = "linearizable" } = {}) {
    for (let at = 0; at < keys; at += 1) this.histories.set(`key${at}`, []);
    const workers = (count, name, step) =>
      Array.from({ length: count }, async (_none, at) => {
        const worker = {
          name: `${name}${at}`,
          key: `key${at % keys}`,
          client: this.#clients[at % this.#clients.length],
        };
        while (!this.#isStopping) {
          await step(worker);
          await pass(Math.random() * pauseMs);
        }
      });
    this.#workers = [
      ...workers(writers, "writer", (worker) => this.#increment(worker)),
      ...workers(readers, "reader", (worker) => this.#read(worker, read)),
    ];
  }

  async stop() {
    this.#isStopping = true;
    await Promise.all(this.#workers);
  }

  /** Reads every key once more, closes the clients, and says everything that is wrong. */
  async judge() {
    const wrong = this.failures.map((failure) => `failed: ${failure}`);
    for (const [key, history] of this.histories) {
      const told = history.filter(({ f }) => f === "add").length - (this.lost.get(key) ?? 0);
      const found = Number((await this.#clients[0].get(key))?.value ?? 0);
      const isExact = found >= told && found <= told + (this.lost.get(key) ?? 0);
      if (!isExact) wrong.push(`${key} is ${found}, acknowledged were ${told}, lost ${this.lost.get(key) ?? 0}`);
    }
    await Promise.all(this.#clients.map((client) => client.$close()));
    return [...wrong, ...(await checkHistories(this.histories))];
  }

  get report() {
    const { acknowledged, reads, unknown, longestGapMs } = this;
    const lost = [...this.lost.values()].reduce((sum, count) => sum + count, 0);
    return { acknowledged, reads, unknown, lost, longestGapMs: Math.round(longestGapMs) };
  }

  async #increment({ name, key, client }) {
    const call = performance.now();
    const result = await client.$try.increment({ key, by: 1 });
    if (result.status === "ok") return this.#note(key, { p: name, call, f: "add", value: result.output.value });
    if (result.status !== "unknown") return this.#fail(`increment: ${result.code ?? result.message}`);
    this.unknown += 1;
    const settled = await settle(client, result.token);
    if (settled.status === "notExecuted") return undefined;
    const { outcome } = settled;
    if (outcome?.status === "ok") return this.#note(key, { p: name, call, f: "add", value: outcome.output.value });
    // Executed with a reply that nobody keeps counts, and what nobody can tell may.
    if (settled.status === "lost") this.lost.set(key, (this.lost.get(key) ?? 0) + 1);
    this.histories.get(key).push({ p: name, call, ret: null, f: "add" });
    return undefined;
  }

  async #read({ name, key, client }, read) {
    const call = performance.now();
    const result = await client.$try.get(key, { read });
    if (result.status !== "ok") return this.#fail(`get: ${result.code ?? result.message}`);
    this.#note(key, { p: name, call, f: "read", value: result.output?.value ?? 0 });
  }

  #note(key, { value, ...operation }) {
    const now = performance.now();
    this.histories.get(key).push({ ...operation, ret: now, out: { value: Number(value) } });
    if (operation.f === "add") this.acknowledged += 1;
    else this.reads += 1;
    this.longestGapMs = Math.max(this.longestGapMs, now - this.#lastAt);
    this.#lastAt = now;
  }

  async #fail(what) {
    this.failures.push(what);
    await pass(100);
  }
}

/** Asks until somebody knows. */
async function settle(client, token) {
  for (;;) {
    const resolved = await client.$resolve(token);
    if (resolved.status !== "refused") return resolved;
    await pass(100);
  }
}

/** By the command that its users have. */
export async function checkHistories(histories) {
  const child = spawn(process.execPath, [program, "check-history", "-", "--explain", "--seconds", "60"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  let said = "";
  child.stdout.on("data", (bytes) => (said += bytes));
  const ended = new Promise((resolve) => child.once("close", resolve));
  for (const [id, ops] of histories) child.stdin.write(`${JSON.stringify({ id, model: "counter", ops })}\n`);
  child.stdin.end();
  const code = await ended;
  const verdicts = said.split("\n").filter((line) => line.startsWith("{"));
  if (verdicts.length !== histories.size) return [`check-history ended with ${code} after ${verdicts.length} verdicts`];
  return code === 0 ? [] : [`not linearizable:\n${said}`];
}
