/**
 * The network of a simulated world: the `Network` port for each of its processes, over paths that fail in every way known.
 *
 * Owns: hosts, listeners, dialing, and faults that hit connections from outside (resets, ends of processes and hosts). Leaves to
 * others: paths (`network-paths.ts`), ends (`sim-connection.ts`), delivery (`sim-stream.ts`). Called by whoever builds a world and
 * by its nemesis.
 *
 * A path is directed: what is blocked one way still gets through the other way. A process on the host that it talks to uses the
 * loopback, which fails only if told so.
 */
import { invariant } from "../base/invariant.js";
import { nextBetween } from "../base/random.js";
import type { Connection, Network } from "../ports/network.js";
import { calmPath, Path, type NetworkStatistics, type PathSettings } from "./network-paths.js";
import type { SimProcess } from "./process.js";
import type { Scheduler } from "./scheduler.js";
import { SimConnection, type Accept, type Dialer, type SimHost } from "./sim-connection.js";
import type { StreamWorld } from "./sim-stream.js";

export interface SimNetworkOptions {
  /** Where a path differs from a calm local network, unless `setPath` says otherwise. */
  readonly path?: Partial<PathSettings>;
  readonly packetBytesMax?: number;
  readonly windowBytes?: number;
}

interface Listener {
  readonly process: SimProcess;
  readonly accept: Accept;
}

const loopback: PathSettings = { ...calmPath, delayMsMin: 0.01, delayMsMax: 0.05 };
/** An opening is tried again after this, then after twice the time, and so on. */
const openingRetryMs = 1000;
const openingMsMax = 10_000;
const openingBytes = 60;

export class SimNetwork {
  readonly #world: StreamWorld;
  readonly #base: PathSettings;
  readonly #hosts = new Map<string, SimHost>();
  readonly #hostOf = new Map<SimProcess, SimHost>();
  /** Who is reached in the place of a host by those whose packets to it vanish. */
  readonly #standIns = new Map<string, string>();
  readonly #listeners = new Map<string, Listener>();
  /** By `from>to`. */
  readonly #paths = new Map<string, Path>();
  readonly #connections = new Set<SimConnection>();
  readonly #statistics = noStatistics();

  constructor(scheduler: Scheduler, options: SimNetworkOptions = {}) {
    const { path, packetBytesMax = 64 * 1024, windowBytes = 256 * 1024 } = options;
    invariant(packetBytesMax > 0 && packetBytesMax <= windowBytes, "a packet fits into the window");
    this.#base = { ...calmPath, ...path };
    this.#world = { scheduler, statistics: this.#statistics, packetBytesMax, windowBytes };
  }

  get statistics(): Readonly<NetworkStatistics> {
    return this.#statistics;
  }

  /** The port of a process that runs on this host, which is up from now on. */
  attach(process: SimProcess, host: string): Network {
    const on = this.#hostNamed(host);
    on.isUp = true;
    this.#hostOf.set(process, on);
    return { connect: (address, handlers) => this.#connect({ process, host: on, handlers }, address) };
  }

  /** Whoever dials the one, and cannot reach it, reaches the other at the same port: two hosts behind one address. */
  standIn(host: string, other: string): void {
    this.#standIns.set(host, other);
  }

  /** False if a living process listens there, or this one lives no more. Ends with the process. */
  listen(process: SimProcess, address: string, accept: Accept): boolean {
    if (!process.isAlive) return false;
    invariant(this.#hostOf.get(process)?.name === hostIn(address), "a process listens on its own host");
    if (this.#listenerAt(address) !== undefined) return false;
    this.#listeners.set(address, { process, accept });
    return true;
  }

  /**
   * A killed process leaves a host that resets its connections. With its host lost nobody is told, and packets to it vanish until
   * a process is attached there again; to be called for every process of that host.
   */
  onProcessEnd(process: SimProcess, how: "killed" | "hostLost"): void {
    const host = this.#hostOf.get(process);
    if (how === "hostLost" && host !== undefined) host.isUp = false;
    this.#hostOf.delete(process);
    for (const [address, listener] of [...this.#listeners]) {
      if (listener.process === process) this.#listeners.delete(address);
    }
    for (const connection of [...this.#connections]) {
      for (const end of connection.ends) {
        if (end.process !== process) continue;
        if (how === "killed") end.wasKilled();
        else end.wasLost();
      }
    }
  }

  /** Changes a path from now on; what is not named stays, so that a block or a clog comes and goes without touching the rest. */
  setPath(from: string, to: string, changes: Partial<PathSettings>): void {
    this.#path(from, to).change(changes);
  }

  /** Every path is as the network began, blocks and clogs lifted. */
  resetPaths(): void {
    for (const [name, path] of this.#paths) path.change(this.#baseOf(name));
  }

  pathOf(from: string, to: string): PathSettings {
    return this.#path(from, to).settings;
  }

  /** Resets every connection between two hosts, at both ends. */
  reset(one: string, other: string): void {
    for (const connection of [...this.#connections]) {
      const from = connection.dialer.host.name;
      const to = connection.target.name;
      if ((from === one && to === other) || (from === other && to === one)) connection.reset();
    }
  }

  /** Resets one open connection, drawn by the seed; false if there is none. */
  resetOne(): boolean {
    const open = [...this.#connections].filter(({ isOpen }) => isOpen);
    if (open.length === 0) return false;
    open[nextBetween(this.#world.scheduler.random("network resets"), 0, open.length - 1)]?.reset();
    return true;
  }

  /** A line for each connection that a process still has, in the order in which they were dialed. */
  describe(): readonly string[] {
    return [...this.#connections]
      .filter(({ ends }) => ends.some(({ isClosed }) => !isClosed))
      .map((connection) => connection.describe());
  }

  #connect(dialer: Dialer, dialed: string): Connection {
    const address = this.#reachedAt(dialer.host.name, dialed);
    const host = this.#hostNamed(hostIn(address));
    const path = this.#path(dialer.host.name, host.name);
    const back = this.#path(host.name, dialer.host.name);
    const target = { address, host, path, back };
    const connection = new SimConnection(this.#world, dialer, target, (over) => this.#connections.delete(over));
    this.#connections.add(connection);
    // Who was killed in this very turn may dial once more before the turn is over.
    if (this.#hostOf.get(dialer.process) === dialer.host) this.#open(connection, { path, back }, openingRetryMs);
    else connection.dialer.wasLost();
    return connection.dialer;
  }

  #reachedAt(from: string, address: string): string {
    const host = hostIn(address);
    const other = this.#standIns.get(host);
    if (other === undefined || !this.pathOf(from, host).isBlocked) return address;
    return `${other}${address.slice(host.length)}`;
  }

  /** Asks for the connection, and again until there is an answer. */
  #open(connection: SimConnection, paths: { readonly path: Path; readonly back: Path }, waitMs: number): void {
    const { dialer } = connection;
    if (dialer.isEstablished || dialer.isGone) return;
    // All waits before this one add up to its length less the first.
    const leftMs = openingMsMax - (waitMs - openingRetryMs);
    if (leftMs <= 0) return dialer.gaveUp();
    const arrive = (): void => this.#arrived(connection, paths.back);
    paths.path.carry({ sizeBytes: openingBytes, arrive, missed: () => {} });
    this.#world.scheduler.after(Math.min(waitMs, leftMs), () => this.#open(connection, paths, waitMs * 2));
  }

  /** Somebody's first packet has reached the host that it is meant for. */
  #arrived(connection: SimConnection, back: Path): void {
    const { acceptor, address, dialer, target } = connection;
    if (!target.isUp || acceptor !== undefined) return;
    const listener = this.#listenerAt(address);
    if (listener === undefined) {
      this.#statistics.refused += 1;
      back.carry({ sizeBytes: openingBytes, arrive: () => dialer.refused(), missed: () => {} });
      return;
    }
    // The dialer may have given up meanwhile, and then this end is what is left of it.
    this.#connections.add(connection);
    connection.accept(listener.process, listener.accept);
  }

  #listenerAt(address: string): Listener | undefined {
    const listener = this.#listeners.get(address);
    return listener?.process.isAlive === true ? listener : undefined;
  }

  #hostNamed(name: string): SimHost {
    let host = this.#hosts.get(name);
    if (host === undefined) {
      host = { name, isUp: true };
      this.#hosts.set(name, host);
    }
    return host;
  }

  #path(from: string, to: string): Path {
    const name = `${from}>${to}`;
    let path = this.#paths.get(name);
    if (path === undefined) {
      path = new Path(this.#world.scheduler, name, this.#baseOf(name), this.#statistics);
      this.#paths.set(name, path);
    }
    return path;
  }

  #baseOf(path: string): PathSettings {
    const [from, to] = path.split(">");
    return from === to ? loopback : this.#base;
  }
}

/** The part of `host:port` before the port. */
function hostIn(address: string): string {
  const at = address.lastIndexOf(":");
  invariant(at > 0, "an address is host:port");
  return address.slice(0, at);
}

function noStatistics(): NetworkStatistics {
  return {
    packets: 0,
    retransmitted: 0,
    lost: 0,
    blockedDrops: 0,
    heldByClog: 0,
    duplicated: 0,
    reordered: 0,
    arrivedEarly: 0,
    duplicatesDropped: 0,
    deliveredBytes: 0,
    refused: 0,
    resets: 0,
    timedOut: 0,
  };
}
