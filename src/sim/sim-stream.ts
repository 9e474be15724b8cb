/**
 * One direction of a simulated connection: what TCP makes of a faulty path. Bytes arrive in order and once, or the sender gives up.
 *
 * Owns: segments, their sequence numbers and retransmission, the window, what waits on both sides. Leaves to others: the fate of a
 * packet (`network-paths.ts`), the two ends with their states and handlers (`sim-connection.ts`), which call it.
 *
 * This object sees both sides, so what is certain costs no event: a segment that arrives while its acknowledgement can go back is
 * acknowledged at once, and a retransmission timer only runs once something is known to be missed. What the sender knows is still
 * kept apart from what is so: while acknowledgements cannot go back it retransmits, and gives up in the end.
 */
import { concatBytes } from "../base/bytes.js";
import type { NetworkStatistics, Packet, Path } from "./network-paths.js";
import type { Scheduler, SimEvent } from "./scheduler.js";

export interface StreamWorld {
  readonly scheduler: Scheduler;
  readonly statistics: NetworkStatistics;
  /** A send is cut into segments of at most this. */
  readonly packetBytesMax: number;
  /** Under way and unread together; what exceeds it waits in the sender's queue. */
  readonly windowBytes: number;
}

/** An end of the connection, as its two streams see it. */
export interface StreamEnd {
  /** Nothing answers, not even with a reset. */
  readonly isHostDown: boolean;
  /** Its host knows nothing of this connection (any more): what arrives is answered with a reset. */
  readonly isGone: boolean;
  wasReset(): void;
  /** As a receiver: the first segment of an acceptor has arrived. */
  opened(): void;
  /** As a receiver: there is something to `take`. */
  readable(): void;
  /** As a sender: runs in its process, later if that is paused. */
  run(pump: () => void): void;
  /** As a sender: everything is in the window; `wasLong` if the queue was above the high-water mark since the last time. */
  queueEmptied(wasLong: boolean): void;
  /** As a sender: the other side has acknowledged everything, the end too. */
  settled(): void;
  /** As a sender: nothing was acknowledged for too long. */
  gaveUp(): void;
}

/** The first retransmission comes after this, and each further one after twice the time, up to the maximum. */
const retransmitMsMin = 200;
const retransmitMsMax = 3000;
const giveUpMs = 15_000;
const highWaterBytes = 64 * 1024;
/** As much is handed over at once when several segments wait. */
const readBytesMax = 64 * 1024;
const headerBytes = 60;
const noBytes = new Uint8Array(0);

type SegmentKind = "opening" | "data" | "end" | "probe";

const nobody: StreamEnd = {
  isHostDown: false,
  isGone: true,
  wasReset: () => {},
  opened: () => {},
  readable: () => {},
  run: () => {},
  queueEmptied: () => {},
  settled: () => {},
  gaveUp: () => {},
};

class Segment implements Packet {
  readonly sequence: number;
  readonly kind: SegmentKind;
  readonly bytes: Uint8Array;
  readonly #stream: SimStream;
  isAcknowledged = false;
  /** Known to need sending again. */
  isMissed = false;

  constructor(stream: SimStream, sequence: number, kind: SegmentKind, bytes: Uint8Array) {
    this.#stream = stream;
    this.sequence = sequence;
    this.kind = kind;
    this.bytes = bytes;
  }

  get sizeBytes(): number {
    return this.bytes.length + headerBytes;
  }

  arrive(): void {
    this.#stream.landed(this);
  }

  missed(): void {
    this.#stream.missed(this);
  }
}

/** First in, first out, without moving what stays. */
class Fifo<Item> {
  #items: Item[] = [];
  #head = 0;

  get first(): Item | undefined {
    return this.#items[this.#head];
  }

  push(item: Item): void {
    this.#items.push(item);
  }

  shift(): void {
    // Mostly the only one, and to set the length costs more than all else here.
    if (this.#items.length === 1) return void this.#items.pop();
    this.#head += 1;
    if (this.#head === this.#items.length) this.clear();
    else if (this.#head >= 1024 && this.#head * 2 >= this.#items.length) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
  }

  /** A copy, for who changes it meanwhile. */
  filter(isWanted: (item: Item) => boolean): Item[] {
    return this.#items.slice(this.#head).filter(isWanted);
  }

  clear(): void {
    this.#items.length = 0;
    this.#head = 0;
  }
}

export class SimStream {
  readonly #world: StreamWorld;
  readonly #path: Path;
  readonly #back: Path;
  sender: StreamEnd = nobody;
  receiver: StreamEnd = nobody;

  // The sender's side.
  readonly #queue = new Fifo<Uint8Array>();
  readonly #unacknowledged = new Fifo<Segment>();
  #queuedBytes = 0;
  #wasLong = false;
  #isOpen = false;
  #isDropped = false;
  #isEndDue = false;
  #isEndSent = false;
  #nextSequence = 0;
  #sentBytes = 0;
  /** As far as the sender knows. */
  #readBytesKnown = 0;
  #retransmitMs = retransmitMsMin;
  #timer: SimEvent | undefined;
  /** Since when nothing was acknowledged although something should have been. */
  #troubleSince: number | undefined;
  #isUpdateDue = false;
  readonly #update: Packet = {
    sizeBytes: headerBytes,
    arrive: () => this.#updated(),
    missed: () => {
      this.#isUpdateDue = false;
      this.#arm();
    },
  };

  // The receiver's side.
  readonly #early = new Map<number, Segment>();
  #expected = 0;
  #unread: Uint8Array[] = [];
  #unreadBytes = 0;
  #readBytes = 0;
  #hasEnd = false;

  constructor(world: StreamWorld, path: Path, back: Path) {
    this.#world = world;
    this.#path = path;
    this.#back = back;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  get unreadBytes(): number {
    return this.#unreadBytes;
  }

  /** The sender has nothing left to do but to wait for acknowledgements. */
  get isEndSent(): boolean {
    return this.#isEndSent;
  }

  get isSettled(): boolean {
    return this.#isEndSent && this.#unacknowledged.first === undefined;
  }

  /** The end has arrived, and everything before it. */
  get hasEnd(): boolean {
    return this.#hasEnd;
  }

  /** An acceptor's answer: it may send at once, and its first segment opens the dialer. */
  openWithAnswer(): void {
    this.#isOpen = true;
    this.#transmit("opening", noBytes);
  }

  open(): void {
    this.#isOpen = true;
    this.#pump();
  }

  send(bytes: Uint8Array): void {
    if (this.#isEndDue || this.#isDropped) return;
    const { packetBytesMax } = this.#world;
    for (let at = 0; at < bytes.length; at += packetBytesMax) {
      const part = bytes.length <= packetBytesMax ? bytes : bytes.subarray(at, at + packetBytesMax);
      if (this.#queuedBytes === 0 && this.#mayLeave(part.length)) {
        this.#transmit("data", part);
        continue;
      }
      this.#queue.push(part);
      this.#queuedBytes += part.length;
    }
    if (this.#queuedBytes > highWaterBytes) this.#wasLong = true;
    if (this.#queuedBytes > 0) this.#persist();
  }

  /** Ends the stream behind what is queued. */
  finish(): void {
    this.#isEndDue = true;
    this.#pump();
  }

  /** The sender is gone: nothing is sent any more; what is under way still arrives. */
  drop(): void {
    this.#isDropped = true;
    this.#queue.clear();
    this.#queuedBytes = 0;
    this.#unacknowledged.clear();
    if (this.#timer !== undefined) this.#world.scheduler.cancel(this.#timer);
    this.#timer = undefined;
  }

  /** Sent once: if it is lost, the other side learns from the answer to what it sends itself. */
  sendReset(): void {
    this.#path.carry({ sizeBytes: headerBytes, arrive: () => this.receiver.wasReset(), missed: () => {} });
  }

  /** What came next, in one piece; undefined if nothing waits. */
  take(): Uint8Array | undefined {
    if (this.#unread.length <= 1) {
      const only = this.#unread.pop();
      this.#unreadBytes = 0;
      this.#readBytes += only?.length ?? 0;
      return only;
    }
    let count = 0;
    let length = 0;
    for (const part of this.#unread) {
      if (count > 0 && length + part.length > readBytesMax) break;
      count += 1;
      length += part.length;
    }
    this.#unreadBytes -= length;
    this.#readBytes += length;
    return concatBytes(this.#unread.splice(0, count));
  }

  /** The receiver has taken something: the sender may go on. */
  hasRead(): void {
    this.#tellRead();
  }

  /** The receiver is gone. */
  dropUnread(): void {
    this.#unread = [];
    this.#unreadBytes = 0;
    this.#early.clear();
  }

  /** Called by a segment that has reached the receiver's host. */
  landed(segment: Segment): void {
    if (this.receiver.isHostDown) return this.missed(segment);
    if (this.receiver.isGone) {
      this.missed(segment);
      this.#back.carry({ sizeBytes: headerBytes, arrive: () => this.sender.wasReset(), missed: () => {} });
      return;
    }
    const { statistics } = this.#world;
    if (segment.sequence === this.#expected) this.#accept(segment);
    else if (segment.sequence > this.#expected && !this.#early.has(segment.sequence)) {
      statistics.arrivedEarly += 1;
      this.#early.set(segment.sequence, segment);
    } else if (segment.kind !== "probe") statistics.duplicatesDropped += 1;
    this.#acknowledge(segment);
  }

  /** Called for a segment whose acknowledgement will not come in time. */
  missed(segment: Segment): void {
    if (segment.isAcknowledged) return;
    segment.isMissed = true;
    this.#arm();
  }

  #accept(first: Segment): void {
    for (let next: Segment | undefined = first; next !== undefined;) {
      this.#expected += 1;
      if (next.kind === "opening") this.receiver.opened();
      else if (next.kind === "end") this.#hasEnd = true;
      else {
        this.#unread.push(next.bytes);
        this.#unreadBytes += next.bytes.length;
      }
      if (this.#early.size === 0) break;
      next = this.#early.get(this.#expected);
      this.#early.delete(this.#expected);
    }
    this.receiver.readable();
  }

  #acknowledge(segment: Segment): void {
    if (!this.#back.passesAnswer()) return this.missed(segment);
    if (this.#back.isClogged) {
      const arrive = (): void => this.#acknowledged(segment);
      return this.#back.holdAnswer({ sizeBytes: headerBytes, arrive, missed: () => this.missed(segment) });
    }
    this.#acknowledged(segment);
  }

  #acknowledged(segment: Segment): void {
    if (this.#isDropped) return;
    segment.isAcknowledged = true;
    this.#troubleSince = undefined;
    if (segment.kind !== "probe") this.#retransmitMs = retransmitMsMin;
    this.#forgetAcknowledged();
    this.#tellRead();
    if (this.#isEndSent && this.isSettled) this.sender.settled();
  }

  /** One acknowledgement is for everything before it too. */
  #forgetAcknowledged(): void {
    for (;;) {
      const { first } = this.#unacknowledged;
      if (first === undefined || !(first.isAcknowledged || first.sequence < this.#expected)) return;
      first.isAcknowledged = true;
      this.#unacknowledged.shift();
    }
  }

  /** Tells the sender how much was read: with an event if it waits for that, otherwise at once. If it is not told, it asks. */
  #tellRead(): void {
    if (this.#queuedBytes === 0) {
      if (!this.#back.isBlocked && !this.#back.isClogged) this.#readBytesKnown = this.#readBytes;
    } else if (!this.#isUpdateDue) {
      this.#isUpdateDue = true;
      this.#back.carryAnswer(this.#update);
    }
  }

  #updated(): void {
    this.#isUpdateDue = false;
    if (this.#isDropped) return;
    const known = this.#readBytes;
    // The queue is the process's own: nobody moves it on while that is paused.
    this.sender.run(() => {
      this.#readBytesKnown = Math.max(this.#readBytesKnown, known);
      this.#pump();
    });
  }

  #mayLeave(bytes: number): boolean {
    const outstanding = this.#sentBytes - this.#readBytesKnown;
    return this.#isOpen && (outstanding === 0 || outstanding + bytes <= this.#world.windowBytes);
  }

  #pump(): void {
    if (!this.#isOpen || this.#isDropped) return;
    for (;;) {
      const { first } = this.#queue;
      if (first === undefined) break;
      if (!this.#mayLeave(first.length)) return this.#persist();
      this.#queue.shift();
      this.#queuedBytes -= first.length;
      this.#transmit("data", first);
    }
    if (this.#isEndDue && !this.#isEndSent) {
      this.#isEndSent = true;
      this.#transmit("end", noBytes);
    }
    const wasLong = this.#wasLong;
    this.#wasLong = false;
    this.sender.queueEmptied(wasLong);
  }

  #transmit(kind: SegmentKind, bytes: Uint8Array): void {
    const segment = new Segment(this, this.#nextSequence, kind, bytes);
    this.#nextSequence += 1;
    this.#sentBytes += bytes.length;
    this.#unacknowledged.push(segment);
    this.#path.carry(segment);
  }

  /** With nothing under way, no acknowledgement would ever tell that there is room again: the sender asks now and then. */
  #persist(): void {
    if (this.#isOpen && this.#unacknowledged.first === undefined) this.#arm();
  }

  #arm(): void {
    if (this.#timer !== undefined || this.#isDropped) return;
    const { scheduler } = this.#world;
    this.#troubleSince ??= scheduler.now;
    const since = this.#troubleSince;
    const leftMs = Math.max(0, since + giveUpMs - scheduler.now);
    const isLast = leftMs <= this.#retransmitMs;
    this.#timer = scheduler.after(isLast ? leftMs : this.#retransmitMs, () => this.#expire(isLast ? since : undefined));
  }

  /** `lastSince` is given if no further try follows, should the trouble be the same. */
  #expire(lastSince: number | undefined): void {
    this.#timer = undefined;
    const isAsking = this.#queuedBytes > 0 && this.#unacknowledged.first === undefined;
    const missed = this.#unacknowledged.filter(({ isMissed, isAcknowledged }) => isMissed && !isAcknowledged);
    if (!isAsking && missed.length === 0) {
      this.#troubleSince = undefined;
      this.#retransmitMs = retransmitMsMin;
      return;
    }
    if (lastSince !== undefined && lastSince === this.#troubleSince) return this.sender.gaveUp();
    this.#retransmitMs = Math.min(this.#retransmitMs * 2, retransmitMsMax);
    // A probe comes before every sequence number, so it is never taken for something new.
    for (const segment of isAsking ? [new Segment(this, -1, "probe", noBytes)] : missed) {
      this.#world.statistics.retransmitted += 1;
      segment.isMissed = false;
      this.#path.carry(segment);
      // The first tries the path for the others.
      if (this.#path.isBlocked || this.#path.isClogged) break;
    }
  }
}
