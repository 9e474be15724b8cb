/**
 * Random faults against the client: whatever happens to links, leaders, requests and replies, each command is executed at most
 * once, in the order of the calls, and no answer lies (hazards C1, C4, C5, C6).
 */
import { expect, test } from "vitest";

import { nextBetween, randomStream, type Random } from "../../src/base/random.js";
import type { CommandOutcome, Resolution } from "../../src/client/outcome.js";
import { ClientWorld } from "../../test-support/client-world.js";
import { FakeGroup } from "../../test-support/fake-group.js";

const addresses = ["a:1", "b:1", "c:1"];
const seeds = Array.from({ length: 60 }, (_unused, at) => at + 1);

interface Asked {
  readonly name: string;
  readonly outcomes: readonly CommandOutcome[];
}

test.each(seeds)("seed %i: exactly once, in order, and no answer lies", (seed) => {
  const random = randomStream(seed, "faults");
  const group = new FakeGroup(addresses);
  const limits = { inFlightMax: nextBetween(random, 1, 40), attemptMs: 200 };
  const world = new ClientWorld(group, { seed, limits });
  const asked: Asked[] = [];

  for (let round = 0; round < 150; round += 1) {
    for (let burst = nextBetween(random, 0, 6); burst > 0; burst -= 1) asked.push(ask(world, random, asked.length));
    disturb(group, random);
    world.advance(nextBetween(random, 0, 60));
  }
  heal(group, world);

  checkExecuted(group.executedCommands, asked);
  for (const { name, outcomes } of asked) checkOutcome(name, outcomes, group.executedCommands);
  const resolved = resolveAll(world, asked);
  for (const { name, resolution } of resolved) {
    // The session survives this test, so every fate can be told.
    expect([name, resolution?.status]).toEqual([
      name,
      group.executedCommands.includes(name) ? "executed" : "notExecuted",
    ]);
  }
  expect(world.core.status()).toMatchObject({ inFlight: 0, waiting: 0 });
});

function ask(world: ClientWorld, random: Random, at: number): Asked {
  const name = `command ${at}`;
  const { handle, outcomes } = world.command(name, nextBetween(random, 20, 3_000));
  if (nextBetween(random, 0, 19) === 0) world.core.cancel(handle, world.now);
  return { name, outcomes };
}

function disturb(group: FakeGroup, random: Random): void {
  const address = addresses[nextBetween(random, 0, 2)] ?? "";
  switch (nextBetween(random, 0, 11)) {
    case 0:
      return group.crash(address);
    case 1:
    case 2:
      return group.restart(address);
    case 3:
      group.isHeld = true;
      return;
    case 4:
      return group.execute(nextBetween(random, 1, 5));
    case 5:
      group.isHeld = false;
      return group.execute();
    case 6:
      group.losesReplies = nextBetween(random, 0, 1) === 0;
      return;
    case 7:
      group.losesRequests = nextBetween(random, 0, 2) === 0;
      return;
    case 8:
      // What was ordered and not executed goes with the leader that ordered it.
      group.lead(undefined);
      return group.loseUnexecuted();
    case 9:
      return group.breakLinks(address);
    case 10:
      group.refuse = nextBetween(random, 0, 1) === 0 ? () => undefined : () => ({ code: "NO_LEADER" });
      return;
    default:
      return group.isUp(address) ? group.lead(address) : undefined;
  }
}

function heal(group: FakeGroup, world: ClientWorld): void {
  addresses.forEach((address) => group.restart(address));
  group.isHeld = false;
  group.losesReplies = false;
  group.losesRequests = false;
  group.refuse = () => undefined;
  group.lead("a:1");
  group.execute();
  world.advance(30_000);
}

function checkExecuted(executed: readonly string[], asked: readonly Asked[]): void {
  const order = new Map(asked.map(({ name }, at) => [name, at]));
  const places = executed.map((name) => order.get(name) ?? -1);
  expect(places).toEqual([...new Set(places)].sort((left, right) => left - right));
}

function checkOutcome(name: string, outcomes: readonly CommandOutcome[], executed: readonly string[]): void {
  const [outcome] = outcomes;
  expect([name, outcomes.length]).toEqual([name, 1]);
  const place = executed.indexOf(name);
  if (outcome?.status === "refused") expect([name, place]).toEqual([name, -1]);
  if (outcome?.status !== "answered") return;
  // The machine answers the count of commands executed so far, in one byte.
  expect(outcome.reply).toMatchObject({ status: "ok", output: new Uint8Array([(place + 1) % 256]) });
  expect(place).toBeGreaterThanOrEqual(0);
}

function resolveAll(
  world: ClientWorld,
  asked: readonly Asked[],
): { readonly name: string; readonly resolution: Resolution | undefined }[] {
  const pending = asked.flatMap(({ name, outcomes: [outcome] }) =>
    outcome?.status === "unknown" ? [{ name, asked: world.resolve(outcome.token) }] : [],
  );
  world.advance(5_000);
  return pending.map(({ name, asked: { outcomes } }) => ({ name, resolution: outcomes[0] }));
}
