/**
 * Which replica the client talks to: one at a time, the leader if it is known, else any that answers.
 *
 * Owns: the endpoints, what is known of each, and the choice. Leaves to others: sockets (`ClientLinks`), what is sent and what a
 * refusal means (`client-core.ts`). Called by the core with everything that happens to links.
 *
 *     current    what we send over, opening or ready
 *     candidate  the leader's address, opening while the current link stays in use; once ready it becomes the current one
 *
 * Invariants: at most two links are not closed; a candidate is never the current endpoint. Addresses told by replicas are kept
 * up to a limit and forgotten oldest first, so a replica cannot make the list grow.
 */
import { invariant } from "../base/invariant.js";
import { nextBetween, type Random } from "../base/random.js";
import type { ClientLimits } from "./limits.js";
import type { ClientLinks } from "./links.js";
import { backOffDelay } from "./pace.js";

const toldMax = 16;

export interface Endpoint {
  readonly address: string;
  /** Named by a replica as the leader's address, not by the user. */
  readonly told: boolean;
  state: "closed" | "opening" | "ready";
  openedAt: number;
  /** In a row, until it answers something. */
  failures: number;
  /** Not tried before this time. */
  avoidUntil: number;
  lastCause: string | undefined;
}

export class Routes {
  readonly #links: ClientLinks;
  readonly #limits: ClientLimits;
  readonly #random: Random;
  readonly #endpoints: Endpoint[];
  #turn: number;
  #current: Endpoint | undefined;
  #candidate: Endpoint | undefined;
  /** Counters for `status`. */
  moves = 0;
  failures = 0;

  constructor(addresses: readonly string[], links: ClientLinks, limits: ClientLimits, random: Random) {
    invariant(addresses.length > 0, "a client has an endpoint");
    this.#links = links;
    this.#limits = limits;
    this.#random = random;
    this.#endpoints = [...new Set(addresses)].map((address) => endpointOf(address, false));
    // Each client begins elsewhere, so that a thousand of them do not begin at the same replica.
    this.#turn = nextBetween(random, 0, this.#endpoints.length - 1);
  }

  get endpoints(): readonly Readonly<Endpoint>[] {
    return this.#endpoints;
  }

  /** The endpoint to send to, if it is ready. */
  get ready(): Endpoint | undefined {
    return this.#current?.state === "ready" ? this.#current : undefined;
  }

  get hasOthers(): boolean {
    return this.#endpoints.length > 1;
  }

  /** Begins to open a link if there is none and one may be tried. */
  connect(now: number): void {
    if (this.#current !== undefined) return;
    if (this.#candidate !== undefined) {
      this.#current = this.#candidate;
      this.#candidate = undefined;
      return;
    }
    const chosen = this.#choose(now);
    if (chosen === undefined) return;
    this.#current = chosen;
    this.#open(chosen, now);
  }

  /** "fresh": from now on another link is sent over, and nothing was sent over it before. */
  onReady(address: string): "fresh" | "ignored" {
    const endpoint = this.#find(address);
    if (endpoint === undefined || endpoint.state !== "opening") return "ignored";
    endpoint.state = "ready";
    if (endpoint === this.#candidate) {
      if (this.#current !== undefined) this.#close(this.#current);
      this.#current = endpoint;
      this.#candidate = undefined;
      this.moves += 1;
    }
    return endpoint === this.#current ? "fresh" : "ignored";
  }

  /** "lost": the link that we sent over is gone. */
  onClosed(address: string, cause: string, now: number): "lost" | "ignored" {
    const endpoint = this.#find(address);
    if (endpoint === undefined || endpoint.state === "closed") return "ignored";
    endpoint.state = "closed";
    this.#punish(endpoint, cause, now);
    if (endpoint === this.#candidate) this.#candidate = undefined;
    if (endpoint !== this.#current) return "ignored";
    this.#current = undefined;
    return "lost";
  }

  /** Gives the current endpoint up for a while: it does not answer, or is the wrong one to ask. */
  leave(cause: string, now: number): void {
    const endpoint = this.#current;
    if (endpoint === undefined) return;
    this.#close(endpoint);
    this.#punish(endpoint, cause, now);
    this.#current = undefined;
    this.moves += 1;
  }

  /** The current endpoint answered. */
  proved(): void {
    if (this.#current !== undefined) this.#current.failures = 0;
  }

  /** The current replica told where the leader is. */
  hint(address: string, now: number): void {
    if (address === this.#current?.address || address === this.#candidate?.address) return;
    const endpoint = this.#find(address) ?? this.#learn(address);
    if (endpoint.avoidUntil > now) return;
    if (this.#candidate !== undefined) this.#close(this.#candidate);
    this.#candidate = endpoint;
    this.#open(endpoint, now);
  }

  /** Gives up links that do not open; answers "lost" if the current one was among them. */
  tick(now: number): void {
    for (const endpoint of [this.#current, this.#candidate]) {
      if (endpoint?.state !== "opening" || now < endpoint.openedAt + this.#limits.connectMs) continue;
      this.#close(endpoint);
      this.#punish(endpoint, `not ready within ${this.#limits.connectMs} ms`, now);
      if (endpoint === this.#current) this.#current = undefined;
      else this.#candidate = undefined;
    }
    this.connect(now);
  }

  /** When `tick` has something to do; infinity if it has not. */
  wakeAt(): number {
    let earliest = Infinity;
    if (this.#current === undefined) {
      for (const { avoidUntil } of this.#endpoints) earliest = Math.min(earliest, avoidUntil);
      return earliest;
    }
    if (this.#current.state === "opening") earliest = this.#current.openedAt + this.#limits.connectMs;
    if (this.#candidate !== undefined) {
      earliest = Math.min(earliest, this.#candidate.openedAt + this.#limits.connectMs);
    }
    return earliest;
  }

  closeAll(): void {
    for (const endpoint of this.#endpoints) if (endpoint.state !== "closed") this.#close(endpoint);
    this.#current = undefined;
    this.#candidate = undefined;
  }

  /**
   * Of those that may be tried, the one that was tried longest ago: so the one that serves is found within a round, whatever became of it
   * earlier. How often each failed counts only for its pause.
   */
  #choose(now: number): Endpoint | undefined {
    let chosen: Endpoint | undefined;
    for (let step = 0; step < this.#endpoints.length; step += 1) {
      const endpoint = this.#endpoints[(this.#turn + step) % this.#endpoints.length];
      if (endpoint === undefined || endpoint.avoidUntil > now) continue;
      if (chosen === undefined || endpoint.openedAt < chosen.openedAt) chosen = endpoint;
    }
    this.#turn = (this.#turn + 1) % this.#endpoints.length;
    return chosen;
  }

  #open(endpoint: Endpoint, now: number): void {
    endpoint.state = "opening";
    endpoint.openedAt = now;
    this.#links.open(endpoint.address);
  }

  #close(endpoint: Endpoint): void {
    endpoint.state = "closed";
    this.#links.close(endpoint.address);
  }

  #punish(endpoint: Endpoint, cause: string, now: number): void {
    this.failures += 1;
    endpoint.failures += 1;
    endpoint.lastCause = cause;
    endpoint.avoidUntil = now + backOffDelay(this.#limits, endpoint.failures, this.#random);
  }

  #find(address: string): Endpoint | undefined {
    return this.#endpoints.find((endpoint) => endpoint.address === address);
  }

  #learn(address: string): Endpoint {
    const told = this.#endpoints.filter((endpoint) => endpoint.told && endpoint.state === "closed");
    const [oldest] = told;
    if (oldest !== undefined && told.length >= toldMax) this.#endpoints.splice(this.#endpoints.indexOf(oldest), 1);
    const endpoint = endpointOf(address, true);
    this.#endpoints.push(endpoint);
    return endpoint;
  }
}

function endpointOf(address: string, told: boolean): Endpoint {
  return { address, told, state: "closed", openedAt: -Infinity, failures: 0, avoidUntil: 0, lastCause: undefined };
}
