/** Time-outs and cancellation: refused and unknown are never confused (hazard C4), and no number stays open. */
import { describe, expect, test } from "vitest";

import type { CommandOutcome, OutcomeToken } from "../../src/client/outcome.js";
import { ClientWorld } from "../../test-support/client-world.js";
import { FakeGroup } from "../../test-support/fake-group.js";

const three = ["a:1", "b:1", "c:1"];

function warmWorld(): { readonly group: FakeGroup; readonly world: ClientWorld } {
  const group = new FakeGroup(three);
  const world = new ClientWorld(group);
  world.command("warm");
  world.advance(50);
  return { group, world };
}

function tokenOf(outcomes: readonly CommandOutcome[]): OutcomeToken {
  const [outcome] = outcomes;
  if (outcome?.status !== "unknown") throw new Error("the outcome is not unknown");
  return outcome.token;
}

describe("a command given up before it was sent", () => {
  test("is refused, and nobody ever hears of it", () => {
    const group = new FakeGroup(three);
    const world = new ClientWorld(group);

    const asked = world.command("never");
    world.core.cancel(asked.handle, world.now);
    const later = world.command("later");
    world.advance(50);

    expect(asked.outcomes).toEqual([{ status: "refused", refusal: { code: "CANCELLED" } }]);
    expect(later.outcomes).toMatchObject([{ status: "answered" }]);
    expect(group.executedCommands).toEqual(["later"]);
    expect(group.log.filter(({ kind }) => kind === "resolve")).toEqual([]);
  });

  test("by its deadline is refused with each endpoint and its cause", () => {
    const group = new FakeGroup(three);
    three.forEach((address) => group.crash(address));
    const world = new ClientWorld(group);

    const asked = world.command("never", 500);
    world.advance(600);

    expect(asked.outcomes).toMatchObject([{ status: "refused", refusal: { code: "NOT_CONNECTED" } }]);
    expect(JSON.stringify(asked.outcomes)).toContain("b:1 (connection refused)");
  });
});

describe("a command given up after it was sent", () => {
  test("is unknown at its deadline, its number is closed, and the commands behind it run (C4, A7)", () => {
    const { group, world } = warmWorld();
    group.losesRequests = true;
    const lost = world.command("lost", 300);
    const behind = world.command("behind", 30_000);
    world.advance(400);

    group.losesRequests = false;
    world.advance(5_000);

    expect(lost.outcomes).toMatchObject([{ status: "unknown", cause: "timed out" }]);
    expect(behind.outcomes).toMatchObject([{ status: "answered" }]);
    expect(group.executedCommands).toEqual(["warm", "behind"]);
  });

  test("is answered by the token as not executed, for ever, if it was lost", () => {
    const { group, world } = warmWorld();
    group.losesRequests = true;
    const lost = world.command("lost", 300);
    world.advance(400);
    group.losesRequests = false;
    world.advance(3_000);

    const resolved = world.resolve(tokenOf(lost.outcomes));
    world.advance(100);

    expect(resolved.outcomes).toEqual([{ status: "notExecuted" }]);
    expect(group.executedCommands).toEqual(["warm"]);
  });

  test("is answered by the token with its reply if it was executed", () => {
    const { group, world } = warmWorld();
    group.isHeld = true;
    const slow = world.command("slow", 300);
    world.advance(400);
    const resolved = world.resolve(tokenOf(slow.outcomes), 20_000);
    world.advance(100);
    const before = [...resolved.outcomes];

    group.isHeld = false;
    group.execute();
    world.advance(5_000);

    expect(before).toEqual([]);
    expect(resolved.outcomes).toMatchObject([
      { status: "executed", reply: { status: "ok", output: new Uint8Array([2]) } },
    ]);
    expect(group.executedCommands).toEqual(["warm", "slow"]);
  });

  test("is unknown at once when it is cancelled, and executed or closed, never both", () => {
    const { group, world } = warmWorld();
    const asked = world.command("cancelled");
    world.core.cancel(asked.handle, world.now);
    const status = asked.outcomes.map((outcome) => outcome.status);
    world.advance(100);

    const resolved = world.resolve(tokenOf(asked.outcomes));
    world.advance(100);

    expect(status).toEqual(["unknown"]);
    expect(resolved.outcomes).toMatchObject([{ status: "executed" }]);
    expect(group.executedCommands).toEqual(["warm", "cancelled"]);
    expect(asked.outcomes).toHaveLength(1);
  });

  test("is refused, not unknown, if every copy of it was refused (C4, A4)", () => {
    const { group, world } = warmWorld();
    group.refuse = () => ({ code: "NO_LEADER" });
    const asked = world.command("refused", 500);
    world.advance(600);

    group.refuse = () => undefined;
    const next = world.command("next");
    world.advance(3_000);

    expect(asked.outcomes).toEqual([{ status: "refused", refusal: { code: "NO_LEADER" } }]);
    expect(next.outcomes).toMatchObject([{ status: "answered" }]);
    expect(group.executedCommands).toEqual(["warm", "next"]);
  });

  test("is unknown, not refused, if one copy went to a leader that was deposed and another was refused (C4)", () => {
    const { group, world } = warmWorld();
    group.isHeld = true;
    const asked = world.command("doubtful", 2_000);
    world.advance(5);
    group.crash(world.core.status().connectedTo ?? "");
    group.refuse = (_address, message) =>
      message.kind === "request" && message.request.kind === "command" ? { code: "NO_LEADER" } : undefined;
    world.advance(2_500);

    const outcomes = [...asked.outcomes];
    group.refuse = () => undefined;
    group.isHeld = false;
    group.lead(three.find((address) => group.isUp(address)));
    world.advance(5_000);

    expect(outcomes).toMatchObject([{ status: "unknown" }]);
    expect(group.executedCommands).toEqual(["warm", "doubtful"]);
  });

  test("is unknown, not refused, if its refusal follows a change of leader: the replica may have asked both (C4)", () => {
    const { group, world } = warmWorld();
    group.isHeld = true;
    const asked = world.command("doubtful", 200);
    world.advance(5);
    const connected = world.core.status().connectedTo;
    group.losesRequests = true;
    group.lead(connected);
    group.refuse = () => ({ code: "OVERLOADED", queued: 1, limit: 1 });
    world.advance(300);

    expect(asked.outcomes).toMatchObject([{ status: "unknown", cause: "timed out" }]);
  });

  test("that a replica refuses for good waits for certainty while another copy may be executed (C4)", () => {
    const { group, world } = warmWorld();
    group.isHeld = true;
    const asked = world.command("doubtful");
    world.advance(5);
    group.crash(world.core.status().connectedTo ?? "");
    group.refuse = (_address, message) =>
      message.kind === "request" && message.request.kind === "command"
        ? { code: "INVALID_INPUT", message: "another version" }
        : undefined;
    world.advance(500);
    const before = [...asked.outcomes];

    group.isHeld = false;
    group.lead(three.find((address) => group.isUp(address)));
    group.execute();
    world.advance(5_000);

    expect(before).toEqual([]);
    expect(asked.outcomes).toMatchObject([{ status: "answered" }]);
    expect(group.executedCommands).toEqual(["warm", "doubtful"]);
  });
});

describe("a token", () => {
  test("of another client is settled by an ordered request, and its command never runs afterwards", () => {
    const { group, world } = warmWorld();
    const other = new ClientWorld(group, { seed: 2 });
    group.losesRequests = true;
    const lost = world.command("lost", 100);
    world.advance(200);
    group.losesRequests = false;

    const resolved = other.resolve(tokenOf(lost.outcomes));
    other.advance(100);
    world.advance(3_000);

    expect(resolved.outcomes).toEqual([{ status: "notExecuted" }]);
    expect(group.executedCommands).toEqual(["warm"]);
  });

  test("of a session that ended cannot be settled, and says so", () => {
    const { group, world } = warmWorld();
    const session = group.executor.sessions.state(1 as never) === "unknown" ? 0 : world.core.status().session;
    world.core.close(world.now);
    world.advance(50);
    const other = new ClientWorld(group, { seed: 2 });

    const resolved = other.resolve({ session, number: 7 } as never);
    other.advance(100);

    expect(resolved.outcomes).toEqual([{ status: "lost" }]);
  });
});

test("what waits when the client is closed at once is refused if certain, else unknown", () => {
  const group = new FakeGroup(three);
  const world = new ClientWorld(group, { limits: { inFlightMax: 1 } });
  world.advance(10);
  group.isHeld = true;
  world.command("opens");
  world.advance(5);
  group.execute();
  world.advance(5);
  const sent = world.command("sent");
  const waiting = world.command("waiting");
  const query = world.query("read");

  world.core.abort(world.now);

  expect(waiting.outcomes).toEqual([{ status: "refused", refusal: { code: "CLOSED" } }]);
  expect(query.outcomes).toEqual([{ status: "refused", refusal: { code: "CLOSED" } }]);
  expect(sent.outcomes.map(({ status }) => status)).toEqual(["refused"]);
  expect(world.core.wakeAt()).toBe(Infinity);
});
