import { describe, expect, test } from "vitest";

import { bytesOf, pair, World, even } from "../../../test-support/network-world.js";

describe("opening", () => {
  test("the acceptor exists after one way, the dialer is open after both, and what it sent before follows", () => {
    const world = new World();
    const here = world.process("a");
    const there = world.process("b");
    there.listen("b:1");

    const near = here.dial("b:1");
    near.send(bytesOf("early"));
    expect(near.connection.bufferedBytes).toBe(5);
    world.advance(1.5);
    expect([there.accepted.length, near.events]).toEqual([1, []]);
    there.first.send(bytesOf("hello"));
    world.advance(2);

    expect(near.events).toEqual(["opened", "received 5"]);
    expect(near.times).toEqual([2, 2.5]);
    expect([there.first.events, there.first.times]).toEqual([["received 5"], [3]]);
  });

  test("nobody listens: refused after a round trip", () => {
    const world = new World();
    const here = world.process("a");

    const near = here.dial("b:1");
    world.advance(5);

    expect([near.events, near.times]).toEqual([["closed: connection refused"], [2]]);
    expect(world.network.statistics.refused).toBe(1);
    expect(world.network.describe()).toEqual([]);
  });

  test("a refusal that is late changes nothing for who was accepted meanwhile", () => {
    const told = new Set<string>();
    for (let seed = 1; seed <= 20; seed += 1) {
      const world = new World(seed, { path: { delayMsMin: 1, delayMsMax: 5 } });
      const here = world.process("a");
      const there = world.process("b");
      world.network.setPath("b", "a", { isClogged: true });
      const near = here.dial("b:1");
      world.advance(500);
      there.listen("b:1");
      world.advance(600);
      // The refusal and the answer to the second try set off together.
      world.network.setPath("b", "a", { isClogged: false });
      world.advance(100);
      told.add(`${near.events.join()} / ${there.first.events.join()}`);
    }

    expect([...told].sort()).toEqual(["closed: connection refused / closed: reset by the other side", "opened / "]);
  });

  test("an address has one living listener, and a dead one makes room", () => {
    const world = new World();
    const first = world.process("b");
    const second = world.process("b");

    expect([first.listen("b:1"), second.listen("b:1"), second.listen("b:2")]).toEqual([true, false, true]);
    first.process.kill();

    expect([second.listen("b:1"), first.listen("b:3")]).toEqual([true, false]);
  });

  test("a blocked path is tried again after 1 and 3 seconds, and 10 seconds are the end", () => {
    const world = new World();
    const here = world.process("a");
    const there = world.process("b");
    there.listen("b:1");
    world.network.setPath("a", "b", { isBlocked: true });
    const lucky = here.dial("b:1");
    world.advance(2500);
    world.network.setPath("a", "b", { isBlocked: false });
    world.advance(1000);
    world.network.setPath("a", "b", { isBlocked: true });
    const unlucky = here.dial("b:1");
    world.advance(20_000);

    expect([lucky.events, lucky.times]).toEqual([["opened"], [3002]]);
    expect([unlucky.events, unlucky.times]).toEqual([["closed: timed out"], [13_500]]);
    expect(there.accepted).toHaveLength(1);
  });

  test("an answer that cannot come back leaves the acceptor alone with the connection, until it gives up", () => {
    const world = new World();
    const here = world.process("a");
    const there = world.process("b");
    there.listen("b:1");
    world.network.setPath("b", "a", { isBlocked: true });

    const near = here.dial("b:1");
    world.advance(30_000);

    expect([near.events, near.times]).toEqual([["closed: timed out"], [10_000]]);
    expect([there.first.events, there.first.times]).toEqual([["closed: timed out"], [15_001]]);
    expect(there.accepted).toHaveLength(1);
  });

  test("a dialer that closed while opening is not heard of, and the acceptor learns that nobody is there", () => {
    const world = new World();
    const here = world.process("a");
    const there = world.process("b");
    there.listen("b:1");

    const near = here.dial("b:1");
    near.close("broken");
    world.network.setPath("b", "a", { isBlocked: true });
    world.advance(10);
    expect(near.events).toEqual(["closed: closed by this side"]);
    expect(world.network.describe()).toEqual(["a > b:1: a.1 gone, 0 queued, 0 unread | b.2 open, 0 queued, 0 unread"]);
    world.network.setPath("b", "a", { isBlocked: false });
    world.advance(300);

    expect(there.first.events).toEqual(["closed: reset by the other side"]);
    expect(world.network.describe()).toEqual([]);
  });

  test("a listener that takes no notice of a connection resets it", () => {
    const world = new World();
    const here = world.process("a");
    const there = world.process("b");
    world.network.listen(there.process, "b:1", () => {});

    const near = here.dial("b:1");
    world.advance(10);

    expect(near.last).toBe("closed: reset by the other side");
  });

  test("processes on one host talk over its loopback, whatever the network is like", () => {
    const world = new World(1, { path: { delayMsMin: 500, delayMsMax: 500, lossChance: 0.9 } });
    const here = world.process("a");
    const there = world.process("a");
    there.listen("a:1");

    const near = here.dial("a:1");
    near.send(bytesOf("hello"));
    world.advance(1);

    expect(there.first.text).toBe("hello");
  });
});

describe("a stream", () => {
  test("counts what the paths did to it", () => {
    const path = { ...even, lossChance: 0.1, duplicateChance: 0.1, reorderChance: 0.1 };
    const { world, near, far } = pair(new World(3, { path }));

    for (let count = 0; count < 1000; count += 1) near.send(bytesOf("x"));
    world.advance(20_000);

    const { packets, retransmitted, lost, duplicated, reordered, ...others } = world.network.statistics;
    expect(far.text).toBe("x".repeat(1000));
    for (const counted of [retransmitted, lost, duplicated, reordered]) expect(counted).toBeGreaterThan(50);
    expect(packets).toBeGreaterThan(1000 + retransmitted);
    expect(others.deliveredBytes).toBe(1000);
    expect(others.arrivedEarly).toBeGreaterThan(0);
    expect(others.duplicatesDropped).toBeGreaterThan(0);
  });

  test("a lost segment comes again after 200 milliseconds, and holds up what follows", () => {
    const { world, near, far } = pair();
    world.network.setPath("a", "b", { lossChance: 1 });
    near.send(bytesOf("lost "));
    world.network.setPath("a", "b", { lossChance: 0 });
    near.send(bytesOf("not lost"));
    const sentAt = world.scheduler.now;
    world.advance(1000);

    expect([far.events, far.times]).toEqual([["received 13"], [sentAt + 201]]);
    expect(far.text).toBe("lost not lost");
  });

  test("after trouble that is over the next loss costs 200 milliseconds again", () => {
    const { world, near, far } = pair();
    world.network.setPath("a", "b", { isBlocked: true });
    near.send(bytesOf("one"));
    world.advance(2500);
    world.network.setPath("a", "b", { isBlocked: false });
    world.advance(1000);
    world.network.setPath("a", "b", { isBlocked: true });
    near.send(bytesOf("two"));
    const sentAt = world.scheduler.now;
    world.network.setPath("a", "b", { isBlocked: false });
    world.advance(1000);

    expect([far.text, far.times[1]]).toEqual(["onetwo", sentAt + 201]);
  });

  test("an acknowledgement is for everything before it, so one that got lost costs nothing", () => {
    const { world, near, far } = pair();
    world.network.setPath("b", "a", { lossChance: 1 });
    near.send(bytesOf("one"));
    world.advance(2);
    world.network.setPath("b", "a", { lossChance: 0 });
    near.send(bytesOf("two"));
    world.advance(1000);

    expect(far.text).toBe("onetwo");
    expect(world.network.statistics).toMatchObject({ lost: 1, retransmitted: 0, duplicatesDropped: 0 });
  });

  test("what arrives twice is given out once", () => {
    const { world, near, far } = pair();
    world.network.setPath("a", "b", { duplicateChance: 1, delayMsMax: 10 });
    for (let count = 0; count < 100; count += 1) near.send(Uint8Array.of(count));
    world.advance(1000);

    expect([...far.bytes]).toEqual(Array.from({ length: 100 }, (_, at) => at));
    expect(world.network.statistics).toMatchObject({ duplicated: 100, duplicatesDropped: 100 });
  });

  test("a send beyond the packet size is cut, and joined again", () => {
    const { world, near, far } = pair(new World(1, { path: even, packetBytesMax: 1000 }));
    const bytes = Uint8Array.from({ length: 10_500 }, (_, at) => at);

    near.send(bytes);
    world.advance(10);

    expect(far.bytes.equals(Buffer.from(bytes))).toBe(true);
    expect(world.network.statistics.packets).toBe(2 + 11);
  });

  test("two runs of one seed tell the same at the same times, and another seed does not", () => {
    const run = (seed: number): readonly unknown[] => {
      const path = { lossChance: 0.05, duplicateChance: 0.05, reorderChance: 0.1, tailChance: 0.1 };
      const { world, near, far } = pair(new World(seed, { path: { ...path, delayMsMax: 10 } }));
      for (let count = 0; count < 200; count += 1) {
        near.send(bytesOf(`near ${count}`));
        far.send(bytesOf(`far ${count}`));
        world.advance(3);
      }
      world.advance(2000);
      return [near.events, near.times, far.events, far.times, world.network.statistics, world.scheduler.traceHash];
    };

    expect(run(5)).toEqual(run(5));
    expect(run(5)).not.toEqual(run(6));
  });

  test("the traffic of one pair of hosts does not shift that of another", () => {
    const run = (others: boolean): readonly number[] => {
      const world = new World(9, { path: { delayMsMax: 5, lossChance: 0.1 } });
      const { near, far } = pair(world);
      const third = world.process("c");
      third.listen("c:1");
      const other = world.process("d").dial("c:1");
      for (let count = 0; count < 100; count += 1) {
        near.send(bytesOf("x"));
        if (others) other.send(bytesOf("y"));
        world.advance(2);
      }
      return far.times;
    };

    expect(run(true)).toEqual(run(false));
  });
});

describe("closing", () => {
  test("`done` delivers all that is queued, then tells both ends once", () => {
    const { world, near, far } = pair(new World(4, { path: { ...even, lossChance: 0.2, reorderChance: 0.2 } }));
    far.pauseReading();
    near.send(new Uint8Array(600_000));
    near.close("done");
    near.close("done");
    near.send(bytesOf("too late"));
    world.advance(1000);
    far.resumeReading();
    far.send(bytesOf("still heard"));
    world.advance(20_000);

    expect(far.bytes).toHaveLength(600_000);
    expect(near.text).toBe("still heard");
    expect([near.last, far.last]).toEqual(["closed: closed by this side", "closed: closed by the other side"]);
    expect(world.network.describe()).toEqual([]);
  });

  test("the other side's queue is sent before its end", () => {
    const { world, near, far } = pair();
    near.pauseReading();
    far.send(new Uint8Array(500_000));
    near.close("done");
    world.advance(1000);
    expect([near.last, far.last]).toEqual(["opened", "nothing"]);

    near.resumeReading();
    world.advance(10);

    expect(near.bytes).toHaveLength(500_000);
    expect([near.last, far.last]).toEqual(["closed: closed by this side", "closed: closed by the other side"]);
  });

  test("what was sent before the end still gets across if the process ends after it", () => {
    const { world, here, near, far } = pair();
    world.network.setPath("a", "b", { isBlocked: true });
    near.send(bytesOf("last words"));
    far.close("done");
    world.advance(10);
    expect([near.last, far.last]).toEqual(["closed: closed by the other side", "nothing"]);

    here.end("killed");
    world.network.setPath("a", "b", { isBlocked: false });
    world.advance(1000);

    expect(far.events).toEqual(["received 10", "closed: closed by this side"]);
    expect(world.network.describe()).toEqual([]);
  });

  test("both ends may say `done` at once, while opening too", () => {
    const { world, here, near, far } = pair();
    near.send(bytesOf("bye"));
    near.close("done");
    far.close("done");
    const short = here.dial("b:1");
    short.send(bytesOf("short"));
    short.close("done");
    world.advance(100);

    expect([near.last, far.last]).toEqual(["closed: closed by this side", "closed: closed by this side"]);
    expect(far.text).toBe("bye");
    expect(short.events).toEqual(["opened", "closed: closed by this side"]);
  });

  test("`done` over a path that never works again ends with a time-out", () => {
    const { world, near, far } = pair();
    world.network.setPath("a", "b", { isBlocked: true });
    near.close("done");
    world.advance(20_000);

    expect([near.events.slice(1), far.events]).toEqual([["closed: timed out"], []]);
  });

  test("`broken` drops the queue and resets the other end", () => {
    const { world, near, far } = pair();
    far.pauseReading();
    near.send(new Uint8Array(600_000));
    near.close("broken");
    expect([near.connection.bufferedBytes, near.last]).toEqual([0, "opened"]);
    near.close("done");
    near.send(bytesOf("too late"));
    world.advance(10);

    expect(near.events).toEqual(["opened", "closed: closed by this side"]);
    expect(far.events).toEqual(["closed: reset by the other side"]);
  });

  test("`broken` within `received` ends it there, with more at hand", () => {
    const { world, near, far } = pair();
    far.pauseReading();
    for (let count = 0; count < 3; count += 1) near.send(new Uint8Array(60_000));
    world.advance(10);
    far.onReceived = () => far.close("broken");
    far.resumeReading();
    world.advance(10);

    expect(far.events).toEqual(["received 60000", "closed: closed by this side"]);
    expect(near.last).toBe("closed: reset by the other side");
  });

  test("a paused process is told of opening, data and end in this order once it goes on", () => {
    const { world, here, there } = pair();
    const near = here.dial("b:1");
    here.process.pause();
    world.advance(10);
    there.accepted[1]?.send(bytesOf("hello"));
    there.accepted[1]?.close("done");
    world.advance(10);
    expect(near.events).toEqual([]);

    here.process.resume();
    world.advance(1);

    expect(near.events).toEqual(["opened", "received 5", "closed: closed by the other side"]);
  });

  test("a reset overtakes what a paused process has not read, even its acceptance", () => {
    const { world, here, there, near, far } = pair();
    there.process.pause();
    near.send(bytesOf("unread"));
    const second = here.dial("b:1");
    world.advance(10);
    here.end("killed");
    world.advance(10);
    expect([far.events, there.accepted.length]).toEqual([[], 1]);

    there.process.resume();
    world.advance(1);

    expect(far.events).toEqual(["closed: reset by the other side"]);
    expect(there.accepted[1]?.events).toEqual(["closed: reset by the other side"]);
    expect(second.events).toEqual(["opened"]);
    expect(world.network.describe()).toEqual([]);
  });
});
