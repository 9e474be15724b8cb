/** The simulated network under everything that can happen to it: a stream is right or closed, whatever the seed. */
import { describe, expect, test } from "vitest";

import { nextBetween, nextUint32, randomStream, type Random } from "../../src/base/random.js";
import { nodeHash } from "../../src/node/hash.js";
import { Link } from "../../src/transport/link.js";
import { noConfiguration, noDisk, protocolVersion } from "../../src/wire/handshake.js";
import { type End, type Party, World } from "../../test-support/network-world.js";

const noise = (() => {
  const random = randomStream(1, "noise");
  return Uint8Array.from({ length: 1 << 16 }, () => nextUint32(random));
})();

function someBytes(random: Random, length: number): Uint8Array {
  const from = nextBetween(random, 0, noise.length - length);
  return noise.subarray(from, from + length);
}

describe("a stream", () => {
  test("arrives whole, in order and once, however the network loses, doubles and reorders (30 seeds)", () => {
    for (let seed = 1; seed <= 30; seed += 1) {
      const random = randomStream(seed, "test");
      const path = {
        delayMsMin: 0.1,
        delayMsMax: nextBetween(random, 1, 20),
        tailChance: 0.02,
        lossChance: nextBetween(random, 0, 30) / 100,
        duplicateChance: nextBetween(random, 0, 30) / 100,
        reorderChance: nextBetween(random, 0, 30) / 100,
      };
      const world = new World(seed, { path, packetBytesMax: nextBetween(random, 50, 2000), windowBytes: 8192 });
      const here = world.process("a");
      const there = world.process("b");
      there.listen("b:1");
      const near = here.dial("b:1");
      const sent: Uint8Array[][] = [[], []];
      const speak = (end: End, kept: Uint8Array[] | undefined): void => {
        const bytes = someBytes(random, nextBetween(random, 1, 3000));
        kept?.push(bytes);
        end.send(bytes);
      };
      for (let count = 0; count < 60; count += 1) {
        speak(near, sent[0]);
        if (there.accepted.length > 0) speak(there.first, sent[1]);
        world.advance(nextBetween(random, 0, 30));
      }
      // As long as at most 15 seconds pass without an acknowledgement.
      world.advance(120_000);
      const note = `seed ${seed}: ${world.network.describe().join()}, ${near.last}`;

      expect(there.first.bytes.equals(Buffer.concat(sent[0] ?? [])), note).toBe(true);
      expect(near.bytes.equals(Buffer.concat(sent[1] ?? [])), note).toBe(true);
      expect(near.connection.bufferedBytes).toBe(0);
      expect(near.count("opened")).toBe(1);
    }
  });
});

describe("everything at once", () => {
  const hosts = ["a", "b", "c"];

  interface Owned {
    readonly end: End;
    readonly party: Party;
  }

  /** A connection with what its ends sent. Its far end is known by the number in the first bytes. */
  interface Talk {
    readonly number: number;
    readonly near: Owned;
    readonly sent: [Uint8Array[], Uint8Array[]];
  }

  function isOver({ end, party }: Owned): boolean {
    return end.last.startsWith("closed") || !party.process.isAlive;
  }

  class Storm {
    readonly world: World;
    readonly random: Random;
    readonly everyParty: Party[] = [];
    readonly parties = new Map<string, Party>();
    readonly talks: Talk[] = [];
    /** Ends that were closed and may not have been told yet: what is sent then is not sent. */
    readonly closing = new Set<End>();

    constructor(seed: number) {
      this.random = randomStream(seed, "storm");
      const path = { delayMsMax: 10, lossChance: 0.03, duplicateChance: 0.05, reorderChance: 0.1 };
      this.world = new World(seed, { path, packetBytesMax: 1500, windowBytes: 20_000 });
      for (const host of hosts) this.start(host);
    }

    pick<Item>(items: readonly Item[]): Item {
      return items[nextBetween(this.random, 0, items.length - 1)] as Item;
    }

    start(host: string): void {
      const party = this.world.process(host);
      expect(party.listen(`${host}:1`)).toBe(true);
      this.parties.set(host, party);
      this.everyParty.push(party);
    }

    party(host: string): Party {
      return this.parties.get(host) as Party;
    }

    dial(): void {
      const party = this.party(this.pick(hosts));
      const address = `${this.pick(hosts)}:1`;
      if (!party.process.isAlive || party.process.isPaused) return;
      const number = this.talks.length + 1;
      const talk: Talk = { number, near: { end: party.dial(address), party }, sent: [[], []] };
      this.talks.push(talk);
      this.say(talk, 0, Uint8Array.of(number));
    }

    far({ number }: Talk): Owned | undefined {
      for (const party of this.everyParty) {
        const end = party.accepted.find(({ firstByte }) => firstByte === number);
        if (end !== undefined) return { end, party };
      }
      return undefined;
    }

    say(talk: Talk, side: 0 | 1, bytes: Uint8Array): void {
      const owned = side === 0 ? talk.near : this.far(talk);
      if (owned === undefined || isOver(owned) || owned.party.process.isPaused) return;
      if (this.closing.has(owned.end)) return;
      talk.sent[side].push(bytes);
      owned.end.send(bytes);
    }

    chatter(): void {
      const talk = this.pick(this.talks);
      const side = this.pick([0, 1] as const);
      this.say(talk, side, someBytes(this.random, this.pick([10, 500, 9000])));
    }

    fault(): void {
      const [host, other] = [this.pick(hosts), this.pick(hosts)];
      const { network } = this.world;
      const party = this.party(host);
      const [isBlocked, isClogged] = [nextUint32(this.random) % 3 === 0, nextUint32(this.random) % 3 === 0];
      switch (nextBetween(this.random, 0, 8)) {
        case 0:
          return network.setPath(host, other, { isBlocked });
        case 1:
          return network.setPath(host, other, { isClogged });
        case 2:
          return party.process.pause();
        case 3:
          return party.process.resume();
        case 4:
          return network.setPath(host, other, { bytesPerMs: this.pick([5, 500, Infinity]) });
        case 5:
          if (nextUint32(this.random) % 3 === 0) network.resetOne();
          return;
        case 6: {
          if (nextUint32(this.random) % 4 > 0) return;
          party.end(this.pick(["killed", "hostLost"]));
          this.world.scheduler.after(nextBetween(this.random, 0, 3000), () => {
            if (this.party(host) === party) this.start(host);
          });
          return;
        }
        case 7: {
          const owned = this.pick([this.pick(this.talks).near, this.far(this.pick(this.talks))]);
          return this.pick([true, false]) ? owned?.end.pauseReading() : owned?.end.resumeReading();
        }
        default: {
          const { near } = this.pick(this.talks);
          if (isOver(near) || near.party.process.isPaused || nextUint32(this.random) % 3 > 0) return;
          this.closing.add(near.end);
          near.end.close(this.pick(["done", "broken"]));
        }
      }
    }

    calm(): void {
      this.world.network.resetPaths();
      for (const party of this.parties.values()) party.process.resume();
      this.world.advance(5000);
      for (const talk of this.talks) {
        talk.near.end.resumeReading();
        this.far(talk)?.end.resumeReading();
      }
      this.world.advance(30_000);
      // Who is left alone on a connection finds out by speaking.
      for (const talk of this.talks) for (const side of [0, 1] as const) this.say(talk, side, new Uint8Array(7));
      this.world.advance(60_000);
    }
  }

  test("what is received is what was sent up to some point, and once all is well, all of it or both ends are closed (40 seeds)", () => {
    const reached = { complete: 0, closed: 0 };
    for (let seed = 1; seed <= 40; seed += 1) {
      const storm = new Storm(seed);
      storm.dial();
      for (let count = 0; count < 400; count += 1) {
        if (count % 20 === 0 && storm.talks.length < 250) storm.dial();
        if (count % 3 === 0) storm.fault();
        storm.chatter();
        storm.world.advance(nextBetween(storm.random, 0, 60));
      }
      storm.calm();
      for (const talk of storm.talks) {
        const { near } = talk;
        const far = storm.far(talk);
        const note = `seed ${seed}, ${talk.number}: ${near.end.events.join()} | ${far?.end.events.join()}`;
        const sent = talk.sent.map((parts) => Buffer.concat(parts));
        const received = [far?.end.bytes ?? Buffer.alloc(0), near.end.bytes];
        for (const side of [0, 1] as const) {
          const part = sent[side]?.subarray(0, received[side]?.length);
          expect(part !== undefined && received[side]?.equals(part), note).toBe(true);
        }
        // Who has said good-bye says nothing more, and so never learns that the other side is lost.
        if (storm.closing.has(near.end) && !isOver(near)) continue;
        if (isOver(near) || far === undefined || isOver(far)) {
          reached.closed += 1;
          expect([isOver(near), far === undefined || isOver(far)], note).toEqual([true, true]);
        } else {
          reached.complete += 1;
          expect([received[0]?.length, received[1]?.length], note).toEqual([sent[0]?.length, sent[1]?.length]);
        }
      }
    }
    expect(reached.complete).toBeGreaterThan(50);
    expect(reached.closed).toBeGreaterThan(50);
  });
});

describe("links", () => {
  const limits = { frameBytesMax: 1 << 16, handshakeMs: 5000 };

  test("production links speak over a bad network, in order and whole (10 seeds)", () => {
    for (let seed = 1; seed <= 10; seed += 1) {
      const path = { delayMsMax: 5, lossChance: 0.02, duplicateChance: 0.05, reorderChance: 0.1, tailChance: 0.05 };
      const world = new World(seed, { path, packetBytesMax: 700 });
      const here = world.process("a");
      const there = world.process("b");
      const heard: string[] = [];
      const answers: string[] = [];
      const identity = { protocol: protocolVersion, clusterId: "blue", incarnation: 1, process: "p", machine: "kv" };
      const common = {
        ...identity,
        machineVersion: 1,
        foundation: "same",
        found: noDisk,
        configuration: noConfiguration,
      };
      world.network.listen(there.process, "b:1", (connect) => {
        const link = new Link(
          { clock: there.process.clock, hash: nodeHash },
          limits,
          { side: "acceptor", gate: () => ({ kind: "welcome", from: "b", ...common }) },
          {
            ready: () => heard.push("ready"),
            message: (from, type, payload) => {
              heard.push(`${type} ${payload.length} ${payload[0]}`);
              from.send(type, payload.subarray(0, 10));
            },
            closed: (_link, cause) => heard.push(cause),
            drained: () => {},
          },
        );
        link.attach(connect);
      });
      const link = new Link(
        { clock: here.process.clock, hash: nodeHash },
        limits,
        {
          side: "dialer",
          hello: { kind: "hello", role: "replica", from: "a", to: "b", credential: new Uint8Array(0), ...common },
          accept: () => undefined,
        },
        {
          ready: () => answers.push("ready"),
          message: (_link, type, payload) => answers.push(`${type} ${payload.length} ${payload[0]}`),
          closed: (_link, cause) => answers.push(cause),
          drained: () => {},
        },
      );
      link.attach((handlers) => here.port.connect("b:1", handlers));
      world.advance(4000);

      const expected = ["ready"];
      for (let count = 1; count <= 100; count += 1) {
        link.send(count, new Uint8Array(count * 37).fill(count));
        expected.push(`${count} ${count * 37} ${count}`);
        if (count % 3 === 0) world.advance(2);
      }
      world.advance(5000);
      link.close("done");
      world.advance(5000);

      const note = `seed ${seed}`;
      expect(heard, note).toEqual([...expected, "closed by the other side"]);
      expect(answers.slice(0, 2), note).toEqual(["ready", "1 10 1"]);
      expect(answers, note).toHaveLength(102);
    }
  });
});
