/** Where a replica orders matters to nobody, but that a host whose thread is held holds no engine on a thread of its own. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Worker } from "node:worker_threads";
import { afterAll, describe, expect, test } from "vitest";
import { startReplica, type ReplicaOptions } from "quorate/server";
import { defaultLimits, enginePlaces } from "../../src/api/config.js";
import type { Replica } from "../../src/api/replica.js";
import { encodeUtf8 } from "../../src/base/bytes.js";
import { connect } from "../../src/node/create-client.js";
import { freePorts } from "../../test-support/ports.js";
import type { ProcessStatus } from "../../src/server/http.js";
import { DevCluster, until } from "../../test-support/dev-cluster.js";
import slow from "../../test-support/slow-machine.js";
import { tally } from "../../test-support/tally-machine.js";

const folder = mkdtempSync(join(tmpdir(), "quorate-engine-"));
const running: Replica[] = [];
afterAll(async () => {
  await Promise.all(running.map((replica) => replica.stop()));
  rmSync(folder, { recursive: true, force: true });
});

type Founded = Omit<ReplicaOptions, "id" | "engine">;

async function found(name: string, ids: readonly string[]): Promise<(id: string) => Founded & { readonly id: string }> {
  const ports = (await freePorts(ids.length * 2)).map((port) => `127.0.0.1:${port}`);
  const members = ids.map((id, at) => {
    const [peer = "", client = ""] = ports.slice(2 * at);
    return { id, role: "voter" as const, incarnation: 1, peer, client };
  });
  // Long, so that a busy machine elects nobody by itself.
  const raft = { ...defaultLimits.raft, electionTimeoutMsMin: 2_000, electionTimeoutMsMax: 3_000 };
  const storage = { ...defaultLimits.storage, segmentBytes: 2 * 1024 * 1024, reserveBytes: 1024 * 1024 };
  const limits = { ...defaultLimits, raft, storage };
  return (id) => ({
    id,
    clusterId: name,
    dataDir: join(folder, `${name}-${id}`),
    members,
    bootstrap: true,
    limits,
  });
}

async function add(replica: Replica, name: string): Promise<string> {
  const door = replica.openDoor("test");
  const outcome = await door.command("add", encodeUtf8(name), undefined);
  door.close();
  return outcome.status === "ok" ? Buffer.from(outcome.output).toString() : outcome.status;
}

const leaderOf = (replicas: readonly Replica[]): Promise<Replica> =>
  until("a leader that all know", async () => {
    const statuses = replicas.map((replica) => replica.status());
    const leader = statuses[0]?.leader;
    const isKnown = statuses.every((status) => status.leader === leader && status.ready);
    return isKnown ? replicas[statuses.findIndex(({ id }) => id === leader)] : undefined;
  });

/** Nothing else runs on this thread meanwhile. */
function holdThisThread(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

describe.each(enginePlaces)("with the engine %s", (engine) => {
  test("commands that hold every replica are executed once and in order", { timeout: 120_000 }, async () => {
    const cluster = await DevCluster.start(["test-support/slow-machine.ts", "--engine", engine]);
    try {
      const client = await connect(slow, { endpoints: cluster.replicas.map((replica) => replica.client) });
      for (let count = 1; count <= 5; count += 1) expect(await client.hold({ key: "k", ms: 200 })).toBe(count);
      const together = await Promise.all(Array.from({ length: 5 }, () => client.hold({ key: "k", ms: 200 })));

      expect(together).toEqual([6, 7, 8, 9, 10]);
      expect(await client.count("k")).toBe(10);
      const http = cluster.replicas[0]?.http ?? "";
      const { engineEventLoop } = (await (await fetch(`http://${http}/v1/status`)).json()) as ProcessStatus;
      const metrics = await (await fetch(`http://${http}/metrics`)).text();
      const seconds = Number(/^quorate_engine_event_loop_longest_turn_seconds (.*)$/m.exec(metrics)?.[1]);
      // No timer comes to the microsecond: a thread that is watched has been late.
      if (engine === "worker") expect(engineEventLoop?.longestTurnWallMs).toBeGreaterThan(0);
      else expect(engineEventLoop).toBeUndefined();
      expect(seconds > 0).toBe(engine === "worker");
      await client.$close();
    } finally {
      await cluster.stop();
    }
  });

  test("a replica that was stopped has everything when it starts again, and its figures are told", async () => {
    const optionsOf = await found(`again-${engine}`, ["a"]);
    const first = await startReplica(tally, { ...optionsOf("a"), engine });
    for (let count = 1; count <= 20; count += 1) expect(await add(first, "x")).toBe(String(count));
    const { lastIndex } = await until("its figures", async () => {
      const status = first.status();
      return status.lastIndex > 20 && status.counters.logWrites > 0 ? status : undefined;
    });
    await first.stop();
    const second = await startReplica(tally, { ...optionsOf("a"), bootstrap: false, engine });
    running.push(second);

    expect(await add(second, "x")).toBe("21");
    expect(second.status().lastIndex).toBeGreaterThan(lastIndex);
  });

  test("all is executed, however little may be on its way to execution", async () => {
    const optionsOf = await found(`narrow-${engine}`, ["a"]);
    const { limits = defaultLimits, ...options } = optionsOf("a");
    const execution = { ...limits.execution, deliveredBytesMax: 65_536 };
    const replica = await startReplica(tally, { ...options, limits: { ...limits, execution }, engine });
    running.push(replica);
    const door = replica.openDoor("test");
    const large = encodeUtf8("x".repeat(10_000));
    const ends = await Promise.all(Array.from({ length: 200 }, () => door.command("add", large, undefined)));
    door.close();

    const counts = ends.map((end) => (end.status === "ok" ? Buffer.from(end.output).toString() : end.status));
    expect(counts).toEqual(ends.map((_, at) => String(at + 1)));
  });

  test("a replica whose port for others is taken is refused, and gives its directory back", async () => {
    const optionsOf = await found(`taken-${engine}`, ["a"]);
    const options = optionsOf("a");
    const port = Number(options.members[0]?.peer.split(":")[1]);
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(port, "127.0.0.1", resolve));

    await expect(startReplica(tally, { ...options, engine })).rejects.toThrow("EADDRINUSE");
    await new Promise((resolve) => taken.close(resolve));
    const started = await startReplica(tally, { ...options, engine });
    running.push(started);
    expect(await add(started, "x")).toBe("1");
  });

  test("what is wrong with a directory is told before anything runs", async () => {
    const optionsOf = await found(`wrong-${engine}`, ["a", "b"]);
    await (await startReplica(tally, { ...optionsOf("a"), engine })).stop();
    const alone = optionsOf("a").members.filter(({ id }) => id === "a");

    const empty = startReplica(tally, { ...optionsOf("b"), bootstrap: false, engine });
    await expect(empty).rejects.toThrow("does not exist");
    const other = startReplica(tally, { ...optionsOf("a"), members: alone, engine });
    await expect(other).rejects.toThrow("the members of its cluster are a, b");
    const removed = join(folder, `wrong-${engine}-a`, "hard-state");
    rmSync(removed);
    const amnesiac = startReplica(tally, { ...optionsOf("a"), engine });
    await expect(amnesiac).rejects.toThrow("its hard-state file is gone");
  });

  test("a replica that joins fetches the state that is in no log any more", { timeout: 120_000 }, async () => {
    const optionsOf = await found(`joins-${engine}`, ["a", "b"]);
    const a = await startReplica(tally, { ...optionsOf("a"), members: optionsOf("a").members.slice(0, 1), engine });
    running.push(a);
    const large = "x".repeat(100_000);
    for (let count = 0; count < 60; count += 1) await add(a, `${count} ${large}`);
    await a.checkpoint();
    await until("a log that has given some back", async () => (a.status().checkpoint.logStart > 0 ? true : undefined));
    const [, place] = optionsOf("b").members;
    if (place === undefined) throw new Error("no second member");
    const b = await startReplica(tally, { ...optionsOf("b"), bootstrap: false, join: true, engine });
    running.push(b);
    await a.members.add(place);

    await until("everything executed", async () =>
      b.status().executedIndex >= a.status().lastIndex && b.status().ready ? true : undefined,
    );
    expect(b.status().counters.checkpointsFetched).toBe(1);
    expect(await add(b, `7 ${large}`)).toBe("2");
  });
});

describe("an engine on a thread of its own", () => {
  test("keeps its place while the thread of every host is held, and gives it away when that lasts", async () => {
    const optionsOf = await found("held", ["a", "b", "c"]);
    const started = await Promise.all(
      ["a", "b", "c"].map((id) => startReplica(tally, { ...optionsOf(id), engine: "worker" })),
    );
    running.push(...started);
    const leader = await leaderOf(started);
    const { term } = leader.status();

    holdThisThread(7_000);
    expect(await add(leader, "x")).toBe("1");
    expect(started.map((replica) => replica.status().term)).toEqual([term, term, term]);

    holdThisThread(17_000);
    await until("another term", async () => (leader.status().term > term ? true : undefined));
    expect(await add(leader, "x")).toBe("2");
  });

  test.each([
    [
      "something that nobody expected",
      (worker: Worker) => worker.postMessage({ kind: "nonsense" }),
      "unreachable variant",
    ],
    ["a fatal end", (worker: Worker) => void worker.terminate(), "it ended with code"],
  ])("breaks its replica with the reason: %s", async (_name, end, reason) => {
    const optionsOf = await found(`broken-${reason.length}`, ["a"]);
    const workers: Worker[] = [];
    const keep = (worker: Worker): void => void workers.push(worker);
    process.on("worker", keep);
    const broken: string[] = [];
    const onBroken = (why: string): void => void broken.push(why);
    const replica = await startReplica(tally, { ...optionsOf("a"), engine: "worker", onBroken });
    process.off("worker", keep);
    expect(await add(replica, "x")).toBe("1");

    for (const worker of workers) end(worker);
    await until("the end", async () => (broken.length > 0 ? true : undefined));

    expect(broken).toEqual([expect.stringContaining(reason)]);
    expect(replica.status()).toMatchObject({ ready: false, broken: broken[0] });
    await replica.stop();
    const again = await startReplica(tally, { ...optionsOf("a"), engine: "worker" });
    expect(await add(again, "x")).toBe("2");
    await again.stop();
  });
});
