/** Every queue of a client has an end, and what happens there is decided. */
import { expect, test } from "vitest";

import { checkClientLimits, defaultClientLimits } from "../../src/client/limits.js";
import { ClientWorld } from "../../test-support/client-world.js";
import { FakeGroup } from "../../test-support/fake-group.js";

const three = ["a:1", "b:1", "c:1"];

test("no more commands than the window allows are on their way at once, and all are answered", () => {
  const group = new FakeGroup(three);
  const world = new ClientWorld(group, { limits: { inFlightMax: 4 } });
  world.command("warm");
  world.advance(50);
  group.isHeld = true;

  const asked = Array.from({ length: 20 }, (_unused, at) => world.command(`command ${at}`));
  world.advance(20);
  const sent = group.commandsReceived().length - 1;
  group.isHeld = false;
  group.execute();
  world.advance(200);

  expect(sent).toBe(4);
  expect(asked.every(({ outcomes }) => outcomes[0]?.status === "answered")).toBe(true);
  expect(group.executedCommands).toHaveLength(21);
});

test("a window full of bytes lets one large command through at a time", () => {
  const group = new FakeGroup(three);
  // Each command counts 8 bytes of input and 1 of its name.
  const world = new ClientWorld(group, { limits: { inFlightBytesMax: 20, inputBytesMax: 10 } });
  group.isHeld = true;
  world.command("a");
  world.advance(20);
  group.execute();
  world.advance(20);
  const asked = Array.from({ length: 6 }, () => world.command("b"));
  world.advance(20);

  const inFlight = world.core.status().inFlight;
  group.isHeld = false;
  group.execute();
  world.advance(200);

  expect(inFlight).toBe(2);
  expect(asked.every(({ outcomes }) => outcomes[0]?.status === "answered")).toBe(true);
});

test("beyond the line of those who wait, a command is refused at once and never sent", () => {
  const group = new FakeGroup(three);
  const world = new ClientWorld(group, { limits: { waitingMax: 3 } });

  const asked = Array.from({ length: 5 }, (_unused, at) => world.command(`command ${at}`));
  const refused = asked.slice(3).map(({ outcomes }) => outcomes[0]);
  world.advance(100);

  expect(refused).toEqual([
    { status: "refused", refusal: { code: "OVERLOADED", queued: 3, limit: 3 } },
    { status: "refused", refusal: { code: "OVERLOADED", queued: 3, limit: 3 } },
  ]);
  expect(group.executedCommands).toEqual(["command 0", "command 1", "command 2"]);
});

test("places in the line that were given up are free again", () => {
  const group = new FakeGroup(three);
  const world = new ClientWorld(group, { limits: { waitingMax: 3 } });
  const given = [1, 2, 3].map(() => world.command("given up"));
  for (const { handle } of given) world.core.cancel(handle, world.now);

  const asked = [1, 2, 3].map((at) => world.command(`command ${at}`));
  world.advance(100);

  expect(asked.every(({ outcomes }) => outcomes[0]?.status === "answered")).toBe(true);
  expect(world.core.status().waiting).toBe(0);
});

test("an input beyond the limit is refused before it has a number", () => {
  const group = new FakeGroup(three);
  const world = new ClientWorld(group, { limits: { inputBytesMax: 7 } });

  const asked = world.command("one");

  expect(asked.outcomes).toEqual([{ status: "refused", refusal: { code: "TOO_LARGE", bytes: 8, limit: 7 } }]);
});

test("limits that contradict each other are not accepted", () => {
  expect(checkClientLimits(defaultClientLimits)).toBeUndefined();
  expect(checkClientLimits({ ...defaultClientLimits, inFlightMax: 0 })).toContain("inFlightMax");
  expect(checkClientLimits({ ...defaultClientLimits, attemptMs: 9_000 })).toContain("attemptMsMax");
  expect(checkClientLimits({ ...defaultClientLimits, keepAliveMs: 90_000 })).toContain("suspectMs");
});
