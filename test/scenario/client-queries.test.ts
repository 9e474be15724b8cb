/** Queries: fresh ids for each try (hazard L4), free retries, honest ends. */
import { expect, test } from "vitest";

import type { ClientMessage } from "../../src/model/request.js";
import { ClientWorld } from "../../test-support/client-world.js";
import { FakeGroup } from "../../test-support/fake-group.js";

const three = ["a:1", "b:1", "c:1"];

function queryIds(group: FakeGroup): readonly number[] {
  return group.received.flatMap(({ message }) => (message.kind === "query" ? [message.id] : []));
}

test("a query needs no session", () => {
  const group = new FakeGroup(three);
  const world = new ClientWorld(group);

  const asked = world.query("read");
  world.advance(20);

  expect(asked.outcomes).toMatchObject([{ status: "answered", outcome: { status: "ok" } }]);
  expect(group.log).toEqual([]);
});

test("each try of a query has an id of its own, and a late answer to an earlier one is dropped (L4, A5)", () => {
  const group = new FakeGroup(three);
  const world = new ClientWorld(group);
  world.advance(20);
  const link = world.core.status().connectedTo ?? "";
  group.losesReplies = true;
  const asked = world.query("read");
  world.advance(1_500);
  const [first] = queryIds(group);
  const now = world.core.status().connectedTo ?? link;

  world.core.receive(
    now,
    {
      kind: "queryReply",
      id: first ?? 0,
      index: 1 as never,
      ageMs: 0,
      outcome: { status: "ok", output: new Uint8Array([99]) },
    },
    world.now,
  );
  const afterLate = [...asked.outcomes];
  group.losesReplies = false;
  world.advance(5_000);

  expect(afterLate).toEqual([]);
  expect(asked.outcomes).toMatchObject([{ status: "answered", outcome: { output: new Uint8Array([1]) } }]);
  const ids = queryIds(group);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.length).toBeGreaterThan(1);
  expect(world.core.status().counters.lateAnswers).toBeGreaterThan(0);
});

test("a query survives the loss of its replica", () => {
  const group = new FakeGroup(three);
  const world = new ClientWorld(group);
  world.advance(20);
  group.losesReplies = true;
  const asked = world.query("read");
  world.advance(5);

  group.losesReplies = false;
  group.crash(world.core.status().connectedTo ?? "");
  group.lead("b:1");
  world.advance(100);

  expect(asked.outcomes).toMatchObject([{ status: "answered" }]);
});

test("a query that no replica can answer in time is refused with the last reason", () => {
  const group = new FakeGroup(three);
  const world = new ClientWorld(group);
  group.refuse = (_address: string, message: ClientMessage) =>
    message.kind === "query" ? { code: "NO_LEADER" } : undefined;

  const asked = world.query("read", 500);
  world.advance(600);

  expect(asked.outcomes).toEqual([{ status: "refused", refusal: { code: "NO_LEADER" } }]);
  expect(queryIds(group).length).toBeGreaterThan(2);
  expect(queryIds(group).length).toBeLessThan(40);
});

test("a query of an unknown name is refused at once", () => {
  const group = new FakeGroup(three);
  const world = new ClientWorld(group);
  group.refuse = () => ({ code: "UNKNOWN_COMMAND", name: "read" });

  const asked = world.query("read");
  world.advance(20);

  expect(asked.outcomes).toEqual([{ status: "refused", refusal: { code: "UNKNOWN_COMMAND", name: "read" } }]);
});

test("queries beyond the limit are refused as OVERLOADED", () => {
  const group = new FakeGroup(three);
  three.forEach((address) => group.crash(address));
  const world = new ClientWorld(group, { limits: { queriesMax: 3 } });

  const asked = [1, 2, 3, 4].map(() => world.query("read", 100));
  world.advance(200);

  expect(asked.map(({ outcomes }) => outcomes[0])).toMatchObject([
    { refusal: { code: "NOT_CONNECTED" } },
    { refusal: { code: "NOT_CONNECTED" } },
    { refusal: { code: "NOT_CONNECTED" } },
    { refusal: { code: "OVERLOADED", queued: 3, limit: 3 } },
  ]);
});
