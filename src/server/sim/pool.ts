/**
 * Threads that run seeds. Each takes the next seed when it is done with one, so the order of results means nothing.
 *
 * Owns: starting and ending threads, and what becomes of a task whose thread ends. Leaves to others: which seeds (`sweep.ts`,
 * `planted.ts`), the work (`worker.ts`).
 */
import { Worker } from "node:worker_threads";
import { usageFailure } from "../exit-codes.js";
import type { Setting } from "./setting.js";
import type { Greeting, Ran, Task } from "./tasks.js";

export const workerUrl = new URL("./worker.js", import.meta.url);

/** A run makes about 100 KB an operation and soon forgets it: what dies young is never moved. */
const resourceLimits = { maxYoungGenerationSizeMb: 96 };

class SimThread {
  readonly #worker: Worker;
  #expected: { readonly what: string; resolve(message: unknown): void; reject(cause: Error): void } | undefined;

  constructor(url: URL, setting: Setting) {
    // What a machine prints goes to stderr: stdout is the command's.
    this.#worker = new Worker(url, { workerData: setting, stdout: true, resourceLimits });
    this.#worker.stdout.pipe(process.stderr);
    this.#worker.on("message", (message) => this.#expected?.resolve(message));
    this.#worker.on("error", (cause) => this.#ended(cause));
    this.#worker.on("exit", (code) => this.#ended(new Error(`it ended with code ${code}`)));
  }

  greeting(): Promise<Greeting> {
    return this.#next("the start");
  }

  ask(task: Task): Promise<Ran> {
    const answer = this.#next<Ran>(`seed ${task.seed}`);
    this.#worker.postMessage(task);
    return answer;
  }

  /** What is still asked is never answered. */
  async close(): Promise<void> {
    this.#expected = undefined;
    await this.#worker.terminate();
  }

  #next<Message>(what: string): Promise<Message> {
    return new Promise((resolve, reject) => {
      this.#expected = { what, resolve: (message) => resolve(message as Message), reject };
    });
  }

  #ended(cause: Error): void {
    const expected = this.#expected;
    this.#expected = undefined;
    expected?.reject(new Error(`The thread failed in ${expected.what}: ${cause.message}`, { cause }));
  }
}

export class Pool {
  readonly #threads: readonly SimThread[];
  /** Inputs are guessed from the machine's source. */
  readonly isGuessed: boolean;

  private constructor(threads: readonly SimThread[], isGuessed: boolean) {
    this.#threads = threads;
    this.isGuessed = isGuessed;
  }

  static async open(count: number, url: URL, setting: Setting): Promise<Pool> {
    const threads = Array.from({ length: count }, () => new SimThread(url, setting));
    const greetings = await Promise.all(threads.map((thread) => thread.greeting()));
    for (const greeting of greetings) if (greeting.kind === "refused") throw usageFailure(greeting.message);
    return new Pool(
      threads,
      greetings.some((greeting) => greeting.kind === "ready" && greeting.isGuessed),
    );
  }

  /** Until there is no next seed and all that were begun are told. */
  async runSeeds(nextSeed: () => number | undefined, tell: (ran: Ran) => void): Promise<void> {
    await Promise.all(
      this.#threads.map(async (thread) => {
        for (let seed = nextSeed(); seed !== undefined; seed = nextSeed()) {
          tell(await thread.ask({ kind: "run", seed, cut: {} }));
        }
      }),
    );
  }

  /** By one thread; not while seeds are run. */
  async ask(task: Task): Promise<Ran> {
    const [thread] = this.#threads;
    if (thread === undefined) throw new RangeError("Cannot ask: the pool has no thread");
    return await thread.ask(task);
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }
}
