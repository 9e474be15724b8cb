/** What is asked in one turn is signed once and ordered together, before whole replicas under Byzantine faults; and what that must not change. */
import { expect, test } from "vitest";
import { sealBundle } from "../../src/authentication/sealer.js";
import { encodeUtf8 } from "../../src/base/bytes.js";
import { defaultClientLimits } from "../../src/client/limits.js";
import { NetworkedClient } from "../../src/client/networked-client.js";
import type { CommandOutcome } from "../../src/client/outcome.js";
import type { RequestNumber, SessionId } from "../../src/model/ids.js";
import { keyText, type ReplicaMessage, type Request } from "../../src/model/request.js";
import { nodeHash } from "../../src/node/hash.js";
import { peerMessageTypes } from "../../src/replica/engine.js";
import { encodeRequest } from "../../src/wire/request-codec.js";
import { keyNameOf } from "../../src/wire/key-name.js";
import { BftGroup } from "../../test-support/bft-group.js";
import { testHash } from "../../test-support/log-world.js";

const ids = ["a", "b", "c", "d"];

/** Names of all bundles that lie in decided batches at this replica. */
const bundlesAt = (group: BftGroup, id: string): number =>
  [...group.replica(id).core.engine.driver.state.batches.values()].reduce(
    (sum, { requests }) => sum + requests.length,
    0,
  );

const viewsOf = (group: BftGroup): readonly number[] =>
  ids.map((id) => group.replica(id).core.engine.driver.state.view);

const add = (session: SessionId, number: number, name: string): Request => ({
  ...{ kind: "command", session, number: number as RequestNumber, acknowledgedBelow: 1 as RequestNumber },
  ...{ name: "add", input: encodeUtf8(name), idempotency: undefined },
});

/** A client that signs for itself, by hand. */
class Party {
  readonly #group: BftGroup;
  readonly #name: string;
  readonly #connections = new Map<string, ReturnType<BftGroup["connect"]>>();
  /** What it is answered, by key. */
  readonly heard: string[] = [];

  constructor(group: BftGroup, name: string) {
    this.#group = group;
    this.#name = name;
  }

  /** Over one connection to each replica, under one signature. */
  send(at: string, requests: readonly Request[]): void {
    const connection = this.#connections.get(at) ?? this.#group.connect(at, (message) => this.#hear(at, message));
    this.#connections.set(at, connection);
    const signer = this.#group.signerOf(this.#name);
    connection.send({ kind: "signed", bundle: sealBundle("test", signer, nodeHash, requests.map(encodeRequest)) });
  }

  async open(at: string): Promise<SessionId> {
    const principal = keyNameOf(this.#group.signerOf(this.#name).publicKey);
    this.send(at, [{ kind: "open", nonce: this.#name, principal }]);
    await this.#group.until("a session", () => this.session);
    return this.session as SessionId;
  }

  session: SessionId | undefined;

  #hear(at: string, message: ReplicaMessage): void {
    if (message.kind !== "reply") return;
    const { key, reply } = message;
    if (reply.status === "opened") this.session = reply.session;
    else {
      const said = reply.status === "ok" ? Buffer.from(reply.output).toString() : reply.status;
      this.heard.push(`${at}: ${keyText(key)}: ${said === "refused" ? JSON.stringify(reply) : said}`);
    }
  }
}

test("a replica signs once for all that its clients ask in one turn", async () => {
  const group = new BftGroup(ids, { byzantine: { windowEntries: 256, checkpointEntries: 128 } });
  const doors = [group.door("b"), group.door("b"), group.door("b")];
  for (const door of doors) await group.add(door, "before");
  const before = bundlesAt(group, "a");

  const asked = doors.flatMap((door) =>
    Array.from({ length: 50 }, () => door.command("add", encodeUtf8("x"), undefined)),
  );
  let answered = 0;
  for (const each of asked) void each.then(() => (answered += 1));
  await group.until("all answers", () => answered === 150);

  expect(bundlesAt(group, "a") - before).toBeLessThanOrEqual(2);
  expect(await group.read(group.door("c"), "x")).toBe("150");
});

test("the typed client signs once what is asked in one turn", async () => {
  const group = new BftGroup(ids, { byzantine: { windowEntries: 256, checkpointEntries: 128 } });
  const client = new NetworkedClient({
    clock: group.clock,
    network: group.network,
    hash: testHash,
    entropy: { bytes: (count) => new Uint8Array(count).fill(7) },
    endpoints: ids.map((id) => `${id}:2`),
    limits: defaultClientLimits,
    machine: { name: "tally", version: 1 },
    clusterId: "test",
    name: "x",
    isVoting: true,
    signer: group.signerOf("client x"),
    linkChanged: () => {},
    closed: () => {},
  });
  const outcomes: CommandOutcome[] = [];
  const ask = (count: number): void => {
    for (let asked = 0; asked < count; asked += 1) {
      const completion = { settle: (outcome: CommandOutcome) => void outcomes.push(outcome) };
      const input = encodeUtf8("x");
      client.input((core, now) =>
        core.command({ name: "add", input, idempotency: undefined, deadline: now + 60_000, completion }, now),
      );
    }
  };
  client.input((core, now) => core.start(now));
  ask(1);
  await group.until("an answer", () => outcomes.length === 1);
  const before = bundlesAt(group, "a");
  ask(40);
  await group.until("all answers", () => outcomes.length === 41);

  expect(outcomes.every(({ status }) => status === "answered")).toBe(true);
  expect(bundlesAt(group, "a") - before).toBe(1);
});

test("of a bundle each request has its own answer: known, executed, and refused in its place", async () => {
  const group = new BftGroup(ids);
  const client = new Party(group, "client x");
  const session = await client.open("b");
  client.send("b", [add(session, 1, "x"), add(session, 2, "x")]);
  await group.until("two answers", () => client.heard.length === 2);

  // The second is executed, the third is new, the ninth closes no gap.
  client.send("c", [add(session, 2, "x"), add(session, 3, "x"), add(session, 9, "x")]);
  await group.until("three more", () => client.heard.length === 5);
  expect([...client.heard].sort()).toEqual([
    `b: command ${session} 1: 1`,
    `b: command ${session} 2: 2`,
    `c: command ${session} 2: 2`,
    `c: command ${session} 3: 3`,
    `c: command ${session} 9: ${JSON.stringify({ status: "refused", refusal: { code: "OUT_OF_ORDER", number: 9, next: 4 } })}`,
  ]);
});

test("a bundle that speaks of another's session is not ordered at all", async () => {
  const group = new BftGroup(ids);
  const [client, thief] = [new Party(group, "client x"), new Party(group, "client y")];
  const [session, own] = [await client.open("b"), await thief.open("c")];
  thief.send("c", [add(own, 1, "y"), add(session, 1, "y")]);
  group.advance(500);

  expect(thief.heard).toEqual([]);
  thief.send("c", [add(own, 1, "y")]);
  await group.until("an answer", () => thief.heard.length > 0);
  expect(thief.heard).toEqual([`c: command ${own} 1: 1`]);
});

test("P8: what was told to all and is executed in another bundle is no reason to give up a primary", async () => {
  let isDeaf = false;
  const isDeafTo = (_from: string, type: number): boolean => isDeaf && type === peerMessageTypes.host;
  const group = new BftGroup(ids, { isDeafTo });
  const client = new Party(group, "client x");
  const session = await client.open("b");

  // Told by b to all, and the primary hears of it from nobody.
  isDeaf = true;
  client.send("b", [add(session, 1, "x")]);
  group.advance(600);
  expect(client.heard).toEqual([]);
  // The client asks for the same, and more, where it is heard: the first bundle is never decided.
  client.send("a", [add(session, 1, "x"), add(session, 2, "x")]);
  await group.until("answers", () => client.heard.length === 3);
  group.advance(5_000);
  expect(viewsOf(group)).toEqual([0, 0, 0, 0]);

  // A request that really waits is noticed as before.
  client.send("b", [add(session, 3, "x")]);
  await group.until("an answer", () => client.heard.length === 4);
  expect(viewsOf(group)).toEqual([1, 1, 1, 1]);
});

test("B14: a replica that tells all but the primary of a read has nobody given up", async () => {
  const group = new BftGroup(ids, {
    isDeafTo: (from, type) => from === "d" && type === peerMessageTypes.mark,
  });
  expect(await group.read(group.door("d"), "x")).toBe("0");
  group.advance(5_000);
  expect(viewsOf(group)).toEqual([0, 0, 0, 0]);
});
