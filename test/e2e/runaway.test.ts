/** Hazard N7 with real processes: commands that nothing but the end of the process ends. */
import { afterEach, expect, test } from "vitest";

import { connect } from "../../src/node/create-client.js";
import { DevCluster, until } from "../../test-support/dev-cluster.js";
import runaway from "../../test-support/runaway-machine.js";

const given = { ...process.env };
afterEach(() => {
  process.env = { ...given };
});

async function run(ask: "loop" | "hoard", why: string): Promise<void> {
  const cluster = await DevCluster.start(["test-support/runaway-machine.ts"]);
  try {
    const client = await connect(runaway, { endpoints: cluster.replicas.map((replica) => replica.client) });
    expect(await client.write({ text: "one" })).toBe(1);
    const asked = client.$try[ask]({ text: "never" }, { timeoutMs: 120_000 });
    const outcome = await asked;
    const second = await client.write({ text: "two" }, { timeoutMs: 60_000 });
    await until(
      "every replica to be there and level",
      async () => {
        const statuses = await Promise.all(cluster.replicas.map((replica) => cluster.status(replica)));
        const executed = new Set(statuses.map((status) => (status?.ready === true ? status.executedIndex : -1)));
        return executed.size === 1 && !executed.has(-1) ? true : undefined;
      },
      120,
    );

    expect(outcome).toMatchObject({ status: "failed", message: expect.stringContaining(why) as string });
    expect(second).toBe(2);
    expect(await client.log()).toEqual(["one", "two"]);
    await client.$close();
  } finally {
    await cluster.stop();
  }
}

test(
  "N7: a command without an end ends its processes, and is skipped when they are back",
  { timeout: 300_000 },
  async () => {
    process.env["QUORATE_EXECUTION__COMMAND_MS_MAX"] = "2000";
    await run("loop", "it runs for too long");
  },
);

test("N7: a command that takes all memory ends its processes twice, and is skipped", { timeout: 300_000 }, async () => {
  process.env["NODE_OPTIONS"] = `${given["NODE_OPTIONS"] ?? ""} --max-old-space-size=160`;
  await run("hoard", "it ends the process that executes it");
});
