import { expect, test } from "vitest";

import { healthy, type EngineHealth } from "../../../src/replica/channel.js";
import { Backlog } from "../../../src/replica/backlog.js";
import { Health } from "../../../src/replica/health.js";
import { MemoryLogDisk } from "../../../test-support/memory-log-store.js";
import { ManualClock } from "../../../test-support/manual-clock.js";
import { Core, i, t } from "../../../test-support/raft-core.js";

function watched() {
  const told: EngineHealth[] = [];
  const core = new Core({ voters: "abc" });
  const { state } = core;
  const log = new MemoryLogDisk().open(new ManualClock());
  const backlog = new Backlog();
  const toHost = (message: { readonly kind: string }): void => {
    if ("health" in message) told.push(message.health as EngineHealth);
  };
  return { told, core, log, backlog, health: new Health({ state, log, executionStallMsMax: 100, toHost }, backlog) };
}

test("nothing is told while nothing changes", () => {
  const { told, health } = watched();

  expect(health.look(0)).toEqual([]);
  expect(told).toEqual([]);
});

test("execution stands still when its oldest part has waited for longer than the bound, and goes on when that is executed", () => {
  const { told, core, backlog, health } = watched();
  backlog.add({ index: i(1), bytes: 10, at: 0 });
  backlog.add({ index: i(2), bytes: 10, at: 90 });
  expect(health.look(100)).toEqual([]);

  expect(health.look(101)).toContainEqual({ kind: "execution", isStalled: true, isQuarantined: false });
  core.input({ kind: "execution", isStalled: true });
  expect(health.look(102)).toEqual([]);
  backlog.executedUpTo(i(1));
  expect(backlog.bytes).toBe(10);
  expect(health.look(110)).toContainEqual({ kind: "execution", isStalled: false, isQuarantined: false });

  expect(told.map(({ stalled }) => stalled)).toEqual(["execution", undefined]);
});

test("a leader is given the whole bound from when it leads: whoever waits everywhere may have waited for longer", () => {
  const { core, backlog, health } = watched();
  backlog.add({ index: i(1), bytes: 10, at: core.now - 1_000 });
  core.elect("b", "c");

  expect(health.look(core.now + 100)).toEqual([]);
  expect(health.look(core.now + 101)).toContainEqual({ kind: "execution", isStalled: true, isQuarantined: false });
});

test("a log without space is told with its reason, and each resignation is counted", () => {
  const { told, log, health } = watched();
  log.space = "short";
  log.full = "Cannot extend the log: no space";
  expect(health.look(0)).toContainEqual({ kind: "space", space: "short" });

  health.resigned({ kind: "resigned", reason: "space", term: t(3) });
  health.resigned({ kind: "resigned", reason: "space", term: t(5) });

  expect(told.at(-1)).toEqual({
    ...healthy,
    full: log.full,
    resigned: { reason: "space", term: 5 },
    resignations: { space: 2 },
  });
});
