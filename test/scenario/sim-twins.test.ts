/** One replica runs twice under the same keys, told of whole clusters behind partitions (hazard B20). */
import { expect, test } from "vitest";
import { scenario, type Scenario } from "../../src/sim/scenario.js";
import type { standardMachine } from "../../src/sim/standard-machine.js";

type Story = Scenario<typeof standardMachine>;

function withTwin(at: number, seed: number): Story {
  return scenario({
    model: "byzantine",
    replicas: 4,
    seed,
    clients: ["all", "all"],
    plan: { lies: [{ at, name: "twin" }] },
  });
}

/** The clients' links break too, so that both ask on their own side. */
function part(group: Story, left: readonly string[]): void {
  group.cutOff(left);
  const { hosts } = group.world;
  for (const one of left) for (const other of hosts) if (!left.includes(other)) group.reset(one, other);
}

test("a primary that runs twice proposes to each half something else: one order is decided", () => {
  const group = withTwin(0, 1);
  part(group, ["a", "b", "c1"]);
  const alone = group.ask({ command: "add", input: { key: "n", value: 1 } }, { from: 1 });
  expect(group.call({ command: "add", input: { key: "n", value: 10 } }, { from: 2 })).toBe(10);
  expect(alone.end).toBeUndefined();

  group.heal();
  expect(group.untilEnded([alone])).toEqual([11]);
  group.until("b to have executed it", () => group.executed("b") >= group.executed("c"));
  expect(group.call({ command: "add", input: { key: "n", value: 100 } }, { from: 2 })).toBe(111);
  group.conclude();
});

test("a backup that runs twice votes on both sides: without a quorum of others nothing is decided twice", () => {
  const group = withTwin(3, 2);
  expect(group.call({ command: "add", input: { key: "n", value: 1 } })).toBe(1);
  part(group, ["a", "b", "d", "c1"]);
  expect(group.call({ command: "add", input: { key: "n", value: 10 } }, { from: 1 })).toBe(11);
  // Now d', which knows nothing of it, is with c and b.
  group.heal();
  part(group, ["a", "d", "c1"]);
  expect(group.call({ command: "add", input: { key: "n", value: 100 } }, { from: 2 })).toBe(111);
  group.heal();
  expect(group.call({ command: "add", input: { key: "n", value: 1_000 } }, { from: 1 })).toBe(1_111);
  group.conclude();
});

test("each of the two is heard by those who cannot reach the other", () => {
  const group = withTwin(3, 3);
  part(group, ["a", "d"]);
  const heardBy = (id: string): readonly string[] => group.replica(id).opened?.core.engine.connected ?? [];
  const twin = group.world.twins[0] ?? expect.fail();
  group.until("both to be heard", () => heardBy("a").includes("d") && heardBy("b").includes("d"));
  expect(twin.opened?.core.engine.connected).toContain("b");
  expect(twin.opened?.core.engine.connected).not.toContain("a");
});
