/** Which replica a client talks to: dead endpoints, hints, silence, and no storms (hazard F7). */
import { describe, expect, test } from "vitest";

import type { ClientMessage } from "../../src/model/request.js";
import { ClientWorld } from "../../test-support/client-world.js";
import { FakeGroup } from "../../test-support/fake-group.js";

const three = ["a:1", "b:1", "c:1"];

function answered(asked: { readonly outcomes: readonly { readonly status: string }[] }): boolean {
  return asked.outcomes.length === 1 && asked.outcomes[0]?.status === "answered";
}

describe("endpoints", () => {
  test("that refuse connections cost no more than a moment", () => {
    const group = new FakeGroup(three);
    group.crash("a:1");
    group.crash("b:1");
    group.lead("c:1");

    for (let seed = 1; seed <= 5; seed += 1) {
      const world = new ClientWorld(group, { seed });
      const asked = world.command("one");
      world.advance(100);
      expect(answered(asked)).toBe(true);
    }
  });

  test("that never answer are given up after the time for connecting", () => {
    const group = new FakeGroup(["c:1"]);
    const world = new ClientWorld(group, {
      endpoints: ["a:1", "b:1", "c:1"],
      blackHoles: ["a:1", "b:1"],
      limits: { connectMs: 200 },
    });

    const asked = world.command("one");
    world.advance(450);

    expect(answered(asked)).toBe(true);
    expect(world.core.status().connectedTo).toBe("c:1");
  });

  test("are all tried again, with growing and jittered delays, while none answers (F7)", () => {
    const group = new FakeGroup(three);
    three.forEach((address) => group.crash(address));
    const worlds = Array.from({ length: 20 }, (_unused, at) => new ClientWorld(group, { seed: at }));

    for (const world of worlds) world.advance(10_000);
    const tries = worlds.map(({ opened }) => opened.length);
    const firsts = new Set(worlds.map(({ opened }) => opened[0]));

    // 3 endpoints, and about one second between two tries of the same once delays have grown.
    expect(Math.max(...tries)).toBeLessThan(3 * 25);
    expect(Math.min(...tries)).toBeGreaterThan(3 * 6);
    expect(firsts.size).toBe(3);
    expect(new Set(tries).size).toBeGreaterThan(1);
  });

  test("that come back are found again", () => {
    const group = new FakeGroup(three);
    three.forEach((address) => group.crash(address));
    const world = new ClientWorld(group);
    const asked = world.command("patient", 60_000);
    world.advance(20_000);

    three.forEach((address) => group.restart(address));
    group.lead("b:1");
    world.advance(2_000);

    expect(answered(asked)).toBe(true);
  });
});

describe("the leader", () => {
  test("that a replica names is moved to, and only one link stays in use", () => {
    const group = new FakeGroup(three);
    for (let seed = 1; seed <= 6; seed += 1) {
      const world = new ClientWorld(group, { seed });
      world.advance(20);
      expect(world.core.status().connectedTo).toBe("a:1");
      expect(world.core.status().endpoints.filter(({ state }) => state !== "closed")).toHaveLength(1);
    }
  });

  test("at an address that no one listed is learnt", () => {
    const group = new FakeGroup(["a:1", "b:1"]);
    group.lead("b:1");
    const world = new ClientWorld(group, { endpoints: ["a:1"] });

    world.advance(20);

    expect(world.core.status().connectedTo).toBe("b:1");
  });

  test("at an address that cannot be reached does not stop the service", () => {
    const group = new FakeGroup(["a:1", "hidden:1"]);
    group.lead("hidden:1");
    const world = new ClientWorld(group, { endpoints: ["a:1"], blackHoles: ["hidden:1"], limits: { connectMs: 200 } });

    const asked = world.command("one");
    world.advance(1_000);

    expect(answered(asked)).toBe(true);
    expect(world.core.status().connectedTo).toBe("a:1");
  });

  test("that changes in the middle of a pipeline neither loses, repeats nor reorders", () => {
    const group = new FakeGroup(three);
    const world = new ClientWorld(group);
    const names = Array.from({ length: 200 }, (_unused, at) => `command ${at}`);
    const asked = [];
    for (const [at, name] of names.entries()) {
      asked.push(world.command(name));
      if (at % 10 === 9) world.advance(1);
      if (at === 60) group.lead("b:1");
      if (at === 120) group.lead("c:1");
      if (at === 160) group.crash("c:1");
      if (at === 180) group.lead("a:1");
    }

    world.advance(5_000);

    expect(group.executedCommands).toEqual(names);
    expect(asked.every(answered)).toBe(true);
    expect(world.core.status().connectedTo).toBe("a:1");
  });
});

describe("a client that connects to any replica", () => {
  test("stays where it begins, whoever leads, and is served there", () => {
    const homes = new Set<string | undefined>();
    for (let seed = 1; seed <= 12; seed += 1) {
      const group = new FakeGroup(three);
      const world = new ClientWorld(group, { seed, connectTo: "any" });
      const asked = [world.command("one"), world.query("look")];
      world.advance(20);
      const home = world.core.status().connectedTo;
      homes.add(home);

      for (const leader of ["b:1", "c:1", "a:1"]) {
        group.lead(leader);
        asked.push(world.command("more"), world.query("look"));
        world.advance(20);
      }

      expect(asked.every(answered)).toBe(true);
      expect(new Set(world.opened)).toEqual(new Set([home]));
    }
    expect([...homes].sort()).toEqual(three);
  });

  test("goes on at another when its own is lost", () => {
    const group = new FakeGroup(three);
    const world = new ClientWorld(group, { connectTo: "any" });
    world.advance(20);
    const home = world.core.status().connectedTo ?? "";

    group.crash(home);
    group.lead(three.find((address) => address !== home));
    const asked = world.command("one");
    world.advance(1_000);

    expect(answered(asked)).toBe(true);
    expect(world.core.status().connectedTo).not.toBe(home);
  });
});

describe("a replica", () => {
  test("that falls silent is left for another after the time of an attempt", () => {
    const group = new FakeGroup(three);
    const world = new ClientWorld(group);
    world.command("warm");
    world.advance(50);
    const silent = world.core.status().connectedTo ?? "";
    const isAsked = (address: string, message: ClientMessage): boolean =>
      message.kind === "query" || address !== silent;
    group.losesReplies = true;
    const asked = world.command("stuck");
    world.advance(500);
    const before = world.core.status().connectedTo;
    group.losesReplies = false;
    group.refuse = (address, message) => (isAsked(address, message) ? undefined : { code: "STOPPING" });

    world.advance(1_500);

    expect(before).toBe(silent);
    expect(answered(asked)).toBe(true);
    expect(group.executedCommands).toEqual(["warm", "stuck"]);
  });

  test("that is stopping is left at once", () => {
    const group = new FakeGroup(three);
    const world = new ClientWorld(group);
    world.command("warm");
    world.advance(50);
    group.refuse = (address) => (address === "a:1" ? { code: "STOPPING" } : undefined);

    const asked = world.command("moved");
    world.advance(30);

    expect(answered(asked)).toBe(true);
    expect(group.executedCommands).toEqual(["warm", "moved"]);
  });

  test("that lags and does not know the session yet is not the last word (C6)", () => {
    const group = new FakeGroup(three);
    const world = new ClientWorld(group);
    world.command("warm");
    world.advance(50);
    const session = world.core.status().session;
    group.refuse = (address, message) =>
      address === "a:1" && message.kind === "request"
        ? { code: "SESSION_NOT_HERE", session: session as never }
        : undefined;

    const asked = world.command("elsewhere");
    world.advance(100);

    expect(answered(asked)).toBe(true);
    expect(world.core.status().counters.sessionsLost).toBe(0);
  });
});
