/**
 * The connections of clients to one replica.
 *
 * Owns: their number, their limits, and back-pressure: a client that does not read its replies is not read from either, so no
 * queue grows because of it. Leaves to others: what they ask (`replica/host.ts`). Hazards F1, threat 8.
 */
import type { ByteWriter } from "../base/bytes.js";
import type { Clock } from "../ports/clock.js";
import type { Hash } from "../ports/hash.js";
import type { Connection, ConnectionHandlers } from "../ports/network.js";
import { checkClientHello, refused, welcomeFrom, type Identity } from "./gate.js";
import { noConfiguration } from "../wire/handshake.js";
import { Link, type LinkLimits } from "./link.js";

export interface ClientsOptions {
  readonly clock: Clock;
  readonly hash: Hash;
  readonly limits: LinkLimits;
  readonly connectionsMax: number;
  /** Reading from a client pauses while more than this waits to be sent to it. */
  readonly outputBytesMax: number;
  /** A connection is given up when more than this waits, which only replies that nobody could hold back can reach. */
  readonly outputBytesHardMax: number;
  readonly self: Identity;
  readonly connected: (connection: number) => void;
  readonly disconnected: (connection: number) => void;
  /** A connection that was congested is not any more. */
  readonly drained: (connection: number) => void;
  /** `wire/client-codec.ts` reads it. */
  readonly message: (connection: number, type: number, payload: Uint8Array) => void;
  readonly dropped: (reason: string, detail: string) => void;
}

/** A congested client is looked at so often. */
const lookMs = 10;

export class Clients {
  readonly #options: ClientsOptions;
  readonly #open = new Map<number, Link>();
  readonly #waiting = new Set<Link>();
  readonly #paused = new Set<number>();
  #next = 1;

  constructor(options: ClientsOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#open.size;
  }

  accept(connect: (handlers: ConnectionHandlers) => Connection): void {
    const { clock, hash, limits, self, connectionsMax } = this.#options;
    const connection = this.#next;
    this.#next += 1;
    const link = new Link(
      { clock, hash },
      limits,
      {
        side: "acceptor",
        gate: (hello) => {
          if (this.#open.size >= connectionsMax) {
            return refused(
              "TOO_MANY_CONNECTIONS",
              `${this.#open.size} clients are connected and the limit is ${connectionsMax}.`,
            );
          }
          return checkClientHello(hello, self) ?? welcomeFrom(self, noConfiguration);
        },
      },
      {
        ready: (ready) => {
          this.#waiting.delete(ready);
          this.#open.set(connection, ready);
          this.#options.connected(connection);
        },
        message: (_link, type, payload) => this.#options.message(connection, type, payload),
        drained: (drained) => this.#resume(connection, drained),
        closed: (closed, cause) => this.#onClosed(connection, closed, cause),
      },
    );
    this.#waiting.add(link);
    link.attach(connect);
  }

  send(connection: number, type: number, payload: Uint8Array): void {
    const link = this.#open.get(connection);
    if (link === undefined) return;
    link.send(type, payload);
    this.#lookAt(connection, link);
  }

  /** As `Link` has it. */
  sendWritten<Thing>(
    connection: number,
    type: number,
    thing: Thing,
    write: (writer: ByteWriter, thing: Thing) => void,
  ): void {
    const link = this.#open.get(connection);
    if (link === undefined) return;
    link.sendWritten(type, thing, write);
    this.#lookAt(connection, link);
  }

  /** Whether it leaves too much unread. */
  #lookAt(connection: number, link: Link): void {
    const { bufferedBytes } = link;
    if (bufferedBytes > this.#options.outputBytesHardMax) {
      this.#options.dropped("slow reader", `connection ${connection}`);
      return link.close("broken");
    }
    if (bufferedBytes > this.#options.outputBytesMax && !this.#paused.has(connection)) {
      this.#paused.add(connection);
      link.pauseReading();
      this.#look(connection, link);
    }
  }

  /** The client leaves more unread than it may: it is not read from, and no large answer should be made for it. */
  isCongested(connection: number): boolean {
    return this.#paused.has(connection);
  }

  sendAll(type: number, payload: Uint8Array): void {
    for (const connection of this.#open.keys()) this.send(connection, type, payload);
  }

  stop(): void {
    // An end that is not read from never learns that the other has closed, and would stay for ever.
    for (const [connection, link] of this.#open) link.close(this.#paused.has(connection) ? "broken" : "done");
    for (const link of this.#waiting) link.close("broken");
  }

  /** The queue's running empty is not always told: it may leave within this turn, or never reach the system's own mark. */
  #look(connection: number, link: Link): void {
    this.#options.clock.after(lookMs, () => {
      this.#resume(connection, link);
      if (this.#paused.has(connection)) this.#look(connection, link);
    });
  }

  #resume(connection: number, link: Link): void {
    if (!this.#paused.has(connection) || link.bufferedBytes > this.#options.outputBytesMax) return;
    this.#paused.delete(connection);
    link.resumeReading();
    this.#options.drained(connection);
  }

  #onClosed(connection: number, link: Link, cause: string): void {
    this.#waiting.delete(link);
    this.#paused.delete(connection);
    if (this.#open.delete(connection)) this.#options.disconnected(connection);
    else this.#options.dropped("handshake", cause);
  }
}
