/**
 * A client core in a world of its own: virtual time, links with a fixed delay to a `FakeGroup`, answers kept for the test.
 *
 * Owns: the order of events. Everything happens in `advance`; nothing waits for a real clock.
 */
import { ClientCore, type ConnectTo } from "../src/client/client-core.js";
import { defaultClientLimits, type ClientLimits } from "../src/client/limits.js";
import type { CommandOutcome, OutcomeToken, QueryAnswer, Resolution } from "../src/client/outcome.js";
import type { ClientMessage } from "../src/model/request.js";
import type { FakeGroup, FakeLink } from "./fake-group.js";

export interface Asked<Outcome, Handle> {
  readonly handle: Handle;
  readonly outcomes: readonly Outcome[];
}

export interface WorldOptions {
  readonly endpoints?: readonly string[];
  readonly limits?: Partial<ClientLimits>;
  readonly seed?: number;
  readonly connectTo?: ConnectTo;
  /** Addresses that never answer at all. */
  readonly blackHoles?: readonly string[];
}

interface Event {
  readonly at: number;
  readonly run: () => void;
}

const delayMs = 1;

export class ClientWorld {
  readonly core: ClientCore;
  readonly group: FakeGroup;
  readonly #blackHoles: readonly string[];
  readonly #links = new Map<string, FakeLink>();
  #events: Event[] = [];
  #nonces = 0;
  now = 0;
  /** Addresses in the order in which they were tried. */
  readonly opened: string[] = [];

  constructor(group: FakeGroup, options: WorldOptions = {}) {
    this.group = group;
    this.#blackHoles = options.blackHoles ?? [];
    this.core = new ClientCore({
      endpoints: options.endpoints ?? group.addresses,
      links: {
        open: (address) => this.#open(address),
        close: (address) => this.#close(address),
        send: (address, message) => this.#send(address, message),
      },
      limits: { ...defaultClientLimits, ...options.limits },
      seed: options.seed ?? 1,
      connectTo: options.connectTo,
      principal: "",
      drawNonce: () => `nonce ${(this.#nonces += 1)}`,
    });
    this.core.start(0);
  }

  command(name: string, timeoutMs = 10_000): Asked<CommandOutcome, ReturnType<ClientCore["command"]>> {
    const outcomes: CommandOutcome[] = [];
    const completion = { settle: (outcome: CommandOutcome) => void outcomes.push(outcome) };
    const deadline = this.now + timeoutMs;
    const input = new Uint8Array(8);
    return {
      handle: this.core.command({ name, input, idempotency: undefined, deadline, completion }, this.now),
      outcomes,
    };
  }

  query(name: string, timeoutMs = 10_000): Asked<QueryAnswer, ReturnType<ClientCore["query"]>> {
    const outcomes: QueryAnswer[] = [];
    const completion = { settle: (outcome: QueryAnswer) => void outcomes.push(outcome) };
    const read = { kind: "linearizable" } as const;
    const ask = { name, input: new Uint8Array([1]), read, deadline: this.now + timeoutMs, completion };
    return { handle: this.core.query(ask, this.now), outcomes };
  }

  resolve(token: OutcomeToken, timeoutMs = 10_000): Asked<Resolution, ReturnType<ClientCore["resolve"]>> {
    const outcomes: Resolution[] = [];
    const completion = { settle: (outcome: Resolution) => void outcomes.push(outcome) };
    return { handle: this.core.resolve({ token, deadline: this.now + timeoutMs, completion }, this.now), outcomes };
  }

  /** Lets time pass: messages arrive and timers fire in the order of their times. */
  advance(ms: number): this {
    const end = this.now + ms;
    for (let steps = 0; steps < 100_000; steps += 1) {
      const eventAt = this.#events.reduce((earliest, { at }) => Math.min(earliest, at), Infinity);
      const at = Math.max(this.now, Math.min(eventAt, this.core.wakeAt()));
      if (at > end) {
        this.now = end;
        return this;
      }
      this.now = at;
      if (eventAt <= at) this.#runEvents(at);
      else this.core.tick(at);
    }
    throw new Error("the client is busy without time passing");
  }

  #runEvents(at: number): void {
    const due = this.#events.filter((event) => event.at <= at);
    this.#events = this.#events.filter((event) => event.at > at);
    for (const { run } of due) run();
  }

  #later(run: () => void): void {
    this.#events.push({ at: this.now + delayMs, run });
  }

  #open(address: string): void {
    this.opened.push(address);
    if (this.#blackHoles.includes(address)) return;
    const link: FakeLink = {
      address,
      receive: (message) => this.#later(() => this.#ifOpen(link, () => this.core.receive(address, message, this.now))),
      closed: (cause) => this.#later(() => this.#ifOpen(link, () => this.#onClosed(link, cause))),
    };
    this.#links.set(address, link);
    this.#later(() => {
      this.#ifOpen(link, () => {
        if (!this.group.isUp(address)) return this.#onClosed(link, "connection refused");
        this.core.linkReady(address, this.now);
        this.#ifOpen(link, () => this.group.connect(link));
      });
    });
  }

  #close(address: string): void {
    const link = this.#links.get(address);
    if (link === undefined) return;
    this.#links.delete(address);
    this.group.disconnect(link);
  }

  #send(address: string, message: ClientMessage): void {
    const link = this.#links.get(address);
    if (link !== undefined) this.#later(() => this.group.receive(link, message));
  }

  #onClosed(link: FakeLink, cause: string): void {
    this.#links.delete(link.address);
    this.core.linkClosed(link.address, cause, this.now);
  }

  #ifOpen(link: FakeLink, run: () => void): void {
    if (this.#links.get(link.address) === link) run();
  }
}
