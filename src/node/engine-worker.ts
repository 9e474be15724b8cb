/**
 * The thread of a replica's ordering engine: its log, its links and its listener for other replicas, over this machine's ports.
 *
 * Owns: the order of opening and closing on this side, and that what one turn has to tell goes over in one message. Leaves to others: what is
 * done (`replica/engine-side.ts`), the host's end (`engine-thread.ts`). What nobody expected ends the thread, and with it the replica.
 */
import { parentPort, workerData } from "node:worker_threads";
import type { RaftLimits } from "../api/config.js";
import { invariant, unreachable } from "../base/invariant.js";
import { foundIn } from "../replica/open-replica.js";
import type { EngineListener, EngineSide } from "../replica/engine-side.js";
import { openEngineLog, startEngine, type EnginePorts, type EngineStart } from "../replica/open-engine.js";
import type { OpenedLog } from "../storage/wal.js";
import { createNodeClock } from "./clock.js";
import { nodeDisk } from "./disk.js";
import {
  packed,
  type EngineTask,
  type FromEngineThread,
  type Happening,
  type ToEngineThread,
} from "./engine-messages.js";
import { watchTurns } from "./event-loop.js";
import { nodeHash } from "./hash.js";
import { accepted, listen, nodeNetwork, type Listener } from "./network.js";

/**
 * A leader whose host is held for so many election time-outs gives its place away: nobody else would take it, since its heartbeats go on, and
 * nothing would be ordered.
 */
const hostHeldTimeouts = 5;

/** How often the host is told the engine's figures: those in a status are at most so old. */
const figuresMs = 100;

/** Of an instruction that no operator waits for. */
const unaskedId = 0;

const host = parentPort;
invariant(host !== null, "the engine's thread has a host");
const ports: EnginePorts = { clock: createNodeClock(), disk: nodeDisk, network: nodeNetwork, hash: nodeHash };

function tell(message: FromEngineThread): void {
  host?.postMessage(message);
}

class EngineWorker {
  readonly #log: OpenedLog;
  readonly #hostTicks: Int32Array;
  #hostTicksSeen = 0;
  #hostMovedAt = 0;
  #side: EngineSide | undefined;
  #listener: Listener | undefined;
  #happened: Happening[] = [];
  #cancelTick: () => void = () => {};
  #figuresToldAt = -Infinity;
  #isStopped = false;

  constructor(log: OpenedLog, { hostTicks }: EngineTask) {
    this.#log = log;
    this.#hostTicks = hostTicks;
  }

  handle(message: ToEngineThread): void {
    switch (message.kind) {
      case "start":
        return this.#start(message.start, message.address);
      case "turn":
        return this.#side?.handle(message.messages);
      case "stop":
        return this.#stop();
      case "close":
        this.#stop();
        return this.#log.log.close(() => tell({ kind: "closed" }));
      default:
        return unreachable(message);
    }
  }

  #start(start: EngineStart, address: string): void {
    const listener: EngineListener = {
      toHost: (message) => this.#tellLater(message),
      membersChanged: () => {
        if (this.#side !== undefined) this.#tellLater({ kind: "members", membership: this.#side.membership });
      },
      peerChanged: (peer, isConnected, cause) => this.#tellLater({ kind: "peer", peer, isConnected, cause }),
      dropped: (reason, detail) => this.#tellLater({ kind: "dropped", reason, detail }),
    };
    const side = startEngine(this.#log, start, ports, listener);
    this.#side = side;
    listener.membersChanged();
    this.#tellFigures(side);
    this.#hostMovedAt = ports.clock.monotonic();
    this.#scheduleTick(side, start.limits.raft);
    listen(address, (socket) => side.acceptPeer(accepted(socket))).then(
      (opened) => {
        this.#listener = opened;
        if (this.#isStopped) opened.close();
        tell({ kind: "listening" });
      },
      (cause: Error) => tell({ kind: "notListening", message: cause.message, code: codeOf(cause.cause) }),
    );
  }

  #stop(): void {
    this.#isStopped = true;
    this.#cancelTick();
    this.#listener?.close();
    this.#side?.stop();
  }

  #scheduleTick(side: EngineSide, limits: RaftLimits): void {
    this.#cancelTick = ports.clock.after(limits.tickMs, () => {
      this.#scheduleTick(side, limits);
      side.tick();
      this.#watchHost(side, limits);
      if (ports.clock.monotonic() - this.#figuresToldAt >= figuresMs) this.#tellFigures(side);
    });
  }

  #watchHost(side: EngineSide, { electionTimeoutMsMax }: RaftLimits): void {
    const now = ports.clock.monotonic();
    const ticks = Atomics.load(this.#hostTicks, 0);
    if (ticks !== this.#hostTicksSeen) [this.#hostTicksSeen, this.#hostMovedAt] = [ticks, now];
    if (now - this.#hostMovedAt < hostHeldTimeouts * electionTimeoutMsMax) return;
    // Asked again after as long, should it come to nothing.
    this.#hostMovedAt = now;
    if (!side.driver.isLeading) return;
    this.#tellLater({ kind: "dropped", reason: "leadership", detail: "the thread of the host is held for too long" });
    side.handle([{ kind: "instruct", id: unaskedId, instruction: { kind: "transfer", to: undefined } }]);
  }

  #tellFigures(side: EngineSide): void {
    this.#figuresToldAt = ports.clock.monotonic();
    tell({ kind: "figures", figures: side.figures() });
  }

  #tellLater(happening: Happening): void {
    if (this.#happened.length === 0) ports.clock.atTurnEnd(() => this.#tellNow());
    this.#happened.push(happening);
  }

  #tellNow(): void {
    const { messages, buffers } = packed(this.#happened);
    this.#happened = [];
    host?.postMessage({ kind: "turn", happened: messages } satisfies FromEngineThread, buffers);
  }
}

function codeOf(cause: unknown): string | undefined {
  return cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined;
}

const task = workerData as EngineTask;
if (task.turns !== undefined) watchTurns(task.turns);
const log = openEngineLog(task, ports);
if (log.kind === "refused") {
  tell(log);
} else {
  const worker = new EngineWorker(log, task);
  host.on("message", (message: ToEngineThread) => worker.handle(message));
  tell({ kind: "opened", found: foundIn(log) });
}
