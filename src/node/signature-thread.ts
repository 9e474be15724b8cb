/**
 * The signature port on a thread of its own, so that verifying keeps nobody from being answered.
 *
 * Owns: the thread, and which answer belongs to which question: it answers in their order. One message goes over for each call.
 * If the thread ends by itself, what waits and what comes is verified on the thread that asks: slower, and the same. Leaves to
 * others: gathering several signatures in one call (`authentication/message-verifier.ts`). Called by whoever joins a process.
 */
import { Worker } from "node:worker_threads";
import type { Claim, SignatureVerifier } from "../ports/signatures.js";
import { nodeVerifier } from "./signatures.js";

interface Question {
  readonly claims: readonly Claim[];
  readonly done: (results: readonly boolean[]) => void;
}

export class SignatureThread implements SignatureVerifier {
  readonly #worker = new Worker(new URL("./signature-worker.js", import.meta.url));
  #asked: Question[] = [];
  #state: "running" | "failed" | "stopped" = "running";

  constructor() {
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
    if (this.#state === "failed") return nodeVerifier.verify(claims, done);
    this.#asked.push({ claims, done });
    this.#worker.postMessage(claims.map(({ publicKey, bytes, signature }) => ({ publicKey, bytes, signature })));
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
    for (const { claims, done } of asked) nodeVerifier.verify(claims, done);
  }
}
