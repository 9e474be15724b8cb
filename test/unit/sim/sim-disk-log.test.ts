/**
 * The production log over the simulated disk, life after life: whatever the power, the process and the disk do, what was
 * acknowledged is there, and damage to settled bytes is never mistaken for a write that was cut short.
 */
import { describe, expect, test } from "vitest";
import { equalBytes } from "../../../src/base/bytes.js";
import type { Entry } from "../../../src/model/entry.js";
import type { LogWrite } from "../../../src/model/log.js";
import { Draw } from "../../../src/sim/draw.js";
import { SimProcess } from "../../../src/sim/process.js";
import { Scheduler } from "../../../src/sim/scheduler.js";
import { ProcessEnded, SimDisk } from "../../../src/sim/sim-disk.js";
import { simHash } from "../../../src/sim/sim-hash.js";
import { openDataDirectory } from "../../../src/storage/data-dir.js";
import type { LogStore, RecoveredLog } from "../../../src/storage/log-store.js";
import { entryChecksum } from "../../../src/storage/wal-format.js";
import { openLog } from "../../../src/storage/wal.js";
import { entryOf, hardStateOf, indexOf, logIdentity } from "../../../test-support/log-world.js";

const segmentBytes = 65_536;

/** What one write asked for: the entries of the log up to and including each of its steps. */
interface Asked {
  readonly possible: readonly (readonly Entry[])[];
  readonly term: number;
}

class LogLives {
  readonly scheduler: Scheduler;
  readonly disk: SimDisk;
  readonly draw: Draw;
  process: SimProcess | undefined;
  log: LogStore | undefined;
  /** The log as it will be once all that was asked for is done. */
  entries: readonly Entry[] = [];
  term = 0;
  /** What was acknowledged last, and then each state that is possible since. */
  possible: (readonly Entry[])[] = [[]];
  acknowledgedTerm = 0;
  acknowledgements = 0;
  #asked: Asked[] = [];
  #ids = 0;

  constructor(seed: number) {
    this.scheduler = new Scheduler(seed);
    this.disk = new SimDisk(this.scheduler, "a");
    this.disk.speed = { latencyMsMin: 0.1, latencyMsMax: 2, spikeChance: 0.05, spikeMsMax: 20 };
    this.draw = new Draw(this.scheduler.random("test"));
  }

  runFor(ms: number): void {
    const until = this.scheduler.now + ms;
    while (this.scheduler.step(until));
  }

  /** False if the process ended while it started. */
  start(): boolean {
    const process = new SimProcess(this.scheduler, "a", {
      turnMsMax: 0.2,
      onThrow: (cause) => {
        throw cause;
      },
    });
    this.process = process;
    try {
      this.#open(process);
      return true;
    } catch (error) {
      if (!(error instanceof ProcessEnded)) throw error;
      return false;
    }
  }

  #open(process: SimProcess): void {
    const disk = this.disk.attach(process);
    const opened = openDataDirectory({
      disk,
      hash: simHash,
      path: "data",
      clusterId: "test",
      replicaId: "a",
      machine: "kv",
      segmentBytes,
      bootstrap: { membership: { members: [] }, incarnation: 1, entropy: logIdentity },
    });
    if (opened.kind === "refused") throw new Error(opened.message);
    const { clock } = process;
    const groupsInFlightMax = this.draw.between(1, 3);
    const cacheBytes = 16 * 1024 * 1024;
    const log = openLog({
      disk,
      hash: simHash,
      clock,
      directory: "data",
      logIdentity: opened.identity.logIdentity,
      segmentBytes,
      groupsInFlightMax,
      reserveBytes: segmentBytes / 8,
      cacheBytes,
    });
    if (log.kind === "refused") throw new Error(log.message);
    this.log = log.log;
    this.recovered(log.recovered);
  }

  /** Replaced by a test that expects damage. */
  recovered: (recovered: RecoveredLog) => void = (recovered) => {
    expect(recovered).toMatchObject({ damaged: [], amnesia: undefined });
    expect(recovered.lastIndex).toBe(recovered.tail.length);
    const found = this.possible.find((entries) => sameEntries(entries, recovered.tail));
    expect(found, `${recovered.tail.length} entries, ${this.possible[0]?.length} acknowledged`).toBeDefined();
    this.settleOn(recovered.tail, recovered);
  };

  settleOn(entries: readonly Entry[], { hardState }: RecoveredLog): void {
    expect(hardState.term).toBeGreaterThanOrEqual(this.acknowledgedTerm);
    expect(hardState.term).toBeLessThanOrEqual(this.term);
    this.entries = entries;
    this.possible = [entries];
    this.#asked = [];
    this.term = hardState.term;
    this.acknowledgedTerm = hardState.term;
  }

  /** Appends, replaces, votes: several writes may be in flight. */
  write(): void {
    const kind = this.draw.fraction();
    const isNewTerm = kind < 0.15 || this.term === 0;
    const replaces = isNewTerm && this.draw.chance(0.5) ? this.draw.between(0, Math.min(5, this.entries.length)) : 0;
    if (isNewTerm) this.term += 1;
    const keep = this.entries.length - replaces;
    const count = kind < 0.05 ? 0 : this.draw.between(1, 4);
    const entries: Entry[] = [];
    for (let at = 1; at <= count; at += 1) entries.push(this.#entry(keep + at));
    const before = this.possible.length;
    if (replaces > 0 && count > 0) this.#becomes(this.entries.slice(0, keep));
    for (const entry of entries) this.#becomes([...this.entries, entry]);
    const write: LogWrite = {
      id: (this.#ids += 1),
      hardState: isNewTerm ? hardStateOf(this.term, "a") : undefined,
      truncateFrom: replaces > 0 && count > 0 ? indexOf(keep + 1) : undefined,
      entries,
    };
    const asked: Asked = { possible: this.possible.slice(before), term: this.term };
    this.#asked.push(asked);
    this.log?.write(write, (failure) => {
      expect(failure).toBeUndefined();
      expect(this.#asked.shift()).toBe(asked);
      this.acknowledgements += 1;
      this.acknowledgedTerm = asked.term;
      const last = asked.possible.at(-1);
      if (last !== undefined) this.possible = this.possible.slice(this.possible.indexOf(last));
    });
  }

  powerCut(): void {
    this.process?.kill();
    this.disk.powerCut();
  }

  #becomes(entries: readonly Entry[]): void {
    this.entries = entries;
    this.possible.push(entries);
  }

  #entry(index: number): Entry {
    const length = this.draw.chance(0.9) ? this.draw.between(0, 400) : this.draw.between(0, 15_000);
    const payload = new Uint8Array(length);
    for (let at = 0; at < length; at += 1) payload[at] = index * 7 + this.term * 13 + at;
    return entryOf("batch", { index, term: this.term, payload });
  }
}

/** Bytes are damaged between and within the lives. */
class DamagedLives extends LogLives {
  named = 0;
  amnesia: string | undefined;
  #damaged: readonly Entry[] = [];

  override recovered = (recovered: RecoveredLog): void => {
    this.amnesia = recovered.amnesia;
    if (recovered.amnesia !== undefined) return;
    const found = this.possible.find((entries) => this.#fits(entries, recovered));
    expect(found, `${recovered.lastIndex} entries, ${this.possible[0]?.length} acknowledged`).toBeDefined();
    if (found === undefined) return;
    this.#damaged = recovered.damaged.map(({ index }) => found[index - 1]).filter((entry) => entry !== undefined);
    this.named += this.#damaged.length;
    this.settleOn(found, recovered);
  };

  /** Whole entries are what they were, of damaged ones the name is. */
  #fits(entries: readonly Entry[], { lastIndex, tail, damaged }: RecoveredLog): boolean {
    if (entries.length !== lastIndex) return false;
    const named = damaged.every(({ index, term, checksum }) => {
      const entry = entries[index - 1];
      return entry !== undefined && entry.term === term && entryChecksum(simHash, entry) === checksum;
    });
    return named && sameEntries(tail, entries.slice(entries.length - tail.length));
  }

  /** As peers do that still have the entries; then every entry can be read. */
  repairAll(): void {
    for (const entry of this.#damaged) {
      let answer: unknown = "none";
      this.log?.repair(entry, (failure) => (answer = failure));
      this.runFor(200);
      expect(answer).toBeUndefined();
    }
    this.#damaged = [];
    let from = 1;
    while (from <= this.entries.length) {
      let read: readonly Entry[] = [];
      this.log?.read(indexOf(from), 64 * 1024, (result) => {
        if ("kind" in result) throw new Error(result.message);
        read = result;
      });
      this.runFor(200);
      expect(read.length).toBeGreaterThan(0);
      expect(sameEntries(read, this.entries.slice(from - 1, from - 1 + read.length))).toBe(true);
      from += read.length;
    }
  }

  /** Of a file of the log, if one has settled bytes. */
  damage(): boolean {
    const files = this.disk.list("data/log").map((name) => `data/log/${name}`);
    const settled = files.filter((path) => this.disk.damageable(path).length > 0);
    if (settled.length === 0) return false;
    const path = this.draw.pick(settled);
    const how = this.draw.pick(["flipRandomBit", "loseWrite", "misdirectWrite"] as const);
    return this.disk[how](path).applied;
  }
}

function sameEntry(left: Entry, right: Entry): boolean {
  const sameName = left.index === right.index && left.term === right.term && left.kind === right.kind;
  return sameName && left.time === right.time && equalBytes(left.payload, right.payload);
}

function sameEntries(left: readonly Entry[], right: readonly Entry[]): boolean {
  return (
    left.length === right.length &&
    left.every((entry, at) => {
      const other = right[at];
      return other !== undefined && sameEntry(entry, other);
    })
  );
}

describe("a log on a simulated disk", () => {
  test("has what was acknowledged and nothing that was not written, through hundreds of power cuts", () => {
    let powerCuts = 0;
    let torn = 0;
    let acknowledgements = 0;
    for (let seed = 1; seed <= 20; seed += 1) {
      const lives = new LogLives(seed);
      const { draw, disk } = lives;
      for (let life = 0; life < 15; life += 1) {
        if (draw.chance(0.3)) disk.crashAfterOperations(draw.between(1, 30));
        if (lives.start()) {
          const writes = draw.between(0, 40);
          for (let count = 0; count < writes; count += 1) {
            lives.write();
            if (draw.chance(0.5)) lives.runFor(draw.spread(0.1, 12));
          }
          lives.runFor(draw.fraction() * 5);
        }
        if (draw.chance(0.8)) lives.powerCut();
        else lives.process?.kill();
      }
      lives.powerCut();
      expect(lives.start()).toBe(true);
      powerCuts += disk.statistics.powerCuts;
      torn += disk.statistics.tornWrites;
      acknowledgements += lives.acknowledgements;
    }

    expect(powerCuts).toBeGreaterThan(200);
    expect(torn).toBeGreaterThan(50);
    expect(acknowledgements).toBeGreaterThan(2_000);
  });

  test("names or admits every damage to settled bytes, and can be repaired", () => {
    let damages = 0;
    let named = 0;
    let admitted = 0;
    for (let seed = 1; seed <= 25; seed += 1) {
      const log = new DamagedLives(seed);
      const { draw } = log;
      for (let life = 0; life < 12 && log.amnesia === undefined; life += 1) {
        expect(log.start()).toBe(true);
        if (log.amnesia !== undefined) break;
        log.repairAll();
        const writes = draw.between(1, 40);
        const damageAt = draw.chance(0.7) ? draw.between(0, writes) : -1;
        for (let count = 0; count < writes; count += 1) {
          log.write();
          if (draw.chance(0.5)) log.runFor(draw.spread(0.1, 12));
          if (count === damageAt && log.damage()) damages += 1;
        }
        if (draw.chance(0.5)) log.powerCut();
        else log.process?.kill();
        if (draw.chance(0.1) && log.damage()) damages += 1;
      }
      named += log.named;
      if (log.amnesia !== undefined) admitted += 1;
      log.powerCut();
    }

    expect(damages).toBeGreaterThan(80);
    expect(named).toBeGreaterThan(100);
    expect(admitted).toBeGreaterThan(5);
  });
});
