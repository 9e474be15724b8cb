/** Hazard N7 with real replicas: two of three cannot finish a command, and the third has executed it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";

import { CannotFinish, type Batch, type LowLevelMachine } from "../../../src/api/low-level.js";
import type { Replica } from "../../../src/api/replica.js";
import { define } from "../../../src/index.js";
import { connect } from "../../../src/node/create-client.js";
import { startReplica } from "../../../src/node/create-replica.js";
import { freePorts } from "../../../test-support/ports.js";
import { until } from "../../../test-support/dev-cluster.js";

const folder = mkdtempSync(join(tmpdir(), "quorate-unfinished-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ledger = define({ name: "ledger", version: 1, state: ({ list }) => ({ log: list<string>() }) }).machine({
  commands: {
    write(state, { text }: { text: string }) {
      state.log.push(text);
      return state.log.length;
    },
    hard(state, _input: null) {
      state.log.push("hard");
      return state.log.length;
    },
  },
  queries: { log: (state) => [...state.log] },
});

/** Where it runs, nobody can do `hard`. */
const weak: LowLevelMachine & typeof ledger = {
  ...ledger,
  open(environment) {
    const instance = ledger.open(environment);
    const apply = instance.apply.bind(instance);
    return Object.assign(instance, {
      apply(batch: Batch) {
        batch.commands.forEach(({ name }, step) => {
          if (name === "hard" && batch.held?.get(step)?.isSkipped !== true) throw new CannotFinish(step, "memory");
        });
        return apply(batch);
      },
    });
  },
};

test("N7: the one that has executed it executes again from an older state, and is like the others", async () => {
  const ports = await freePorts(6);
  const members = ["a", "b", "c"].map((id, at) => ({
    id,
    role: "voter" as const,
    incarnation: 1,
    peer: `127.0.0.1:${ports[2 * at]}`,
    client: `127.0.0.1:${ports[2 * at + 1]}`,
  }));
  const broken: string[] = [];
  const dropped: string[] = [];
  const start = (id: string): Promise<Replica> =>
    startReplica(id === "c" ? ledger : weak, {
      id,
      clusterId: "mixed",
      dataDir: join(folder, id),
      members,
      bootstrap: true,
      onBroken: (reason) => broken.push(`${id}: ${reason}`),
      onDropped: (_reason, detail) => dropped.push(`${id}: ${detail}`),
    });
  const replicas = new Map<string, Replica>();
  for (const { id } of members) replicas.set(id, await start(id));
  const client = await connect(ledger, { endpoints: members.map((member) => member.client) });
  const soon = (what: string, look: () => boolean): Promise<boolean> =>
    until(what, () => Promise.resolve(look() ? true : undefined));
  const executed = (id: string): number => replicas.get(id)?.status().executedIndex ?? 0;

  expect(await client.write({ text: "one" })).toBe(1);
  // With this it may begin again.
  await replicas.get("a")?.checkpoint();
  await soon("a certified checkpoint", () => (replicas.get("c")?.status().checkpoint.certifiedIndex ?? 0) > 0);
  const outcome = await client.$try.hard(null);
  expect(await client.write({ text: "two" })).toBe(2);
  await soon("all to be level", () => executed("c") === executed("a") && executed("b") === executed("a"));

  expect(dropped).toContainEqual(expect.stringMatching(/^c: step 0 of entry \d+ is skipped: memory$/));
  expect(broken).toEqual([]);
  // The answer is that of whoever gave it: the third may have been asked, and sooner.
  expect(["ok", "failed"]).toContain(outcome.status);
  for (const { id, client: endpoint } of members) {
    const own = await connect(ledger, { endpoints: [endpoint] });
    expect({ id, log: await own.log(undefined as never, { read: "local" }) }).toEqual({ id, log: ["one", "two"] });
    await own.$close();
  }
  await client.$close();
  for (const replica of replicas.values()) await replica.stop();
});
