/**
 * The signature port on the thread that asks, as long as there is little to verify, and on a thread of its own from there on, so that
 * verifying keeps nobody from being answered.
 *
 * Owns: the thread, which answer belongs to which question (the thread answers in their order), and how much is little: to wake a thread and
 * be woken by it costs as much as verifying a signature. One message goes over for each call. If the thread ends by itself, what waits and
 * what comes is verified on the thread that asks: slower, and the same. Leaves to others: gathering several signatures in one call
 * (`authentication/message-verifier.ts`). Called by whoever joins a process.
 */
import { Worker } from "node:worker_threads";
import { Credit, type CreditSettings } from "../authentication/credit.js";
import type { Claim, SignatureVerifier } from "../ports/signatures.js";
import { nodeVerifier } from "./signatures.js";

interface Question {
  readonly claims: readonly Claim[];
  readonly done: (results: readonly boolean[]) => void;
}

/** Of the thread that asks: a tenth of its time for ever, and 3 ms at once. */
const littleOnLoop: CreditSettings = { burst: 32, perSecond: 1_000 };

export class SignatureThread implements SignatureVerifier {
  readonly #onLoop: Credit;
  readonly #worker = new Worker(new URL("./signature-worker.js", import.meta.url));
  #asked: Question[] = [];
  #state: "running" | "failed" | "stopped" = "running";

  /** `little`: how many signatures are verified on the thread that asks. */
  constructor(little = littleOnLoop) {
    this.#onLoop = new Credit(little, performance.now());
    this.#worker.unref();
    this.#worker.on("message", (results: readonly boolean[]) => this.#asked.shift()?.done(results));
    // An `exit` follows.
    this.#worker.on("error", () => undefined);
    this.#worker.on("exit", () => this.#onExit());
  }

  get isRunning(): boolean {
    return this.#state === "running";
  }

  verify(claims: readonly Claim[], done: (results: readonly boolean[]) => void): void {
    if (this.#state === "stopped") return;
    if (this.#state === "failed" || this.#isLittle(claims.length)) return this.#verifyHere(claims, done);
    this.#asked.push({ claims, done });
    this.#worker.postMessage(claims.map(({ publicKey, bytes, signature }) => ({ publicKey, bytes, signature })));
  }

  /** Behind what waits for the thread it would only overtake. */
  #isLittle(count: number): boolean {
    const now = performance.now();
    if (this.#asked.length > 0 || !this.#onLoop.hasSome(now)) return false;
    this.#onLoop.spend(now, count);
    return true;
  }

  #verifyHere(claims: readonly Claim[], done: (results: readonly boolean[]) => void): void {
    nodeVerifier.verify(claims, (results) => {
      if (this.#state !== "stopped") done(results);
    });
  }

  /** Nobody is answered any more. */
  async stop(): Promise<void> {
    this.#state = "stopped";
    this.#asked = [];
    await this.#worker.terminate();
  }

  #onExit(): void {
    if (this.#state === "stopped") return;
    this.#state = "failed";
    const asked = this.#asked;
    this.#asked = [];
    for (const { claims, done } of asked) this.#verifyHere(claims, done);
  }
}
