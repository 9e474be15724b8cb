/** The example whose state lies in a database over real processes: typed, through kills of every replica, from a checkpoint, and audited. */
import { afterAll, beforeAll, expect, test } from "vitest";
import store from "../../examples/03-on-disk/store.js";
import { connect, type ConnectedClient } from "../../src/node/create-client.js";
import { DevCluster, until } from "../../test-support/dev-cluster.js";

const path = new URL("../../examples/03-on-disk/store.ts", import.meta.url).pathname;
const entries = Array.from({ length: 200 }, (_, at) => ({ key: `key ${at}`, value: `${at}`.repeat(50) }));
let cluster: DevCluster;
let client: ConnectedClient<typeof store>;

beforeAll(async () => {
  cluster = await DevCluster.start([path]);
  client = await connect(store, { endpoints: cluster.replicas.map((replica) => replica.client), timeoutMs: 60_000 });
}, 60_000);

afterAll(async () => {
  await client.$close();
  await cluster.stop();
});

interface Audited {
  readonly audit: { readonly positions: Readonly<Record<string, number>> };
}

test("every replica starts from its checkpoint, and has what was written before and after it", async () => {
  await client.setAll(entries);
  const [first] = cluster.replicas;
  if (first === undefined) throw new Error("no replica");
  const answer = await fetch(`http://${first.http}/v1/checkpoint`, { method: "POST" });
  expect(answer.status).toBe(200);
  await client.set({ key: "key 3", value: "new" });
  expect(await client.remove("key 4")).toBe(true);
  expect(await client.remove("key 4")).toBe(false);
  for (const { id } of cluster.replicas) {
    cluster.kill(id);
    expect(await client.size()).toBe(199);
    await cluster.whole();
  }

  const expected = entries.flatMap(({ key, value }) => (key === "key 4" ? [] : [key === "key 3" ? "new" : value]));
  for (const { client: endpoint } of cluster.replicas) {
    const one = await connect(store, { endpoints: [endpoint], connectTo: "any", timeoutMs: 60_000 });
    const found = await Promise.all(entries.map(({ key }) => one.get(key)));
    await one.$close();
    expect(found[4]).toBeUndefined();
    expect(found.filter((value) => value !== undefined)).toEqual(expected);
  }
}, 120_000);

test("the states of the three are compared, and are equal", async () => {
  const [first] = cluster.replicas;
  const countsOf = async () => {
    const status = (await (await fetch(`http://${first?.http}/v1/status`)).json()) as Audited;
    return status.audit.positions;
  };
  const before = await countsOf();
  const after = await until("another comparison", async () => {
    await client.set({ key: "one more", value: "" });
    const counts = await countsOf();
    return (counts["agreed"] ?? 0) > (before["agreed"] ?? 0) ? counts : undefined;
  });
  expect(after).toMatchObject({ named: 0, different: 0, allDifferent: 0 });
}, 60_000);
