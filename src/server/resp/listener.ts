/**
 * The RESP door: a listening socket through which any Redis client reaches the replicated key-value service.
 *
 * Owns: accepting connections, their number, and the turns in which they make progress. Leaves to others: one client (`connection.ts`), requests
 * (`dispatcher.ts`). Called by the process; everything of one listener shares one `Door`, that is one session.
 *
 * A turn runs after all sockets that had something to say were read: commands of all clients become few requests, and each
 * client's replies one write.
 */
import { createServer, type Server, type Socket } from "node:net";
import { performance } from "node:perf_hooks";
import type { Door } from "../../api/door.js";
import type { ReplicaStatus } from "../../api/replica.js";
import { linearizable, type ClientState } from "./client-state.js";
import { Connection } from "./connection.js";
import { newCounters, type RespCounters } from "./counters.js";
import { Dispatcher } from "./dispatcher.js";
import { defaultRespLimits, type RespLimits } from "./limits.js";
import type { LocalContext } from "./local-commands.js";

export interface RespDoorOptions {
  readonly door: Door;
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly limits?: Partial<RespLimits>;
  /** For INFO. */
  readonly info: () => ReplicaStatus;
}

export interface RespDoor {
  readonly host: string;
  readonly port: number;
  /** For metrics. */
  counters(): RespCounters;
  /** Takes no further command, answers those it took for up to two seconds, and closes. Does not close the `Door`. */
  close(): Promise<void>;
}

const closeMs = 2_000;

/** @throws if the address cannot be listened on. */
export function startRespDoor(options: RespDoorOptions): Promise<RespDoor> {
  const listener = new Listener(options);
  return listener.open(options.host, options.port);
}

class Listener {
  readonly #limits: RespLimits;
  readonly #dispatcher: Dispatcher;
  readonly #info: () => ReplicaStatus;
  readonly #counters = newCounters();
  readonly #connections = new Map<Connection, Socket>();
  readonly #server: Server;
  #woken = new Set<Connection>();
  #turnIsDue = false;
  #nextId = 1;
  #unfinishedInput = 0;

  constructor({ door, limits, info }: RespDoorOptions) {
    this.#limits = { ...defaultRespLimits, ...limits };
    this.#dispatcher = new Dispatcher(door, this.#limits);
    this.#info = info;
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => this.#accept(socket));
  }

  open(host: string, port: number): Promise<RespDoor> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ host, port }, () => {
        this.#server.removeListener("error", reject);
        const address = this.#server.address();
        const actualPort = typeof address === "object" && address !== null ? address.port : port;
        resolve({ host, port: actualPort, counters: () => ({ ...this.#counters }), close: () => this.#close() });
      });
    });
  }

  #accept(socket: Socket): void {
    // A broken connection is an ordinary end: "close" follows.
    socket.on("error", () => socket.destroy());
    if (this.#connections.size >= this.#limits.connectionsMax) {
      this.#counters.connectionsRefused += 1;
      socket.resume();
      socket.end("-ERR max number of clients reached\r\n", () => socket.destroy());
      return;
    }
    socket.setEncoding("latin1");
    const connection = this.#connect(socket);
    this.#connections.set(connection, socket);
    this.#counters.connectionsAccepted += 1;
    this.#counters.connections = this.#connections.size;
    socket.on("data", (chunk: Buffer | string) => this.#onData(connection, socket, String(chunk)));
    socket.on("drain", () => connection.onDrain());
    socket.on("end", () => connection.end());
    socket.on("close", () => this.#onClose(connection));
  }

  #connect(socket: Socket): Connection {
    const client: ClientState = {
      id: this.#nextId,
      address: `${socket.remoteAddress ?? "?"}:${socket.remotePort ?? 0}`,
      localAddress: `${socket.localAddress ?? "?"}:${socket.localPort ?? 0}`,
      connectedAt: performance.now(),
      protocol: 2,
      name: "",
      library: "",
      libraryVersion: "",
      replies: "on",
      read: linearizable,
    };
    this.#nextId += 1;
    const context: LocalContext = {
      client,
      limits: this.#limits,
      source: { status: this.#info, counters: () => this.#counters },
      clients: () => [...this.#connections.keys()].map((connection) => connection.client),
      nowMs: () => performance.now(),
    };
    return new Connection({
      socket,
      client,
      context,
      limits: this.#limits,
      dispatcher: this.#dispatcher,
      counters: this.#counters,
      wake: (connection) => this.#wake(connection),
    });
  }

  #onData(connection: Connection, socket: Socket, chunk: string): void {
    const before = connection.unfinishedInput;
    connection.receive(chunk);
    this.#unfinishedInput += connection.unfinishedInput - before;
    if (this.#unfinishedInput <= this.#limits.unfinishedBytesMax) return;
    // All clients together hold too much of commands that are not whole: the one that adds to it is closed.
    this.#counters.inputOverflows += 1;
    socket.destroy();
  }

  #onClose(connection: Connection): void {
    this.#unfinishedInput -= connection.unfinishedInput;
    this.#connections.delete(connection);
    this.#counters.connections = this.#connections.size;
    connection.onClose();
  }

  #wake(connection: Connection): void {
    this.#woken.add(connection);
    if (this.#turnIsDue) return;
    this.#turnIsDue = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#turnIsDue = false;
    const woken = this.#woken;
    this.#woken = new Set();
    for (const connection of woken) connection.advance();
    this.#dispatcher.send();
    for (const connection of woken) connection.flush();
  }

  async #close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const connection of this.#connections.keys()) connection.end();
    const timer = setTimeout(() => {
      for (const socket of this.#connections.values()) socket.destroy();
    }, closeMs);
    await closed;
    clearTimeout(timer);
  }
}
