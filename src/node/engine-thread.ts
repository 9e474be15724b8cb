/**
 * A replica whose ordering engine runs on a thread of its own: a slow command cannot delay its heartbeats, nor its log.
 *
 * Owns: the thread, and its end of the conversation with `engine-worker.ts`. Leaves to others: the host (`replica/replica.ts`), to which
 * this is an engine like any other. A thread that ends by itself has failed, and so has the replica.
 */
import { Worker } from "node:worker_threads";
import type { LowLevelMachine } from "../api/low-level.js";
import { InvariantViolation, unreachable } from "../base/invariant.js";
import { noIndex, type ReplicaId } from "../model/ids.js";
import type { Membership } from "../model/membership.js";
import { DiskError, type DiskErrorCode } from "../ports/disk.js";
import type { ToEngine } from "../replica/channel.js";
import type { EngineFigures, EngineListener } from "../replica/engine-side.js";
import { orderedByRaft } from "../replica/host-ordering.js";
import type { EngineStart, OpenLogOptions } from "../replica/open-engine.js";
import {
  logOptionsOf,
  openDirectory,
  openHost,
  type FoundLog,
  type OpenedReplica,
  type OpenRefused,
  type OpenReplicaOptions,
  type ReplicaPorts,
} from "../replica/open-replica.js";
import type { OrderingEngine, ReplicaObserver } from "../replica/replica.js";
import {
  packed,
  type EngineTask,
  type FromEngineThread,
  type Happening,
  type ToEngineThread,
} from "./engine-messages.js";
import type { LongestTurns } from "./event-loop.js";

/** As `openReplica`; the engine listens for other replicas at `peerAddress` once `core.engine.listening` has resolved. */
export async function openReplicaOnThreads(
  machine: LowLevelMachine,
  options: OpenReplicaOptions & { readonly peerAddress: string; readonly engineTurns?: LongestTurns | undefined },
  ports: ReplicaPorts,
  observer: ReplicaObserver,
): Promise<OpenedReplica<EngineThread> | OpenRefused> {
  const directory = openDirectory(machine, options, ports);
  if (directory.kind === "refused") return directory;
  const thread = new EngineThread(logOptionsOf(options, directory), options.engineTurns);
  try {
    const log = await thread.opened;
    const opened =
      log.kind === "refused"
        ? log
        : openHost(
            machine,
            options,
            { ports, observer, directory, found: log.found, ordering: orderedByRaft() },
            (start, listener) => {
              thread.start(start, options.peerAddress, listener);
              return thread;
            },
          );
    if (opened.kind === "opened") return opened;
    if (log.kind === "opened") await new Promise<void>((resolve) => thread.close(resolve));
    directory.release();
    return opened;
  } catch (cause) {
    await thread.end();
    directory.release();
    throw cause;
  }
}

type Opened = { readonly kind: "opened"; readonly found: FoundLog };

class EngineThread implements OrderingEngine {
  /** Rejects with `DiskError` if the disk fails. */
  readonly opened: Promise<Opened | OpenRefused>;
  /** Rejects if the address cannot be listened on. */
  readonly listening: Promise<void>;
  readonly #worker: Worker;
  #listener: EngineListener | undefined;
  #membership: Membership = { members: [] };
  readonly #connected = new Set<ReplicaId>();
  #figures: EngineFigures = noFigures;
  #waiting: ToEngine[] = [];
  readonly #ticks = new Int32Array(new SharedArrayBuffer(4));
  #isEnding = false;
  #hasEnded = false;
  #settleOpened: Settle<Opened | OpenRefused> = unsettled;
  #settleListening: Settle<void> = unsettled;
  #closed: (() => void) | undefined;

  constructor(task: OpenLogOptions, turns: LongestTurns | undefined) {
    this.opened = new Promise((resolve, reject) => (this.#settleOpened = { resolve, reject }));
    this.listening = new Promise((resolve, reject) => (this.#settleListening = { resolve, reject }));
    // Nobody waits for it when the opening fails.
    this.listening.catch(() => undefined);
    this.#worker = new Worker(new URL("./engine-worker.js", import.meta.url), {
      workerData: { ...task, hostTicks: this.#ticks, turns } satisfies EngineTask,
    });
    this.#worker.on("message", (message: FromEngineThread) => this.#receive(message));
    this.#worker.on("error", (cause: Error) => this.#failed(cause));
    this.#worker.on("exit", (code) => this.#failed(new Error(`it ended with code ${code}`)));
  }

  get membership(): Membership {
    return this.#membership;
  }

  get connected(): readonly ReplicaId[] {
    return [...this.#connected];
  }

  figures(): EngineFigures {
    return this.#figures;
  }

  start(start: EngineStart, address: string, listener: EngineListener): void {
    this.#membership = start.founders;
    this.#listener = listener;
    this.#post({ kind: "start", start, address });
  }

  handle(batch: readonly ToEngine[]): void {
    this.#waiting.push(...batch);
    // How far execution is matters only to an engine that has much on its way to it: that may wait for a tick, and wakes nobody.
    if (batch.some(({ kind }) => kind !== "appliedUpTo")) this.#hand();
  }

  /** The thread has a clock of its own: this tells it that the host's thread is not held. */
  tick(): void {
    Atomics.add(this.#ticks, 0, 1);
    if (this.#waiting.length > 0) this.#hand();
  }

  stop(): void {
    this.#post({ kind: "stop" });
  }

  close(done: () => void): void {
    this.#isEnding = true;
    if (this.#hasEnded) return done();
    this.#closed = done;
    this.#post({ kind: "close" });
  }

  /** Whatever it is doing: its log should have been closed. */
  async end(): Promise<void> {
    this.#isEnding = true;
    await this.#worker.terminate();
  }

  #hand(): void {
    const { messages, buffers } = packed(this.#waiting);
    this.#waiting = [];
    this.#post({ kind: "turn", messages }, buffers);
  }

  #post(message: ToEngineThread, buffers?: ArrayBuffer[]): void {
    this.#worker.postMessage(message, buffers);
  }

  #receive(message: FromEngineThread): void {
    switch (message.kind) {
      case "opened":
      case "refused":
        return this.#settleOpened.resolve(message);
      case "listening":
        return this.#settleListening.resolve();
      case "notListening":
        return this.#settleListening.reject(
          new Error(message.message, { cause: Object.assign(new Error(message.message), { code: message.code }) }),
        );
      case "turn":
        for (const happening of message.happened) this.#happen(happening);
        return;
      case "figures":
        this.#figures = message.figures;
        return;
      case "closed":
        return void this.end();
      default:
        return unreachable(message);
    }
  }

  #happen(happening: Happening): void {
    const listener = this.#listener;
    if (listener === undefined) return;
    switch (happening.kind) {
      case "members":
        this.#membership = happening.membership;
        return listener.membersChanged();
      case "peer":
        if (happening.isConnected) this.#connected.add(happening.peer);
        else this.#connected.delete(happening.peer);
        return listener.peerChanged(happening.peer, happening.isConnected, happening.cause);
      case "dropped":
        return listener.dropped(happening.reason, happening.detail);
      default:
        return listener.toHost(happening);
    }
  }

  #failed(found: Error): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    const cause = restored(found);
    this.#settleOpened.reject(cause);
    this.#settleListening.reject(cause);
    if (this.#isEnding) return this.#closed?.();
    const reason = `the thread of the ordering engine failed: ${cause.stack ?? cause.message}`;
    this.#listener?.toHost({ kind: "broken", reason, isDisowned: false });
  }
}

interface Settle<Value> {
  resolve(value: Value): void;
  reject(cause: Error): void;
}

const unsettled: Settle<unknown> = { resolve: () => {}, reject: () => {} };

/** An error that has crossed threads is of no class of ours any more. */
function restored(cause: Error): Error {
  if (cause.name === "DiskError" && "code" in cause) return new DiskError(cause.code as DiskErrorCode, cause.message);
  if (cause.name === "InvariantViolation") return new InvariantViolation(cause.message, { cause });
  return cause;
}

/** Until the engine has told its own. */
const noFigures: EngineFigures = {
  lastIndex: noIndex,
  commitIndex: noIndex,
  entriesProposed: 0,
  logStart: noIndex,
  isWhole: true,
  log: { writes: 0, syncs: 0, bytesWritten: 0, syncSeconds: { bounds: [], counts: [0], sum: 0 } },
  followers: new Map(),
  traffic: { sent: 0, received: 0, queued: new Map() },
};
