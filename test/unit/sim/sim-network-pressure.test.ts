import { describe, expect, test } from "vitest";

import { bytesOf, pair } from "../../../test-support/network-world.js";

describe("back-pressure", () => {
  const window = 256 * 1024;

  test("what the window does not take waits in the queue, and `drained` tells when it is empty again", () => {
    const { world, near, far } = pair();
    far.pauseReading();
    near.send(new Uint8Array(window));
    expect(near.connection.bufferedBytes).toBe(0);
    near.send(new Uint8Array(100_000));
    expect(near.connection.bufferedBytes).toBe(100_000);
    world.advance(60_000);
    expect([near.connection.bufferedBytes, far.events, near.events]).toEqual([100_000, [], ["opened"]]);

    far.resumeReading();
    world.advance(10);

    expect(far.bytes).toHaveLength(window + 100_000);
    expect([near.connection.bufferedBytes, near.events]).toEqual([0, ["opened", "drained"]]);
  });

  test("a queue that was short is not reported as drained", () => {
    const { world, near, far } = pair();
    far.pauseReading();
    near.send(new Uint8Array(window + 64 * 1024));
    world.advance(1000);
    far.resumeReading();
    world.advance(10);

    expect(far.bytes).toHaveLength(window + 64 * 1024);
    expect(near.events).toEqual(["opened"]);
  });

  test("pausing within `received` stops at once, and what arrived waits", () => {
    const { world, near, far } = pair();
    far.onReceived = () => far.pauseReading();
    near.send(bytesOf("one"));
    world.advance(1.5);
    near.send(bytesOf("two"));
    near.send(bytesOf("three"));
    world.advance(10);
    expect(far.text).toBe("one");

    far.onReceived = () => {};
    far.resumeReading();
    expect(far.text).toBe("one");
    world.advance(1);

    expect(far.events).toEqual(["received 3", "received 8"]);
  });

  test("pausing within `received` leaves what was to be read next", () => {
    const { world, near, far } = pair();
    far.pauseReading();
    for (let count = 0; count < 3; count += 1) near.send(new Uint8Array(60_000));
    world.advance(10);
    far.onReceived = () => far.pauseReading();
    for (const expected of [60_000, 120_000, 180_000]) {
      far.resumeReading();
      world.advance(10);
      expect(far.bytes).toHaveLength(expected);
    }
  });

  test("a paused process fills the window as one that does not read, and goes on in order", () => {
    const { world, there, near, far } = pair();
    there.process.pause();
    for (let count = 0; count < 10; count += 1) near.send(new Uint8Array(50_000).fill(count));
    const during = there.world.process("a").dial("b:1");
    during.send(bytesOf("new"));
    world.advance(60_000);
    expect(far.events).toEqual([]);
    expect(near.connection.bufferedBytes).toBe(500_000 - 250_000);
    // Its host opens connections without it.
    expect([during.events, there.accepted.length]).toEqual([["opened"], 1]);

    there.process.resume();
    world.advance(10);

    expect(far.bytes).toHaveLength(500_000);
    expect(far.bytes.every((byte, at) => byte === Math.floor(at / 50_000))).toBe(true);
    expect(near.events).toEqual(["opened", "drained"]);
    expect(there.accepted[1]?.text).toBe("new");
  });

  test("a paused sender's own queue waits for it", () => {
    const { world, here, near, far } = pair();
    near.send(new Uint8Array(window + 100_000));
    here.process.pause();
    world.advance(1000);
    expect(far.bytes).toHaveLength(window);

    here.process.resume();
    world.advance(10);

    expect(far.bytes).toHaveLength(window + 100_000);
    expect(near.last).toBe("drained");
  });

  test("news of room that got lost is asked for", () => {
    const { world, near, far } = pair();
    far.pauseReading();
    near.send(new Uint8Array(window + 100_000));
    world.advance(1000);
    world.network.setPath("b", "a", { isBlocked: true });
    far.resumeReading();
    world.advance(5000);
    expect(far.bytes).toHaveLength(window);

    world.network.setPath("b", "a", { isBlocked: false });
    world.advance(3100);

    expect(far.bytes).toHaveLength(window + 100_000);
    expect(near.last).toBe("drained");
  });

  test("a receiver that is there and reads nothing is waited for, for ever; one that vanishes is not", () => {
    const { world, there, near, far } = pair();
    far.pauseReading();
    near.send(new Uint8Array(window + 100_000));
    world.advance(300_000);
    expect(near.events).toEqual(["opened"]);

    there.end("hostLost");
    world.advance(30_000);

    expect(near.last).toBe("closed: timed out");
  });
});
