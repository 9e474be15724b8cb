/** Retries, fail-over and pipelines: hazards C1, C4, C5, C6. The group executes with the real session table. */
import { describe, expect, test } from "vitest";

import { defaultLimits } from "../../src/api/config.js";
import { ClientWorld } from "../../test-support/client-world.js";
import { FakeGroup } from "../../test-support/fake-group.js";

const three = ["a:1", "b:1", "c:1"];

function statuses(asked: readonly { readonly outcomes: readonly { readonly status: string }[] }[]): readonly string[] {
  return asked.map(({ outcomes }) => outcomes.map(({ status }) => status).join("+"));
}

describe("a command", () => {
  test("is executed once and answered once although its first answer is lost (C1)", () => {
    const group = new FakeGroup(three);
    const world = new ClientWorld(group);
    group.losesReplies = true;
    const append = world.command("append");
    world.advance(5);
    const opening = group.executor.statistics.sessionsOpen;
    group.losesReplies = false;

    world.advance(8_000);

    expect(opening).toBe(1);
    expect(statuses([append])).toEqual(["answered"]);
    expect(group.executedCommands).toEqual(["append"]);
  });

  test("whose answer is lost after execution gets the first answer from the next replica (C1)", () => {
    const group = new FakeGroup(three);
    const world = new ClientWorld(group);
    const first = world.command("first");
    world.advance(10);
    group.losesReplies = true;
    const second = world.command("second");
    world.advance(5);
    const asked = world.core.status().connectedTo;

    group.losesReplies = false;
    group.crash(asked ?? "");
    group.lead(three.find((address) => group.isUp(address)));
    world.advance(3_000);

    expect(statuses([first, second])).toEqual(["answered", "answered"]);
    expect(second.outcomes).toMatchObject([{ reply: { output: new Uint8Array([2]) } }]);
    expect(group.executedCommands).toEqual(["first", "second"]);
    expect(world.core.status().counters.retries).toBeGreaterThan(0);
  });

  test("that throws is answered as failed, and is not tried again", () => {
    const group = new FakeGroup(three);
    const world = new ClientWorld(group);

    const asked = world.command("throws");
    world.advance(100);

    expect(asked.outcomes).toMatchObject([{ status: "answered", reply: { status: "failed", message: "thrown" } }]);
    expect(group.executedCommands).toEqual(["throws"]);
  });

  test("is refused for good without another try when no replica would take it", () => {
    const group = new FakeGroup(three);
    const world = new ClientWorld(group);
    world.command("warm");
    world.advance(20);
    group.refuse = (_address, message) =>
      message.kind === "request" && message.request.kind === "command" && message.request.name === "odd"
        ? { code: "UNKNOWN_COMMAND", name: "odd" }
        : undefined;

    const asked = [world.command("before"), world.command("odd"), world.command("behind")];
    world.advance(1_000);

    expect(statuses(asked)).toEqual(["answered", "refused", "answered"]);
    expect(group.executedCommands).toEqual(["warm", "before", "behind"]);
  });
});

describe("a pipeline", () => {
  test("is executed in the order of the calls, whatever opened in between (C5)", () => {
    const group = new FakeGroup(three);
    const world = new ClientWorld(group);
    const names = Array.from({ length: 300 }, (_unused, at) => `command ${at}`);

    const asked = names.map((name) => world.command(name));
    world.advance(50);

    expect(group.executedCommands).toEqual(names);
    expect(statuses(asked)).toEqual(names.map(() => "answered"));
    expect(world.core.status().counters.sessionsOpened).toBe(1);
  });

  test("goes on in order after a change of leader that lost its tail (C1, C5)", () => {
    const group = new FakeGroup(three);
    const world = new ClientWorld(group);
    world.command("warm");
    world.advance(20);
    group.isHeld = true;
    const names = Array.from({ length: 40 }, (_unused, at) => `command ${at}`);
    const asked = names.map((name) => world.command(name));
    world.advance(5);

    group.execute(10);
    group.loseUnexecuted();
    group.isHeld = false;
    group.crash(group.leader ?? "");
    world.advance(20);
    group.lead("b:1");
    world.advance(3_000);

    expect(group.executedCommands).toEqual(["warm", ...names]);
    expect(statuses(asked)).toEqual(names.map(() => "answered"));
  });

  test("of which the first requests were lost is sent again from the gap on", () => {
    const group = new FakeGroup(three);
    const world = new ClientWorld(group);
    world.command("warm");
    world.advance(20);
    group.losesRequests = true;
    const lost = [world.command("one"), world.command("two")];
    world.advance(5);
    group.losesRequests = false;

    const rest = [world.command("three"), world.command("four")];
    world.advance(200);

    expect(statuses([...lost, ...rest])).toEqual(["answered", "answered", "answered", "answered"]);
    expect(group.executedCommands).toEqual(["warm", "one", "two", "three", "four"]);
    expect(world.core.status().counters.refusals.get("GAP")).toBeGreaterThan(0);
  });

  test("that one overloaded moment interrupts keeps its order", () => {
    const group = new FakeGroup(three);
    const world = new ClientWorld(group);
    world.command("warm");
    world.advance(20);
    let refusals = 3;
    group.refuse = () => {
      refusals -= 1;
      return refusals >= 0 ? { code: "OVERLOADED", queued: 9, limit: 9 } : undefined;
    };

    const asked = ["one", "two", "three", "four", "five"].map((name) => world.command(name));
    world.advance(500);

    expect(statuses(asked)).toEqual(asked.map(() => "answered"));
    expect(group.executedCommands).toEqual(["warm", "one", "two", "three", "four", "five"]);
  });

  test("releases answered replies, so that the session keeps few", () => {
    const group = new FakeGroup(three);
    const world = new ClientWorld(group);
    for (let round = 0; round < 50; round += 1) {
      world.command(`command ${round}`);
      world.advance(5);
    }

    const session = group.executor.sessions.state(
      group.log.length > 0 ? (world.core.status().session as never) : (0 as never),
    );

    expect(session).toMatchObject({ next: 51, releasedBelow: 50 });
  });
});

describe("a session", () => {
  const limits = { ...defaultLimits, sessions: { ...defaultLimits.sessions, expiryMs: 1_000 } };

  test("that expired while commands were in flight leaves them unknown and never runs them again (C6, A6)", () => {
    const group = new FakeGroup(three, limits);
    const world = new ClientWorld(group);
    world.command("warm");
    world.advance(20);
    group.agreedTime += 10_000;

    const risked = world.command("risked");
    world.advance(100);
    const later = world.command("later");
    world.advance(100);

    expect(risked.outcomes).toMatchObject([{ status: "unknown", cause: "session lost" }]);
    expect(statuses([later])).toEqual(["answered"]);
    expect(group.executedCommands).toEqual(["warm", "later"]);
    expect(world.core.status().counters).toMatchObject({ sessionsOpened: 2, sessionsLost: 1 });
  });

  test("that may have expired during a long silence is asked first, so that nothing becomes unknown", () => {
    const group = new FakeGroup(three, limits);
    const world = new ClientWorld(group, { limits: { keepAliveMs: 400_000, suspectMs: 500_000 } });
    world.command("warm");
    world.advance(20);
    group.agreedTime += 10_000;
    world.now += 600_000;

    const asked = world.command("after the silence");
    world.advance(100);

    expect(statuses([asked])).toEqual(["answered"]);
    expect(group.executedCommands).toEqual(["warm", "after the silence"]);
  });

  test("is kept alive while the client is idle", () => {
    const group = new FakeGroup(three);
    const world = new ClientWorld(group, { limits: { keepAliveMs: 1_000, suspectMs: 5_000 } });
    world.command("warm");
    world.advance(20);

    world.advance(10_500);

    expect(group.log.filter(({ kind }) => kind === "keepAlive").length).toBe(10);
    expect(world.core.status().counters.sessionsOpened).toBe(1);
  });

  test("is ended when the client closes, after what was in flight", () => {
    const group = new FakeGroup(three);
    const world = new ClientWorld(group);
    const last = world.command("last");
    world.core.close(world.now);
    const refused = world.command("too late");

    world.advance(50);

    expect(last.outcomes).toMatchObject([{ status: "answered" }]);
    expect(refused.outcomes).toMatchObject([{ status: "refused", refusal: { code: "CLOSED" } }]);
    expect(world.core.phase).toBe("closed");
    expect(group.executor.sessions.count).toBe(0);
    expect(world.core.wakeAt()).toBe(Infinity);
  });
});
