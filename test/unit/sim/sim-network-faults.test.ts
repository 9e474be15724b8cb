import { describe, expect, test } from "vitest";

import { bytesOf, even, pair, World } from "../../../test-support/network-world.js";

describe("paths", () => {
  test("nothing gets across a blocked path, not even what was under way, and everything once it is lifted", () => {
    const { world, near, far } = pair();
    near.send(bytesOf("under way, "));
    world.network.setPath("a", "b", { isBlocked: true });
    near.send(bytesOf("blocked, "));
    world.advance(9000);
    near.send(bytesOf("late"));
    world.advance(1000);
    expect(far.events).toEqual([]);

    world.network.setPath("a", "b", { isBlocked: false });
    world.advance(3100);

    expect(far.text).toBe("under way, blocked, late");
    expect(near.events).toEqual(["opened"]);
    expect(world.network.statistics.blockedDrops).toBeGreaterThan(2);
  });

  test("the other direction of a blocked path works: data arrives, is sent again in vain, and the sender gives up", () => {
    const { world, near, far } = pair();
    world.network.setPath("b", "a", { isBlocked: true });

    const sentAt = world.scheduler.now;
    near.send(bytesOf("hello"));
    far.send(bytesOf("cannot"));
    world.advance(14_000);
    expect([far.text, near.text]).toEqual(["hello", ""]);
    expect(world.network.statistics.duplicatesDropped).toBeGreaterThan(4);
    world.advance(6000);

    expect(near.last).toBe("closed: timed out");
    expect(near.times.at(-1)).toBeCloseTo(sentAt + 15_001, 3);
    expect(far.last).toBe("closed: timed out");
  });

  test("a one-way block that ends in time leaves no trace in the streams", () => {
    const { world, near, far } = pair();
    world.network.setPath("b", "a", { isBlocked: true });
    near.send(bytesOf("one "));
    far.send(bytesOf("uno "));
    world.advance(8000);
    world.network.setPath("b", "a", { isBlocked: false });
    near.send(bytesOf("two"));
    far.send(bytesOf("due"));
    world.advance(20_000);

    expect([far.text, near.text]).toEqual(["one two", "uno due"]);
    expect([near.count("closed"), far.count("closed")]).toEqual([0, 0]);
  });

  test("a clog holds packets and lets all of them go, and holding acknowledgements alone loses nothing", () => {
    const { world, near, far } = pair();
    near.send(bytesOf("1"));
    world.network.setPath("a", "b", { isClogged: true });
    near.send(bytesOf("2"));
    far.send(bytesOf("back"));
    world.advance(3000);
    expect([far.text, near.text]).toEqual(["", "back"]);

    world.network.setPath("a", "b", { isClogged: false });
    world.advance(1.1);
    expect(far.text).toBe("12");
    expect(world.network.statistics.heldByClog).toBeGreaterThan(2);
    const { statistics } = world.network;
    world.advance(10_000);
    const { retransmitted } = statistics;
    world.advance(60_000);

    expect(statistics.retransmitted).toBe(retransmitted);
    expect(near.events).toEqual(["opened", "received 4"]);
    expect(far.bytes).toHaveLength(2);
  });

  test("acknowledgements that a clog holds are missed by the sender, and still count when they come", () => {
    const { world, near, far } = pair();
    world.network.setPath("b", "a", { isClogged: true });
    near.send(bytesOf("in time"));
    world.advance(14_000);
    expect(world.network.statistics.duplicatesDropped).toBeGreaterThan(4);
    world.network.setPath("b", "a", { isClogged: false });
    world.advance(20_000);
    expect([near.last, far.text]).toEqual(["opened", "in time"]);

    world.network.setPath("b", "a", { isClogged: true });
    near.send(bytesOf(", too late"));
    world.advance(20_000);

    expect([near.last, far.text]).toEqual(["closed: timed out", "in time, too late"]);
  });

  test("a clog that lasts too long ends the connection, and its late packets are answered with a reset", () => {
    const { world, near, far } = pair();
    world.network.setPath("a", "b", { isClogged: true });
    near.send(bytesOf("late"));
    world.advance(20_000);
    expect([near.last, far.events]).toEqual(["closed: timed out", []]);

    world.network.setPath("a", "b", { isClogged: false });
    world.advance(10);
    far.send(bytesOf("who is there?"));
    world.advance(10);

    expect(far.events).toEqual(["received 4", "closed: reset by the other side"]);
    expect(world.network.describe()).toEqual([]);
  });

  test("a narrow path takes its time, and delays nothing any more once it is wide again", () => {
    const { world, near, far } = pair();
    world.network.setPath("a", "b", { bytesPerMs: 100 });
    const sentAt = world.scheduler.now;
    near.send(new Uint8Array(9940));
    near.send(new Uint8Array(4940));
    world.advance(1000);
    expect(far.times).toEqual([sentAt + 101, sentAt + 151]);

    world.network.setPath("a", "b", { bytesPerMs: 1 });
    near.send(new Uint8Array(60_000));
    near.send(new Uint8Array(1000));
    world.advance(10_000);
    expect(far.bytes).toHaveLength(14_880);
    world.network.setPath("a", "b", { bytesPerMs: Infinity });
    world.advance(3002);

    expect(far.bytes).toHaveLength(75_880);
  });

  test("what would wait for too long before a narrow path is lost, and the rest gets through bit by bit", () => {
    const { world, near, far } = pair();
    world.network.setPath("a", "b", { bytesPerMs: 10 });
    for (let count = 0; count < 40; count += 1) near.send(new Uint8Array(940));
    world.advance(1000);
    expect(far.bytes).toHaveLength(940 * 9);
    expect(world.network.statistics.lost).toBeGreaterThan(20);
    world.advance(15_000);

    expect(far.bytes).toHaveLength(940 * 40);
  });

  test("block and clog come and go without touching the rest, and a reset of the paths lifts all", () => {
    const { network } = new World();
    network.setPath("a", "b", { isBlocked: true });
    network.setPath("a", "b", { lossChance: 0.5, delayMsMax: 7 });
    network.setPath("a", "b", { isClogged: true });
    network.setPath("a", "b", { isBlocked: false });
    expect(network.pathOf("a", "b")).toMatchObject({
      ...even,
      delayMsMax: 7,
      lossChance: 0.5,
      isClogged: true,
      isBlocked: false,
    });
    expect(network.pathOf("b", "a")).toMatchObject({ ...even, lossChance: 0, isClogged: false });

    network.resetPaths();

    expect(network.pathOf("a", "b")).toEqual(network.pathOf("b", "a"));
    expect(network.pathOf("a", "a").delayMsMax).toBeLessThan(0.1);
  });
});

describe("ends of processes and hosts", () => {
  test("a reset of two hosts ends every connection between them at both ends, and no other", () => {
    const { world, here, near, far } = pair();
    const third = world.process("c");
    third.listen("c:1");
    const other = here.dial("c:1");
    world.advance(10);
    near.send(bytesOf("lost"));

    world.network.reset("b", "a");
    near.send(bytesOf("too late"));
    expect([near.last, far.last]).toEqual(["opened", "nothing"]);
    world.advance(10);

    expect([near.last, far.last, other.last]).toEqual([
      "closed: reset by the other side",
      "closed: reset by the other side",
      "opened",
    ]);
    expect(far.bytes).toHaveLength(0);
    expect(world.network.statistics.resets).toBe(2);
    expect(world.network.describe()).toEqual(["a > c:1: a.1 open, 0 queued, 0 unread | c.3 open, 0 queued, 0 unread"]);
  });

  test("a reset of one connection is drawn among the open ones", () => {
    const { world, here } = pair();
    const others = [here.dial("b:1"), here.dial("b:1"), here.dial("b:1")];
    world.advance(10);

    for (let left = 4; left > 0; left -= 1) {
      expect(world.network.describe()).toHaveLength(left);
      expect(world.network.resetOne()).toBe(true);
    }
    world.advance(10);

    expect(world.network.resetOne()).toBe(false);
    expect(others.every(({ last }) => last.startsWith("closed"))).toBe(true);
  });

  test("a killed process's host resets its connections after one way", () => {
    const { world, there, near, far } = pair();
    const killedAt = world.scheduler.now;
    near.send(bytesOf("unheard"));

    there.end("killed");
    far.send(bytesOf("from the grave"));
    world.advance(10);

    expect([near.last, near.times.at(-1)]).toEqual(["closed: reset by the other side", killedAt + 1]);
    expect([near.text, far.events]).toEqual(["", []]);
    expect(world.network.describe()).toEqual([]);
  });

  test("a reset that is blocked on its way is learned of with the next packet that gets an answer", () => {
    const { world, there, near } = pair();
    world.network.setPath("b", "a", { isBlocked: true });
    there.end("killed");
    world.network.setPath("b", "a", { isBlocked: false });
    world.advance(60_000);
    expect(near.last).toBe("opened");

    near.send(bytesOf("still there?"));
    world.advance(3);

    expect(near.last).toBe("closed: reset by the other side");
  });

  test("with its host lost nobody is told: silence without traffic, a time-out with it", () => {
    const { world, there, near } = pair();
    there.end("hostLost");
    world.advance(100_000);
    expect(near.events).toEqual(["opened"]);

    const sentAt = world.scheduler.now;
    near.send(bytesOf("still there?"));
    world.advance(100_000);

    expect([near.last, near.times.at(-1)]).toEqual(["closed: timed out", sentAt + 15_001]);
    expect(world.network.describe()).toEqual([]);
  });

  test("a host that is up again resets what it does not know, and what it sent itself before may still arrive", () => {
    const { world, there, near, far } = pair();
    far.send(bytesOf("last words"));
    there.end("hostLost");
    near.send(bytesOf("still there?"));
    world.advance(100);
    expect(near.text).toBe("last words");

    const again = world.process("b");
    world.advance(10_000);
    expect(near.last).toBe("closed: reset by the other side");
    const refused = near.connection.bufferedBytes;
    expect(refused).toBe(0);
    again.listen("b:1");
    near.send(bytesOf("nothing happens"));
    world.advance(100);

    expect(again.accepted).toEqual([]);
  });

  test("opening to a lost host is silence, and to a host that is up without a listener a refusal", () => {
    const { world, here, there } = pair();
    there.end("hostLost");
    const silent = here.dial("b:1");
    world.advance(11_000);
    world.process("b");
    const refused = here.dial("b:1");
    world.advance(11_000);

    expect([silent.events, refused.events]).toEqual([["closed: timed out"], ["closed: connection refused"]]);
  });

  test("a process that was killed in this turn dials nobody", () => {
    const { world, here, there } = pair();
    here.end("killed");
    const near = here.dial("b:1");
    near.send(bytesOf("x"));
    world.advance(100);

    expect([near.events, there.accepted.length]).toEqual([[], 1]);
    expect(world.network.describe()).toEqual([]);
  });
});
