/**
 * Replicas as real processes that can be killed, stopped, continued, wiped, added and removed, each by name.
 *
 * Owns: processes, ports and directories, and the questions that replicas answer over their channels. Leaves to others: load and verdicts
 * (`counting.mjs`), what is done to them (`stories.mjs`). Whoever makes a cluster ends it, also when its story fails.
 */
import { fork } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";

const { choosePorts } = await import(new URL("../../dist/server/free-ports.js", import.meta.url).href);
const program = fileURLToPath(new URL("./replica.mjs", import.meta.url));

export class Cluster {
  #limits;
  #heapMiB;
  #places = new Map();
  #running = new Map();
  #generations = new Map();
  /** Who began to lead, in the order in which it was told: `{ id, term }`. */
  leaders = [];
  /** Ends that no story asked for. */
  unexpected = [];

  constructor(limits, heapMiB) {
    this.#limits = limits;
    this.#heapMiB = heapMiB;
    this.directory = mkdtempSync(join(tmpdir(), "quorate-faults-"));
    process.once("exit", this.#killAll);
  }

  /**
   * Founds a cluster of the first `founders` of these ids; the others have addresses, and do not run. `heapMiB` is what JavaScript's own memory
   * may take in each process.
   */
  static async found(ids, founders, limits = {}, heapMiB) {
    const cluster = new Cluster(limits, heapMiB);
    const ports = await choosePorts(0, ids.length * 3, new Set());
    ids.forEach((id, at) => {
      const [peer, client, redis] = [0, 1, 2].map((kind) => `127.0.0.1:${ports[3 * at + kind]}`);
      cluster.#places.set(id, { id, peer, client, redis });
    });
    const members = ids.slice(0, founders);
    await Promise.all(members.map((id) => cluster.start(id, { bootstrap: true, members })));
    await cluster.untilReady(members);
    return cluster;
  }

  get ids() {
    return [...this.#running.keys()];
  }

  place(id) {
    return this.#places.get(id);
  }

  endpoints(ids = [...this.#places.keys()]) {
    return ids.map((id) => this.#places.get(id).client);
  }

  pid(id) {
    return this.#running.get(id)?.child.pid;
  }

  dataDir(id) {
    return join(this.directory, `${id}-${this.#generations.get(id) ?? 0}`);
  }

  /** Resolves when it listens. Started again, it is given what it was given first. */
  async start(id, how = this.#running.get(id)?.how) {
    const { bootstrap = false, members } = how;
    const options = {
      id,
      clusterId: "faults",
      dataDir: this.dataDir(id),
      members: members.map((member) => ({ ...this.#places.get(member), role: "voter", incarnation: 1 })),
      bootstrap: bootstrap && this.#running.get(id) === undefined,
      join: !bootstrap,
      limits: this.#limits,
      redis: this.#places.get(id).redis,
    };
    mkdirSync(this.directory, { recursive: true });
    const execArgv = this.#heapMiB === undefined ? [] : [`--max-old-space-size=${this.#heapMiB}`];
    const child = fork(program, [JSON.stringify(options)], { execArgv, stdio: ["ignore", "ignore", "inherit", "ipc"] });
    const running = { child, how, questions: new Map(), next: 1, isMeant: false, gone: undefined };
    this.#running.set(id, running);
    running.gone = new Promise((resolve) => child.once("exit", (code, signal) => resolve(signal ?? code)));
    void running.gone.then((end) => {
      for (const { reject } of running.questions.values()) reject(new Error("GONE"));
      if (!running.isMeant) this.unexpected.push(`${id} ended with ${end}`);
    });
    await new Promise((resolve, reject) => {
      child.on("message", (message) => this.#hear(id, running, message, resolve));
      void running.gone.then((end) =>
        running.isMeant ? resolve() : reject(new Error(`${id} ended with ${end}: ${running.refusal ?? "no word"}`)),
      );
    });
  }

  /** `join`: a new, empty directory of a replica that is to be added, or that replaces one. */
  async join(id) {
    this.#generations.set(id, (this.#generations.get(id) ?? 0) + 1);
    await this.start(id, { members: [...new Set([...this.ids, id])] });
  }

  /** Resolves when the process is gone. */
  async kill(id) {
    const running = this.#running.get(id);
    running.isMeant = true;
    running.child.kill("SIGKILL");
    await running.gone;
  }

  /** Killed, and no part of this cluster any more. */
  async forget(id) {
    await this.kill(id);
    this.#running.delete(id);
    rmSync(this.dataDir(id), { recursive: true, force: true });
  }

  pause(id) {
    this.#running.get(id).child.kill("SIGSTOP");
  }

  resume(id) {
    this.#running.get(id).child.kill("SIGCONT");
  }

  /** Rejects with the code of a refusal, `GONE` if the process ended, or `LATE`. */
  ask(id, question, input, msMax = 15_000) {
    const running = this.#running.get(id);
    if (running === undefined || !running.child.connected) return Promise.reject(new Error("GONE"));
    const number = running.next++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("LATE")), msMax);
      const settle = (end) => (outcome) => {
        clearTimeout(timer);
        running.questions.delete(number);
        end(outcome);
      };
      running.questions.set(number, { resolve: settle(resolve), reject: settle(reject) });
      running.child.send({ number, ask: question, input }, undefined, undefined, () => undefined);
    });
  }

  /** Undefined if it does not answer. */
  status(id) {
    return this.ask(id, "status", undefined, 2_000).catch(() => undefined);
  }

  /** The status of the one that leads and whom another voter follows. */
  async leader(seconds = 60) {
    return until("a leader", seconds, async () => {
      const statuses = (await Promise.all(this.ids.map((id) => this.status(id)))).filter((one) => one !== undefined);
      const newest = statuses.filter(({ role }) => role === "leader").sort((a, b) => b.term - a.term)[0];
      const followed = statuses.some(
        ({ id, leader, term }) => leader === newest?.id && id !== leader && term === newest?.term,
      );
      return followed || this.ids.length === 1 ? newest : undefined;
    });
  }

  async untilReady(ids, seconds = 60) {
    await until(`${ids.join(", ")} to be ready`, seconds, async () => {
      const statuses = await Promise.all(ids.map((id) => this.status(id)));
      return statuses.every((status) => status?.ready === true) ? true : undefined;
    });
  }

  /** All of them have executed the same, and it is everything. Only without load. */
  async untilEven(ids, seconds = 60) {
    return until(`${ids.join(", ")} to have executed the same`, seconds, async () => {
      const statuses = await Promise.all(ids.map((id) => this.status(id)));
      const index = statuses[0]?.commitIndex;
      const isEven = index !== undefined && statuses.every((status) => status?.executedIndex === index);
      return isEven ? statuses : undefined;
    });
  }

  /** Repeats a change until the leader's members show it: a leader that is killed meanwhile may leave it undone, or done. */
  async change(verb, input, isDone, seconds = 60) {
    let told = false;
    await until(`${verb} ${JSON.stringify(input)}`, seconds, async () => {
      const { id, members } = await this.leader(seconds);
      if (isDone(members)) return true;
      if (told) return undefined;
      try {
        await this.ask(id, verb, input);
        told = true;
      } catch (cause) {
        // What was refused is told again; whatever else became of it is seen in the members.
        const code = cause instanceof Error ? cause.message : String(cause);
        if (!passing.has(code)) throw new Error(`${verb} was refused for good: ${code}`, { cause });
      }
      return undefined;
    });
  }

  async end() {
    await Promise.all(this.ids.map((id) => this.kill(id)));
    process.off("exit", this.#killAll);
    rmSync(this.directory, { recursive: true, force: true });
  }

  #hear(id, running, message, listening) {
    const { event, number } = message;
    if (event === "listening") listening();
    if (event === "role" && message.role === "leader") this.#noteLeader(id, message.term);
    if (event === "refused") running.refusal = message.message;
    if (event === "refused" || event === "broken") this.unexpected.push(`${id}: ${message.message ?? message.reason}`);
    if (number === undefined) return;
    const question = running.questions.get(number);
    if ("refused" in message) question?.reject(new Error(message.refused));
    else question?.resolve(message.output);
  }

  /** It tells this more than once: when it leads, when it has settled what was before, and when it goes on after a stop, deposed long ago. */
  #noteLeader(id, term) {
    if (this.leaders.every((known) => known.id !== id || known.term !== term)) this.leaders.push({ id, term });
  }

  #killAll = () => {
    for (const { child } of this.#running.values()) child.kill("SIGKILL");
  };
}

/** What an instruction may be refused with for a while, or because an earlier try is under way. */
const passing = new Set([
  ...["GONE", "LATE", "OUTCOME_UNKNOWN", "NO_LEADER", "BUSY", "NOT_CLOSE", "NO_QUORUM"],
  ...["ALREADY_A_MEMBER", "NOT_A_MEMBER"],
]);

/** Looks until `look` gives something. */
export async function until(what, seconds, look) {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > end) throw new Error(`Waited ${seconds} s in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
