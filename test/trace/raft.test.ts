/**
 * Golden conversations of the Raft core, as text: what each replica was told and what it asked of the world.
 * `UPDATE=1` rewrites them; a change of one needs a sentence in the commit that says why.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { RaftCluster } from "../../test-support/raft-cluster.js";

const conversations: Readonly<Record<string, (cluster: RaftCluster) => void>> = {
  election(cluster) {
    cluster.traced = true;
    cluster.untilLeader();
    cluster.run(8);
  },
  replication(cluster) {
    const leader = cluster.untilLeader();
    cluster.run(8).traced = true;
    cluster.submit(leader, "x").submit(leader, "y").run(8);
  },
  "conflict-repair"(cluster) {
    const deposed = cluster.untilLeader();
    cluster.run(8).cutOff([deposed]).submit(deposed, "lost 1").submit(deposed, "lost 2").run(100);
    const next = cluster.untilLeader({ not: deposed });
    cluster.submit(next, "kept").run(350).crash(next).run(20).restart(next);
    cluster.untilLeader({ not: deposed });
    cluster.run(350).heal().traced = true;
    cluster.until("the logs agree", () => cluster.executed(deposed).includes("kept")).run(4);
  },
  "leader-killed"(cluster) {
    const leader = cluster.untilLeader();
    cluster.run(8).traced = true;
    cluster.crash(leader).untilLeader({ not: leader });
    cluster.run(4);
  },
  "read-barrier"(cluster) {
    const leader = cluster.untilLeader();
    cluster.run(8).traced = true;
    cluster.barrier(leader);
    cluster.barrier(cluster.replicas.find((id) => id !== leader) ?? leader);
    cluster.run(8);
  },
};

for (const [name, converse] of Object.entries(conversations)) {
  test(`the conversation "${name}" goes as written down`, () => {
    const cluster = new RaftCluster({ replicas: 3, seed: 21 });
    converse(cluster);
    const text = `${cluster.trace.join("\n")}\n`;
    const file = fileURLToPath(new URL(`raft/${name}.txt`, import.meta.url));

    if (process.env["UPDATE"] === "1") writeFileSync(file, text);
    expect(existsSync(file) ? readFileSync(file, "utf8") : "not written down yet").toBe(text);
    expect(cluster.trace.length).toBeGreaterThan(10);
  });
}

test("the same seed gives the same conversation", () => {
  const told = [1, 2].map(() => {
    const cluster = new RaftCluster({
      replicas: 5,
      seed: 3,
      network: { delayMs: [0.5, 20], loss: 0.1, duplication: 0.1, reorder: true },
    });
    cluster.traced = true;
    for (let at = 0; at < 20; at += 1) {
      for (const id of cluster.leading) cluster.submit(id, `${at}`);
      cluster.run(50);
    }
    return cluster.trace.join("\n");
  });

  expect(told[0]).toBe(told[1]);
});
