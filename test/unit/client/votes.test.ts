/** An answer is believed once f + 1 replicas have the same, told by address and by name. */
import { expect, test } from "vitest";
import { encodeUtf8 } from "../../../src/base/bytes.js";
import { randomStream } from "../../../src/base/random.js";
import { defaultClientLimits } from "../../../src/client/limits.js";
import { Votes } from "../../../src/client/votes.js";
import type { LogIndex, RequestNumber, SessionId } from "../../../src/model/ids.js";
import type { ClientMessage, Reply, RequestKey } from "../../../src/model/request.js";
import { nodeHash } from "../../../src/node/hash.js";
import { voteDigest } from "../../../src/wire/client-codec.js";

const key = { kind: "command", session: 1 as SessionId, number: 7 as RequestNumber } as const;
const session = key.session;
const commandOf = (number: number, of = session): RequestKey => {
  return { kind: "command", session: of, number: number as RequestNumber };
};
const saying = (text: string): Reply => ({ status: "ok", output: encodeUtf8(text), expiresAt: undefined });

class World {
  readonly opened: string[] = [];
  readonly sent: [string, ClientMessage][] = [];
  readonly votes: Votes;

  constructor(endpoints: readonly string[] = ["a", "b", "c"], faults: "value" | "byzantine" = "value") {
    const links = {
      open: (address: string) => void this.opened.push(address),
      close: (address: string) => void this.opened.push(`not ${address}`),
      send: (address: string, message: ClientMessage) => void this.sent.push([address, message]),
    };
    this.votes = new Votes({ links, endpoints, hash: nodeHash, faults }, defaultClientLimits, randomStream(1, "votes"));
    this.votes.tick(0);
    for (const address of endpoints) this.votes.onReady(address);
    this.votes.asked(key);
  }

  answered(text: string, index = 3): unknown {
    return this.votes.onReply(key, saying(text), index as LogIndex);
  }

  /** What the replica at `address`, called `replica`, says. */
  says(address: string, text: string, { replica = address, voters = 3, index = 3 } = {}): unknown {
    const digest = voteDigest(nodeHash, key, saying(text));
    return this.votes.onVote(address, { kind: "vote", replica, voters, key, index: index as LogIndex, digest });
  }

  /** The same of these commands of a session that it follows; of none: that it follows. */
  tells(address: string, numbers: readonly number[], text = "x", of = session): readonly unknown[] {
    const said = numbers.map((number) => {
      return { number: number as RequestNumber, digest: voteDigest(nodeHash, commandOf(number, of), saying(text)) };
    });
    const index = 3 as LogIndex;
    return this.votes.onVotes(address, { kind: "votes", replica: address, voters: 3, session: of, index, said });
  }
}

/** The first that is asked of a session. */
const asking = (address: string): readonly [string, ClientMessage][] => [
  [address, { kind: "follow", session }],
  [address, { kind: "confirm", key }],
];

test("two of three have the same: it is believed, whichever came first", () => {
  const world = new World();
  expect(world.sent).toEqual(["a", "b", "c"].flatMap((address) => asking(address)));
  expect([world.answered("x"), world.says("a", "x")]).toEqual(["waiting", "waiting"]);
  // The newest index that one of them has: the one that answered may have told a wrong one.
  expect(world.says("c", "x", { index: 9 })).toEqual({ key, reply: saying("x"), index: 9 });

  const early = new World();
  expect([early.says("a", "x"), early.says("b", "x")]).toEqual(["waiting", "waiting"]);
  expect(early.answered("x")).toEqual({ key, reply: saying("x"), index: 3 });
  expect(early.votes.statistics).toEqual({ outvoted: 0, dissents: {} });
});

test("the one that answered is outvoted: another is asked, and the wrong one is named by its address", () => {
  const world = new World();
  expect([world.answered("wrong"), world.says("a", "wrong"), world.says("b", "x")]).toEqual(
    Array.from({ length: 3 }, () => "waiting"),
  );
  expect(world.says("c", "x")).toBe("outvoted");
  // Said once; then somebody else is asked.
  expect(world.says("c", "x")).toBe("waiting");
  world.votes.asked(key);

  expect(world.answered("x")).toMatchObject({ reply: saying("x") });
  expect(world.votes.statistics).toEqual({ outvoted: 1, dissents: { a: 1 } });
});

test("one replica counts once: under two addresses, or when it says something twice", () => {
  const world = new World();
  world.answered("x");
  expect([world.says("a", "x"), world.says("a", "x", { replica: "other" })]).toEqual(["waiting", "waiting"]);
  expect(world.says("b", "x", { replica: "other" })).toBe("waiting");
  expect(world.says("c", "x")).toMatchObject({ reply: saying("x") });
});

test("more voters than the endpoints tell need more votes", () => {
  const world = new World();
  world.answered("x");
  expect([world.says("a", "x"), world.says("b", "x", { voters: 5 })]).toEqual(["waiting", "waiting"]);
  expect(world.says("c", "x", { voters: 5 })).toMatchObject({ reply: saying("x") });
});

test("a request that is executed twice, with two outcomes, makes nobody wrong", () => {
  const world = new World();
  for (const address of ["a", "b"]) world.says(address, "too early");
  for (const address of ["a", "b"]) world.says(address, "x");
  expect(world.answered("x")).toMatchObject({ reply: saying("x") });
  expect(world.votes.statistics).toEqual({ outvoted: 0, dissents: {} });
});

test("what nobody asked for, or was believed already, is not believed again; the end of a session needs no votes", () => {
  const world = new World();
  world.answered("x");
  for (const address of ["a", "b"]) world.says(address, "x");
  expect([world.answered("y"), world.says("c", "y")]).toEqual(["waiting", "waiting"]);
  const close: RequestKey = { kind: "close", session: 1 as SessionId };
  world.votes.asked(close);
  const closed = { key: close, reply: { status: "closed" as const }, index: 4 as LogIndex };
  expect(world.votes.onReply(close, closed.reply, closed.index)).toEqual(closed);
});

test("a link that breaks is opened again, and what still waits is asked over it", () => {
  const world = new World();
  world.votes.onClosed("b", 100);
  expect(world.votes.wakeAt()).toBeGreaterThan(100);
  world.votes.tick(world.votes.wakeAt());
  world.sent.length = 0;
  world.votes.onReady("b");
  expect(world.sent).toEqual(asking("b"));

  world.votes.onClosed("c", 5_000);
  world.votes.tick(world.votes.wakeAt());
  world.votes.tick(world.votes.wakeAt());
  expect(world.opened.slice(3)).toEqual(["b", "c", "not c"]);
  world.votes.closeAll();
  expect(world.votes.wakeAt()).toBe(Infinity);
});

test("under Byzantine faults f is fewer than a third of the endpoints, whatever a liar says of how many there are", () => {
  const seven = ["a", "b", "c", "d", "e", "f", "g"];
  const world = new World(seven, "byzantine");
  expect([world.answered("x"), world.says("a", "x", { voters: 1_000_000_000 }), world.says("b", "x")]).toEqual(
    Array.from({ length: 3 }, () => "waiting"),
  );
  // Two of seven may lie, so three are enough; an index that nobody reaches is no reason to wait for it.
  expect(world.says("c", "x", { index: 2 ** 50 })).toEqual({ key, reply: saying("x"), index: 3 });
});

test("under Byzantine faults one who speaks in another's name adds nothing", () => {
  const world = new World(["a", "b", "c", "d"], "byzantine");
  expect([world.answered("x"), world.says("a", "x"), world.says("d", "x", { replica: "a" })]).toEqual(
    Array.from({ length: 3 }, () => "waiting"),
  );
  expect(world.says("b", "x")).toMatchObject({ reply: saying("x") });
});

test("who follows a session is asked for no command of it, but for one that goes out once more", () => {
  const world = new World();
  expect(world.tells("a", [])).toEqual([]);
  world.sent.length = 0;
  world.votes.asked(commandOf(8));
  expect(world.sent).toEqual(["b", "c"].map((address) => [address, { kind: "confirm", key: commandOf(8) }]));
  world.tells("b", []);
  world.tells("c", []);
  world.sent.length = 0;

  for (const number of [9, 10]) world.votes.asked(commandOf(number));
  expect(world.sent).toEqual([]);
  for (const number of [9, 10]) world.votes.onReply(commandOf(number), saying("x"), 3 as LogIndex);
  expect(world.tells("a", [9, 10])).toEqual(["waiting", "waiting"]);
  expect(world.tells("b", [9, 10], "y")).toEqual(["waiting", "waiting"]);
  expect(world.tells("c", [9])).toEqual([{ key: commandOf(9), reply: saying("x"), index: 3 }]);
  expect(world.votes.statistics.dissents).toEqual({ b: 1 });
  world.votes.asked(commandOf(10));
  expect(world.sent).toEqual(["a", "b", "c"].map((address) => [address, { kind: "confirm", key: commandOf(10) }]));
});

test("another session is followed in the place of the one before, and over another link it is followed again", () => {
  const world = new World();
  for (const address of ["a", "b", "c"]) world.tells(address, []);
  world.sent.length = 0;
  const other = commandOf(1, 2 as SessionId);
  world.votes.asked(other);
  expect(world.sent.filter(([address]) => address === "a")).toEqual([
    ["a", { kind: "follow", session: 2 }],
    ["a", { kind: "confirm", key: other }],
  ]);
  // That it follows the session before is no news.
  world.tells("a", []);
  world.tells("b", [], "x", 2 as SessionId);
  world.votes.onClosed("c", 100);
  world.votes.tick(world.votes.wakeAt());
  world.votes.onReady("c");
  world.tells("c", [], "x", 2 as SessionId);
  world.sent.length = 0;

  world.votes.asked(commandOf(2, 2 as SessionId));
  expect(world.sent).toEqual([["a", { kind: "confirm", key: commandOf(2, 2 as SessionId) }]]);
});

test("one who says many things of a request keeps nobody else from being heard", () => {
  const world = new World();
  world.answered("x");
  for (let at = 0; at < 100; at += 1) world.says("a", `something else ${at}`);
  expect([world.says("b", "x"), world.says("c", "x")]).toEqual(["waiting", { key, reply: saying("x"), index: 3 }]);
});
