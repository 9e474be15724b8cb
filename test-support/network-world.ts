/** Processes on hosts of a simulated network, and ends of connections that keep what they were told and refuse what they must not be. */
import type { Connection, ConnectionHandlers, Network } from "../src/ports/network.js";
import { SimProcess } from "../src/sim/process.js";
import { Scheduler } from "../src/sim/scheduler.js";
import { SimNetwork, type SimNetworkOptions } from "../src/sim/sim-network.js";

/** Delays without any spread, so that a test can count milliseconds. */
export const even = { delayMsMin: 1, delayMsMax: 1 };

export class World {
  readonly scheduler: Scheduler;
  readonly network: SimNetwork;
  readonly throws: Error[] = [];
  #names = 0;

  constructor(seed = 1, options: SimNetworkOptions = { path: even }) {
    this.scheduler = new Scheduler(seed);
    this.network = new SimNetwork(this.scheduler, options);
  }

  process(host: string): Party {
    this.#names += 1;
    const process = new SimProcess(this.scheduler, `${host}.${this.#names}`, {
      turnMsMax: 0.1,
      onThrow: (cause) => {
        this.throws.push(cause instanceof Error ? cause : new Error(String(cause)));
      },
    });
    return new Party(this, process, this.network.attach(process, host));
  }

  advance(milliseconds: number): void {
    const until = this.scheduler.now + milliseconds;
    while (this.scheduler.step(until));
    const [thrown] = this.throws;
    if (thrown !== undefined) throw thrown;
  }
}

export class Party {
  readonly world: World;
  readonly process: SimProcess;
  readonly port: Network;
  /** What it accepted, in order. */
  readonly accepted: End[] = [];

  constructor(world: World, process: SimProcess, port: Network) {
    this.world = world;
    this.process = process;
    this.port = port;
  }

  dial(address: string): End {
    return new End(this.world, (handlers) => this.port.connect(address, handlers));
  }

  listen(address: string): boolean {
    return this.world.network.listen(this.process, address, (connect) =>
      this.accepted.push(new End(this.world, connect)),
    );
  }

  get first(): End {
    const [first] = this.accepted;
    if (first === undefined) throw new Error("nothing was accepted");
    return first;
  }

  end(how: "killed" | "hostLost"): void {
    this.process.kill();
    this.world.network.onProcessEnd(this.process, how);
  }
}

/** One end of a connection, with everything that its handlers were told, and a check that they are never told it from within. */
export class End {
  readonly connection: Connection;
  readonly events: string[] = [];
  readonly times: number[] = [];
  readonly #chunks: Uint8Array[] = [];
  readonly #world: World;
  #isInside = true;
  onReceived: (bytes: Uint8Array) => void = () => {};

  constructor(world: World, connect: (handlers: ConnectionHandlers) => Connection) {
    this.#world = world;
    this.connection = connect({
      opened: () => this.#told("opened"),
      received: (bytes) => {
        this.#chunks.push(bytes);
        this.#told(`received ${bytes.length}`, () => this.onReceived(bytes));
      },
      drained: () => this.#told("drained"),
      closed: (cause) => this.#told(`closed: ${cause}`),
    });
    this.#isInside = false;
  }

  send(bytes: Uint8Array): void {
    this.#within(() => this.connection.send(bytes));
  }

  close(reason: "done" | "broken"): void {
    this.#within(() => this.connection.close(reason));
  }

  pauseReading(): void {
    this.#within(() => this.connection.pauseReading());
  }

  resumeReading(): void {
    this.#within(() => this.connection.resumeReading());
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  get firstByte(): number | undefined {
    return this.#chunks[0]?.[0];
  }

  get text(): string {
    return this.bytes.toString();
  }

  get last(): string {
    return this.events.at(-1) ?? "nothing";
  }

  count(event: string): number {
    return this.events.filter((other) => other.startsWith(event)).length;
  }

  #within(run: () => void): void {
    this.#isInside = true;
    run();
    this.#isInside = false;
  }

  #told(event: string, then: () => void = () => {}): void {
    if (this.#isInside) throw new Error(`${event} was told from within a call`);
    if (this.last.startsWith("closed")) throw new Error(`${event} was told after ${this.last}`);
    this.events.push(event);
    this.times.push(this.#world.scheduler.now);
    then();
  }
}

export interface Pair {
  readonly world: World;
  readonly here: Party;
  readonly there: Party;
  readonly near: End;
  readonly far: End;
}

/** Two hosts, and a connection between them that is open at both ends. */
export function pair(world = new World()): Pair {
  const here = world.process("a");
  const there = world.process("b");
  there.listen("b:1");
  const near = here.dial("b:1");
  for (let tries = 0; tries < 200 && near.events.length === 0; tries += 1) world.advance(50);
  if (near.last !== "opened") throw new Error(`a connection did not open: ${near.last}`);
  return { world, here, there, near, far: there.first };
}

export function bytesOf(text: string): Uint8Array {
  return Buffer.from(text);
}
