/** Timers and events of the example over real processes: through kills, with the typed client and over HTTP. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import auctions from "../../examples/02-auction/auction.js";
import { connect, EventsCompacted, type ConnectedClient } from "../../src/node/create-client.js";
import { DevCluster } from "../../test-support/dev-cluster.js";

const path = new URL("../../examples/02-auction/auction.ts", import.meta.url).pathname;
let cluster: DevCluster;
let client: ConnectedClient<typeof auctions>;

beforeAll(async () => {
  cluster = await DevCluster.start([path]);
  client = await connect(auctions, { endpoints: cluster.replicas.map((replica) => replica.client) });
}, 60_000);

afterAll(async () => {
  await client.$close();
  await cluster.stop();
});

async function collect<Item>(items: AsyncIterable<Item>, count: number): Promise<readonly Item[]> {
  const collected: Item[] = [];
  for await (const item of items) if (collected.push(item) === count) break;
  return collected;
}

describe("the typed client", () => {
  test("follows a stream through the deaths of leaders, without gaps and repeats", async () => {
    const { index } = await client.$detail.open({ lot: "long", quietMs: 3_600_000 });
    const amounts = Array.from({ length: 60 }, (_, at) => at + 1);
    const followed = collect(client.$events("raised", { after: index }), amounts.length);
    const ended = collect(client.$events("ended", { after: index }), 1);
    await client.open({ lot: "short", quietMs: 2_000 });
    for (const amount of amounts) {
      if (amount % 20 === 0) cluster.kill((await cluster.leader()).id);
      await client.bid({ lot: "long", bidder: "ada", amount });
    }

    expect((await followed).map(({ data }) => data.amount)).toEqual(amounts);
    expect((await ended).map(({ data }) => data)).toEqual([{ lot: "short", winner: null, amount: 0 }]);
    const third = (await followed)[2]?.position;
    if (third === undefined) throw new Error("unreachable");
    const resumed = await collect(client.$events("raised", { after: third }), 2);
    expect(resumed.map(({ data }) => data.amount)).toEqual([4, 5]);
  }, 60_000);

  test("leaves the loop when the signal is aborted, also while it waits", async () => {
    const ending = new AbortController();
    const { index } = await client.$detail.leading("long");
    const waiting = collect(client.$events("raised", { after: index + 1_000_000, signal: ending.signal }), 1);
    setImmediate(() => ending.abort());

    expect(await waiting).toEqual([]);
    expect(EventsCompacted.name).toBe("EventsCompacted");
  });
});

test("over HTTP a stream is resumed with the id of its last event, at any replica", async () => {
  await cluster.whole();
  const [first, second] = cluster.replicas;
  const begun = await idsFrom(`http://${first?.http}/v1/events/raised`, {}, 5);
  const resumed = await idsFrom(`http://${second?.http}/v1/events/raised`, { "Last-Event-ID": begun[2] ?? "" }, 2);

  expect(resumed).toEqual(begun.slice(3, 5));
}, 30_000);

async function idsFrom(url: string, headers: Record<string, string>, count: number): Promise<readonly string[]> {
  const ending = new AbortController();
  const response = await fetch(url, { headers, signal: ending.signal });
  expect(response.headers.get("Content-Type")).toBe("text/event-stream");
  let text = "";
  const ids = (): string[] => [...text.matchAll(/^id: (.*)$/gm)].map((found) => found[1] ?? "");
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    text += Buffer.from(chunk).toString();
    if (ids().length >= count) break;
  }
  ending.abort();
  return ids().slice(0, count);
}
