/**
 * The paths of a simulated network: how a packet gets from one host to another, or does not.
 *
 * Owns: the faults of one directed path (delay, loss, duplication, reordering, bandwidth, block, clog), its random streams, and what
 * a clog holds back. Leaves to others: what a packet means and what follows from its loss (`sim-stream.ts`). Made by
 * `sim-network.ts`; connections keep their two paths, so that a packet looks nothing up.
 */
import { invariant } from "../base/invariant.js";
import { nextFraction, type Random } from "../base/random.js";
import type { Scheduler, SimEvent } from "./scheduler.js";

export interface PathSettings {
  /** A packet takes a time that is uniform between these two. */
  readonly delayMsMin: number;
  readonly delayMsMax: number;
  /** So many packets take longer: up to `tailMs` more, half of those up to twice that, half of these up to three times, … */
  readonly tailChance: number;
  readonly tailMs: number;
  readonly lossChance: number;
  readonly duplicateChance: number;
  /** So many packets take up to `reorderMsMax` longer, so that later ones overtake them. */
  readonly reorderChance: number;
  readonly reorderMsMax: number;
  /** Packets leave one after the other at this rate; one that would wait for more than a second is lost. */
  readonly bytesPerMs: number;
  /** Packets vanish, those under way too. The other direction is another path. */
  readonly isBlocked: boolean;
  /** Packets are held, those under way too, and go on once this is lifted. */
  readonly isClogged: boolean;
}

export const calmPath: PathSettings = {
  delayMsMin: 0.1,
  delayMsMax: 0.5,
  tailChance: 0,
  tailMs: 20,
  lossChance: 0,
  duplicateChance: 0,
  reorderChance: 0,
  reorderMsMax: 10,
  bytesPerMs: Infinity,
  isBlocked: false,
  isClogged: false,
};

/** What happened since the network was made. */
export interface NetworkStatistics {
  /** Given to a path: retransmissions, openings and resets too, acknowledgements not. */
  packets: number;
  retransmitted: number;
  /** By chance, or because too much waited before a narrow path. */
  lost: number;
  blockedDrops: number;
  heldByClog: number;
  duplicated: number;
  reordered: number;
  /** Arrived before one that was sent earlier, for whatever reason. */
  arrivedEarly: number;
  /** Arrived again, and were dropped. */
  duplicatesDropped: number;
  /** Handed to those who read. */
  deliveredBytes: number;
  refused: number;
  /** Ends that learned of a reset. */
  resets: number;
  /** Ends that gave up, while opening or later. */
  timedOut: number;
}

export interface Packet {
  /** Only looked at where bandwidth is limited. */
  readonly sizeBytes: number;
  /** At the other host. Called as often as the packet arrives, never from within `carry`. */
  arrive(): void;
  /** It vanished or is held back, so its sender gets no answer in time. May be called from within `carry`. */
  missed(): void;
}

interface Waiting {
  readonly packet: Packet;
  readonly random: Random;
}

/** The chance that a tail goes on, each time; bounded, so that no packet takes for ever. */
const tailStepsMax = 10;
/** What may wait where bandwidth is limited, as the time that it needs. */
const queueMsMax = 1000;

export class Path {
  readonly #scheduler: Scheduler;
  readonly #statistics: NetworkStatistics;
  /** Packets with content, and packets that only answer them: traffic of one direction does not shift the draws of the other. */
  readonly #contentRandom: Random;
  readonly #answerRandom: Random;
  #settings: PathSettings;
  #isUneven: boolean;
  #held: Waiting[] = [];
  /** Where bandwidth is limited: the first is leaving. */
  #queue: Waiting[] = [];
  #queuedBytes = 0;
  #leaving: SimEvent | undefined;

  constructor(scheduler: Scheduler, name: string, settings: PathSettings, statistics: NetworkStatistics) {
    this.#scheduler = scheduler;
    this.#statistics = statistics;
    this.#contentRandom = scheduler.random(`network ${name}`);
    this.#answerRandom = scheduler.random(`network answers ${name}`);
    this.#settings = settings;
    this.#isUneven = isUneven(settings);
  }

  get settings(): PathSettings {
    return this.#settings;
  }

  get isBlocked(): boolean {
    return this.#settings.isBlocked;
  }

  get isClogged(): boolean {
    return this.#settings.isClogged;
  }

  change(changes: Partial<PathSettings>): void {
    const settings = { ...this.#settings, ...changes };
    invariant(0 <= settings.delayMsMin && settings.delayMsMin <= settings.delayMsMax, "delays lie between two bounds");
    invariant(settings.bytesPerMs > 0, "a path carries something");
    this.#settings = settings;
    this.#isUneven = isUneven(settings);
    if (changes.bytesPerMs !== undefined) this.#changeRate();
    if (settings.isClogged) return;
    const held = this.#held;
    this.#held = [];
    for (const { packet, random } of held) this.#launch(packet, random);
  }

  carry(packet: Packet): void {
    this.#statistics.packets += 1;
    this.#carry(packet, this.#contentRandom);
  }

  /** As `carry`, for a packet that only tells the sender of others how far they came. */
  carryAnswer(packet: Packet): void {
    this.#carry(packet, this.#answerRandom);
  }

  /** Whether an answer gets through that leaves now; for answers whose delay makes no difference to anybody. */
  passesAnswer(): boolean {
    const { isBlocked, lossChance } = this.#settings;
    if (isBlocked) {
      this.#statistics.blockedDrops += 1;
      return false;
    }
    if (lossChance === 0 || nextFraction(this.#answerRandom) >= lossChance) return true;
    this.#statistics.lost += 1;
    return false;
  }

  /** Holds an answer until the clog is lifted. */
  holdAnswer(packet: Packet): void {
    this.#hold(packet, this.#answerRandom);
  }

  #carry(packet: Packet, random: Random): void {
    const { isBlocked, isClogged, lossChance, duplicateChance } = this.#settings;
    if (isBlocked) {
      this.#statistics.blockedDrops += 1;
      return packet.missed();
    }
    if (lossChance > 0 && nextFraction(random) < lossChance) {
      this.#statistics.lost += 1;
      return packet.missed();
    }
    if (isClogged) return this.#hold(packet, random);
    this.#launch(packet, random);
    if (duplicateChance > 0 && nextFraction(random) < duplicateChance) {
      this.#statistics.duplicated += 1;
      this.#launch(packet, random);
    }
  }

  #hold(packet: Packet, random: Random): void {
    this.#statistics.heldByClog += 1;
    this.#held.push({ packet, random });
    packet.missed();
  }

  #launch(packet: Packet, random: Random): void {
    const { bytesPerMs } = this.#settings;
    if (bytesPerMs === Infinity) return this.#fly(packet, random);
    if (this.#queuedBytes > bytesPerMs * queueMsMax) {
      this.#statistics.lost += 1;
      return packet.missed();
    }
    this.#queue.push({ packet, random });
    this.#queuedBytes += packet.sizeBytes;
    if (this.#leaving === undefined) this.#leaveNext();
  }

  #leaveNext(): void {
    const [first] = this.#queue;
    if (first === undefined) return;
    const { sizeBytes } = first.packet;
    this.#leaving = this.#scheduler.after(sizeBytes / this.#settings.bytesPerMs, () => {
      this.#leaving = undefined;
      this.#queue.shift();
      this.#queuedBytes -= sizeBytes;
      this.#fly(first.packet, first.random);
      this.#leaveNext();
    });
  }

  /** The packet that is leaving starts again: nobody should wait for what a narrow path would have taken. */
  #changeRate(): void {
    if (this.#leaving !== undefined) this.#scheduler.cancel(this.#leaving);
    this.#leaving = undefined;
    if (this.#settings.bytesPerMs !== Infinity) return this.#leaveNext();
    const queue = this.#queue;
    this.#queue = [];
    this.#queuedBytes = 0;
    for (const { packet, random } of queue) this.#fly(packet, random);
  }

  #fly(packet: Packet, random: Random): void {
    const { delayMsMin, delayMsMax } = this.#settings;
    let delayMs = delayMsMin + (delayMsMax - delayMsMin) * nextFraction(random);
    if (this.#isUneven) delayMs += this.#extraMs(random);
    this.#scheduler.after(delayMs, () => this.#land(packet, random));
  }

  #land(packet: Packet, random: Random): void {
    if (this.#settings.isBlocked) {
      this.#statistics.blockedDrops += 1;
      packet.missed();
    } else if (this.#settings.isClogged) this.#hold(packet, random);
    else packet.arrive();
  }

  #extraMs(random: Random): number {
    const { tailChance, tailMs, reorderChance, reorderMsMax } = this.#settings;
    let extraMs = 0;
    if (reorderChance > 0 && nextFraction(random) < reorderChance) {
      this.#statistics.reordered += 1;
      extraMs += reorderMsMax * nextFraction(random);
    }
    if (tailChance > 0 && nextFraction(random) < tailChance) {
      for (let step = 1; step < tailStepsMax && nextFraction(random) < 0.5; step += 1) extraMs += tailMs;
      extraMs += tailMs * nextFraction(random);
    }
    return extraMs;
  }
}

function isUneven({ tailChance, reorderChance }: PathSettings): boolean {
  return tailChance > 0 || reorderChance > 0;
}
