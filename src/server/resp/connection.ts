/**
 * One Redis client: its bytes in, its commands in their order, its replies out.
 *
 * Owns: program order. A client sees its commands take effect one after another, however many it sends at once. Leaves to others:
 * packing with other clients (`dispatcher.ts`), transactions (`transaction.ts`), what commands do. Made and woken by `listener.ts`; a
 * turn is `advance`, then the dispatcher sends, then `flush`.
 *
 * Commands are gathered into a run. A run of reads is a query; a run with a write in it is ordered whole, so a mixed pipeline costs
 * one request instead of many:
 *
 *     out now \ next run    reads     plain writes    other ordered runs, EXEC
 *     nothing               send      send            send
 *     plain writes          wait      send            send       (the door executes in the order of sending)
 *     anything else         wait      wait            wait
 *
 * Invariants: RC1 replies leave in the order of commands. RC2 what is held for a client is bounded: nothing is read from it while `#isFull`.
 */
import type { Socket } from "node:net";
import { findCommand, hasArity, isBulky, unknownCommand, wrongArity } from "../../services/kv/redis.js";
import type { CommandRow, Reply } from "../../services/kv/redis.js";
import { linearizable, type ClientState } from "./client-state.js";
import type { MutableCounters } from "./counters.js";
import type { ReadLevel } from "../../model/request.js";
import type { Dispatcher, Run } from "./dispatcher.js";
import type { RespLimits } from "./limits.js";
import { findLocalCommand, type LocalCommand, type LocalContext } from "./local-commands.js";
import type { Settled } from "./outcomes.js";
import { RespParser, type Argv } from "./parser.js";
import { encodeError } from "./reply-text.js";
import { MutedSlot, Slot, WatchSlot } from "./slot.js";
import { execAborted, mergeReplies, TransactionState } from "./transaction.js";

export interface ConnectionParts {
  readonly socket: Socket;
  readonly client: ClientState;
  readonly context: LocalContext;
  readonly limits: RespLimits;
  readonly dispatcher: Dispatcher;
  readonly counters: MutableCounters;
  /** Asks for a turn. */
  readonly wake: (connection: Connection) => void;
}

/** What the next run consists of so far. */
interface Gathering {
  readonly commands: Argv[];
  readonly slots: Slot[];
  bytes: number;
  writes: boolean;
  bulky: boolean;
  /** Versions are read between entries of the log only, so these commands cannot be ordered. */
  watches: boolean;
  readonly read: ReadLevel;
}

/** How long a client may take to close its side after ours. */
const lingerMs = 1_000;

/** An allowance for what an argument costs beside its characters. */
const argumentBytes = 8;

export class Connection {
  readonly client: ClientState;
  readonly #parts: ConnectionParts;
  readonly #parser: RespParser;
  readonly #transaction: TransactionState;
  #backlog: Argv[] = [];
  #backlogAt = 0;
  #slots: Slot[] = [];
  #slotsAt = 0;
  /** Characters of replies that the door made itself and that wait behind others. */
  #waitingChars = 0;
  #gathering: Gathering | undefined;
  /** Plain runs sent and not answered. */
  #plainOut = 0;
  /** A query, a bulky run or a transaction is out: nothing else is sent. */
  #isBlocked = false;
  #outputIsFull = false;
  #isReading = true;
  /** No further command is taken; the connection ends once all replies are out. */
  #isEnding = false;
  #isClosed = false;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
    this.client = parts.client;
    this.#parser = new RespParser(parts.limits);
    this.#transaction = new TransactionState(parts.limits);
  }

  /** Characters received that do not make a command yet. */
  get unfinishedInput(): number {
    return this.#parser.waitingChars;
  }

  receive(chunk: string): void {
    if (this.#isEnding) return;
    this.#parser.push(chunk);
    for (let parsed = this.#parser.next(); parsed !== undefined; parsed = this.#parser.next()) {
      if (parsed.kind === "protocolError") {
        this.#parts.counters.protocolErrors += 1;
        this.#backlog.push(["", parsed.message]);
        break;
      }
      this.#backlog.push(parsed.argv);
    }
    this.#parts.wake(this);
  }

  /** Takes commands as far as order and limits allow, and hands runs to the dispatcher. */
  advance(): void {
    while (!this.#isEnding && !this.#isFull && this.#backlogAt < this.#backlog.length) {
      const argv = this.#backlog[this.#backlogAt] ?? [];
      if (!this.#take(argv)) break;
      this.#backlogAt += 1;
      this.#parts.counters.commands += 1;
    }
    if (this.#backlogAt === this.#backlog.length) {
      this.#backlog = [];
      this.#backlogAt = 0;
    }
    this.#sendGathered();
    this.#adjustReading();
  }

  /** Writes all replies whose turn has come, in one piece. */
  flush(): void {
    let text = "";
    for (; this.#slotsAt < this.#slots.length; this.#slotsAt += 1) {
      const reply = this.#slots[this.#slotsAt]?.text;
      if (reply === undefined) break;
      text += reply;
    }
    const hasMoved = this.#slotsAt > 0;
    this.#forgetSlots();
    if (this.#isClosed) return;
    const { socket, limits } = this.#parts;
    if (text !== "") socket.write(text, "latin1");
    this.#outputIsFull = socket.writableLength > limits.outputBytesMax;
    this.#adjustReading();
    if (this.#isEnding && this.#slots.length === 0) this.#finish();
    // Room was made for commands that `advance` had to leave.
    else if (hasMoved && !this.#isFull && this.#backlogAt < this.#backlog.length) this.#parts.wake(this);
  }

  /** A client that never closes its own side is not waited for: closing at once could cut off what it has not read. */
  #finish(): void {
    const { socket } = this.#parts;
    if (socket.writableEnded) return;
    socket.end(() => setTimeout(() => socket.destroy(), lingerMs).unref());
  }

  /** The socket has taken all that was written. */
  onDrain(): void {
    this.#outputIsFull = false;
    this.#parts.wake(this);
  }

  /** Takes no further command; what was taken is answered. */
  end(): void {
    this.#isEnding = true;
    this.#parts.wake(this);
  }

  onClose(): void {
    this.#isClosed = true;
    this.#isEnding = true;
    this.#backlog = [];
    this.#backlogAt = 0;
    this.#transaction.close();
  }

  get #isFull(): boolean {
    const { outputBytesMax, backlogCountMax } = this.#parts.limits;
    return this.#outputIsFull || this.#slots.length >= backlogCountMax || this.#waitingChars > outputBytesMax;
  }

  #adjustReading(): void {
    const { socket, limits } = this.#parts;
    const mayRead = !this.#outputIsFull && this.#backlog.length - this.#backlogAt < limits.backlogCountMax;
    if (mayRead === this.#isReading || this.#isClosed) return;
    this.#isReading = mayRead;
    if (mayRead) socket.resume();
    else socket.pause();
  }

  /** Whether the command was taken; if not, it is tried again when something has been answered. */
  #take(argv: Argv): boolean {
    const name = argv[0] ?? "";
    const row = findCommand(name);
    if (row !== undefined && row.name !== "watch") {
      if (!hasArity(row, argv.length)) return this.#refuse(wrongArity(row.name));
      return this.#transaction.isOpen ? this.#queue(argv, undefined) : this.#gather(argv, row);
    }
    const lowerName = name.slice(0, 32).toLowerCase();
    const local = findLocalCommand(lowerName);
    if (local === undefined) return this.#takeControl(lowerName, argv);
    if (local.arity < 0 ? argv.length < -local.arity : argv.length !== local.arity) {
      return this.#refuse(wrongArity(local.name));
    }
    return this.#transaction.isOpen ? this.#queue(argv, local) : this.#answerLocally(local, argv);
  }

  #takeControl(name: string, argv: Argv): boolean {
    const isControl = ["multi", "exec", "discard", "unwatch", "reset"].includes(name);
    if (isControl && argv.length !== 1) return this.#refuse(wrongArity(name));
    switch (name) {
      case "":
        return this.#endWith(argv);
      case "multi":
        return this.#multi();
      case "exec":
        return this.#exec();
      case "discard":
        return this.#discard();
      case "watch":
        return this.#watch(argv);
      case "unwatch":
        return this.#unwatch(argv);
      case "reset":
        return this.#reset();
      case "quit":
        this.#answer(true);
        this.#isEnding = true;
        return true;
      default:
        return this.#refuse(unknownCommand(argv));
    }
  }

  /** A protocol error was put into the backlog as a command without a name, so that it is told in its turn. */
  #endWith(argv: Argv): boolean {
    const [, message] = argv;
    if (message?.startsWith("Protocol error") !== true) return this.#refuse(unknownCommand(argv));
    const slot = this.#newSlot();
    slot.text = encodeError(`ERR ${message}`);
    this.#isEnding = true;
    return true;
  }

  #answerLocally(local: LocalCommand, argv: Argv): boolean {
    const reply = local.run(this.#parts.context, argv);
    // Made after running: HELLO's own reply is in the protocol it asks for.
    if (reply !== undefined) this.#answer(reply);
    return true;
  }

  #answer(reply: Reply): void {
    const slot = this.#newSlot();
    slot.take(reply);
    this.#waitingChars += slot.text?.length ?? 0;
  }

  /** An error found before anything was sent on; within MULTI it spoils the transaction. */
  #refuse(reply: Reply): true {
    this.#answer(reply);
    if (this.#transaction.isOpen) this.#transaction.fail();
    return true;
  }

  #newSlot(): Slot {
    const slot = this.#isMuted() ? new MutedSlot(this.client.protocol) : new Slot(this.client.protocol);
    this.#slots.push(slot);
    return slot;
  }

  /** CLIENT REPLY SKIP silences one command. */
  #isMuted(): boolean {
    if (this.client.replies === "on") return false;
    if (this.client.replies === "skipNext") this.client.replies = "on";
    return true;
  }

  #gather(argv: Argv, row: CommandRow): boolean {
    const writes = row.access !== "read";
    let bytes = 0;
    for (const argument of argv) bytes += argument.length + argumentBytes;
    if (!this.#hasRoom(bytes, writes)) return false;
    const gathering = this.#gatheringNow();
    gathering.commands.push(argv);
    gathering.slots.push(this.#newSlot());
    gathering.bytes += bytes;
    if (writes) gathering.writes = true;
    if (isBulky(row, argv)) gathering.bulky = true;
    return true;
  }

  /** Makes room by sending what is gathered, if it may leave. */
  #hasRoom(bytes: number, writes: boolean): boolean {
    if (this.#accepts(bytes, writes)) return true;
    this.#sendGathered();
    return this.#accepts(bytes, writes);
  }

  #accepts(bytes: number, writes: boolean): boolean {
    const gathering = this.#gathering;
    if (gathering === undefined) return true;
    if (writes && gathering.watches) return false;
    // CLIENT READ came between: what was asked before it is answered as it was asked.
    if (gathering.read !== this.client.read) return false;
    const { packCountMax, packBytesMax } = this.#parts.limits;
    return gathering.commands.length < packCountMax && gathering.bytes + bytes <= packBytesMax;
  }

  #gatheringNow(): Gathering {
    const { read } = this.client;
    this.#gathering ??= { commands: [], slots: [], bytes: 0, writes: false, bulky: false, watches: false, read };
    return this.#gathering;
  }

  #sendGathered(): void {
    const gathering = this.#gathering;
    if (gathering === undefined || this.#isBlocked) return;
    const { commands, slots, bytes, writes, bulky } = gathering;
    const read = writes ? linearizable : gathering.read;
    if (!writes && this.#plainOut > 0) return;
    this.#gathering = undefined;
    const { dispatcher } = this.#parts;
    if (writes && !bulky && !hasReads(commands)) {
      this.#plainOut += 1;
      return dispatcher.plain({ commands, slots, bytes, read, done: () => this.#onPlainDone() });
    }
    this.#isBlocked = true;
    const run: Run = { commands, slots, bytes, read, done: () => this.#onUnblocked() };
    if (writes) dispatcher.bulky(run);
    else dispatcher.read(run);
  }

  #onPlainDone(): void {
    this.#plainOut -= 1;
    this.#parts.wake(this);
  }

  #onUnblocked(): void {
    this.#isBlocked = false;
    this.#parts.wake(this);
  }

  #queue(argv: Argv, local: LocalCommand | undefined): boolean {
    if (local?.name === "hello") return this.#refuse({ error: "ERR Command not allowed inside a transaction" });
    const isQueued = this.#transaction.queue({ argv, local }) === "queued";
    const { queuedCountMax, queuedBytesMax } = this.#parts.limits;
    this.#answer(
      isQueued
        ? { status: "QUEUED" }
        : { error: `ERR the transaction is larger than ${queuedCountMax} commands or ${queuedBytesMax} bytes` },
    );
    return true;
  }

  #multi(): boolean {
    if (this.#transaction.isOpen) this.#answer({ error: "ERR MULTI calls can not be nested" });
    else {
      this.#transaction.open();
      this.#answer(true);
    }
    return true;
  }

  #discard(): boolean {
    if (this.#transaction.isOpen) this.#transaction.close();
    else return this.#refuse({ error: "ERR DISCARD without MULTI" });
    this.#answer(true);
    return true;
  }

  #exec(): boolean {
    if (!this.#transaction.isOpen) return this.#refuse({ error: "ERR EXEC without MULTI" });
    if (this.#transaction.isBroken) {
      this.#transaction.close();
      this.#answer({ error: execAborted });
      return true;
    }
    this.#sendGathered();
    if (this.#gathering !== undefined || this.#isBlocked) return false;
    const { queued, watched } = this.#transaction;
    this.#transaction.close();
    const commands = queued.filter(({ local }) => local === undefined).map(({ argv }) => argv);
    const slot = this.#newSlot();
    const finish = (settled: Settled): void => {
      if (settled.kind === "error") slot.fail(settled.text);
      else if (settled.replies === null) slot.take({ nilArray: true });
      else slot.take(mergeReplies(queued, settled.replies, (local, argv) => this.#runQueued(local, argv)));
    };
    if (commands.length === 0 && watched.length === 0) {
      finish({ kind: "replies", replies: [] });
      return true;
    }
    this.#isBlocked = true;
    this.#parts.dispatcher.transaction({
      commands,
      watch: watched,
      done: (settled) => {
        finish(settled);
        this.#onUnblocked();
      },
    });
    return true;
  }

  #runQueued(local: LocalCommand, argv: Argv): Reply {
    return local.run(this.#parts.context, argv) ?? true;
  }

  #watch(argv: Argv): boolean {
    if (argv.length < 2) return this.#refuse(wrongArity("watch"));
    if (this.#transaction.isOpen) {
      this.#answer({ error: "ERR WATCH inside MULTI is not allowed" });
      return true;
    }
    if (this.#gathering?.writes === true) this.#sendGathered();
    if (this.#gathering?.writes === true) return false;
    let bytes = 0;
    for (const argument of argv) bytes += argument.length + argumentBytes;
    if (!this.#hasRoom(bytes, false)) return false;
    const gathering = this.#gatheringNow();
    const keys = argv.slice(1);
    const slot = new WatchSlot(this.client.protocol, this.#isMuted(), (versions) =>
      this.#transaction.watch(keys, versions),
    );
    this.#slots.push(slot);
    gathering.commands.push(argv);
    gathering.slots.push(slot);
    gathering.bytes += bytes;
    gathering.watches = true;
    return true;
  }

  /** Waits for a WATCH on its way, which would come back to life otherwise. */
  #unwatch(argv: Argv): boolean {
    if (this.#transaction.isOpen) return this.#queue(argv, unwatchInside);
    if (this.#isBlocked || this.#gathering?.watches === true) return false;
    this.#transaction.unwatch();
    this.#answer(true);
    return true;
  }

  #reset(): boolean {
    if (this.#isBlocked || this.#gathering?.watches === true) return false;
    this.#transaction.close();
    this.client.protocol = 2;
    this.client.name = "";
    this.client.replies = "on";
    this.client.read = linearizable;
    this.#answer({ status: "RESET" });
    return true;
  }

  #forgetSlots(): void {
    if (this.#slotsAt < this.#slots.length) {
      if (this.#slotsAt > 0) this.#slots = this.#slots.slice(this.#slotsAt);
      this.#slotsAt = 0;
      return;
    }
    this.#slots = [];
    this.#slotsAt = 0;
    this.#waitingChars = 0;
  }
}

/** EXEC has forgotten every watch by the time it runs. */
const unwatchInside: LocalCommand = { name: "unwatch", arity: 1, run: () => true };

function hasReads(commands: readonly Argv[]): boolean {
  return commands.some(([name]) => findCommand(name ?? "")?.access === "read");
}
