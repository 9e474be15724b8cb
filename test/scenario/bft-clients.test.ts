/** Clients that sign for themselves, before whole replicas under Byzantine faults: nobody else asks in their name (hazard B13, threat 4). */
import { expect, test } from "vitest";
import { sealBundle } from "../../src/authentication/sealer.js";
import { encodeUtf8 } from "../../src/base/bytes.js";
import type { RequestNumber, SessionId } from "../../src/model/ids.js";
import type { ReplicaMessage, Request } from "../../src/model/request.js";
import { nodeHash } from "../../src/node/hash.js";
import type { Signer } from "../../src/ports/signatures.js";
import { encodeRequest } from "../../src/wire/request-codec.js";
import { keyNameOf } from "../../src/wire/key-name.js";
import { BftGroup } from "../../test-support/bft-group.js";

const ids = ["a", "b", "c", "d"];

/** A connection to one replica, over which anything can be sent. */
class Party {
  readonly heard: ReplicaMessage[] = [];
  readonly #group: BftGroup;
  readonly #connection: ReturnType<BftGroup["connect"]>;
  readonly signer: Signer;

  constructor(group: BftGroup, at: string, signer: Signer) {
    this.#group = group;
    this.signer = signer;
    this.#connection = group.connect(at, (message) => this.heard.push(message));
  }

  send(request: Request, { cluster = "test", signer = this.signer, spoil = false } = {}): void {
    const bundle = sealBundle(cluster, signer, nodeHash, [encodeRequest(request)]);
    if (spoil) bundle[0] = (bundle[0] ?? 0) ^ 1;
    this.#connection.send({ kind: "signed", bundle });
  }

  /** What it is answered, in one word, or the session that was opened. */
  async ask(request: Request): Promise<string | SessionId> {
    const before = this.heard.filter(({ kind }) => kind === "reply").length;
    this.send(request);
    return this.#group.until("a reply", () => {
      const reply = this.heard.filter(({ kind }) => kind === "reply")[before];
      if (reply?.kind !== "reply") return undefined;
      if (reply.reply.status === "opened") return reply.reply.session;
      return reply.reply.status === "ok" ? Buffer.from(reply.reply.output).toString() : reply.reply.status;
    });
  }

  async open(): Promise<SessionId> {
    return (await this.ask({ kind: "open", nonce: "n", principal: keyNameOf(this.signer.publicKey) })) as SessionId;
  }
}

const add = (session: SessionId, number: number, name: string): Request => ({
  ...{ kind: "command", session, number: number as RequestNumber, acknowledgedBelow: 1 as RequestNumber },
  ...{ name: "add", input: encodeUtf8(name), idempotency: undefined },
});

test("a client's session is its own at every replica, and goes on at another one", async () => {
  const group = new BftGroup(ids);
  const signer = group.signerOf("client x");
  const first = new Party(group, "b", signer);
  const session = await first.open();
  expect(await first.ask(add(session, 1, "x"))).toBe("1");

  const elsewhere = new Party(group, "d", signer);
  expect(await elsewhere.ask(add(session, 2, "x"))).toBe("2");
  // Asked once more it is answered as before, and is not done again.
  expect(await first.ask(add(session, 2, "x"))).toBe("2");
});

test("whoever has another key does nothing in it, a lying replica included", async () => {
  const group = new BftGroup(ids);
  const client = new Party(group, "b", group.signerOf("client x"));
  const session = await client.open();
  expect(await client.ask(add(session, 1, "x"))).toBe("1");

  // The key of replica d, which signs for clients that have none.
  const liar = new Party(group, "d", group.signerOf("d"));
  const stranger = new Party(group, "c", group.signerOf("client y"));
  for (const thief of [liar, stranger]) {
    thief.send(add(session, 2, "x"));
    thief.send({ kind: "close", session });
  }
  group.advance(500);

  expect(await client.ask(add(session, 2, "x"))).toBe("2");
  for (const thief of [liar, stranger]) expect(thief.heard.filter(({ kind }) => kind === "reply")).toEqual([]);
});

test("what is wrongly signed, or signed for another cluster, is not ordered, and others are served", async () => {
  const group = new BftGroup(ids);
  const client = new Party(group, "b", group.signerOf("client x"));
  const session = await client.open();
  const before = group.executed.get("a")?.filter((entry) => entry !== undefined).length ?? 0;
  for (let count = 0; count < 50; count += 1) client.send(add(session, 1, "x"), { spoil: true });
  new Party(group, "b", client.signer).send(add(session, 1, "x"), { cluster: "other" });
  group.advance(500);
  expect(client.heard.filter(({ kind }) => kind === "reply")).toHaveLength(1);

  const { made, verified, refused } = group.replica("b").core.status().counters.signatures;
  expect(made).toBeGreaterThan(0);
  expect(verified).toBeGreaterThan(0);
  expect(refused["wronglySigned"]).toBeGreaterThan(0);
  expect((refused["wronglySigned"] ?? 0) + (refused["overBudget"] ?? 0)).toBe(51);

  // That connection has used up its budget; the same client over another one is served.
  const again = new Party(group, "b", client.signer);
  expect(await again.ask(add(session, 1, "x"))).toBe("1");
  expect(group.executed.get("a")?.filter((entry) => entry !== undefined).length ?? 0).toBeGreaterThan(before);
});
