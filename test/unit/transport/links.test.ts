import { describe, expect, test } from "vitest";

import { concatBytes } from "../../../src/base/bytes.js";
import type { Member } from "../../../src/model/membership.js";
import { nodeHash } from "../../../src/node/hash.js";
import { Clients } from "../../../src/transport/clients.js";
import type { Promised } from "../../../src/model/log.js";
import { checkDisk, type Identity } from "../../../src/transport/gate.js";
import { Link } from "../../../src/transport/link.js";
import { Peers } from "../../../src/transport/peers.js";
import { noConfiguration, noDisk, protocolVersion, type Hello, type Refused } from "../../../src/wire/handshake.js";
import { i, t } from "../../../test-support/raft-core.js";
import { ManualClock } from "../../../test-support/manual-clock.js";
import { MemoryNetwork } from "../../../test-support/memory-network.js";

const limits = { frameBytesMax: 1 << 16, handshakeMs: 5000 };
const members: Member[] = ["a", "b", "c"].map((id) => {
  return { id, role: "voter", incarnation: 1, peer: `peer-${id}:1`, client: `client-${id}:1` };
});

function identityOf(id: string, changes: Partial<Identity> = {}): Identity {
  return {
    clusterId: "blue",
    id,
    incarnation: 1,
    process: `process-${id}`,
    machine: "kv",
    machineVersion: 1,
    foundation: "same",
    found: { ...noDisk, starts: 1 },
    ...changes,
  };
}

interface World {
  readonly clock: ManualClock;
  readonly network: MemoryNetwork;
}

function world(): World {
  const clock = new ManualClock();
  return { clock, network: new MemoryNetwork(clock) };
}

function peersOf(
  { clock, network }: World,
  self: Identity,
  promised: Readonly<Record<string, Promised>> = {},
  reached = members,
) {
  const events: string[] = [];
  const known = { members };
  const peers = new Peers({
    network,
    clock,
    hash: nodeHash,
    seed: 7,
    limits,
    retryMsMin: 20,
    retryMsMax: 500,
    linkSilenceMsMax: 3000,
    silentMs: 1000,
    self,
    lives: [],
    standing: () => ({
      membership: known,
      configuration: noConfiguration,
      promisedBy: (id) => promised[id],
    }),
    connected: (peer) => events.push(`+${peer}`),
    disconnected: (peer) => events.push(`-${peer}`),
    message: (peer, type, payload) => events.push(`${peer}:${type}:${Buffer.from(payload).toString()}`),
    arriving: (peer) => events.push(`~${peer}`),
    disowned: (reason) => events.push(`disowned: ${reason}`),
    dropped: (reason) => events.push(`!${reason}`),
  });
  peers.reach(reached);
  network.listen(`peer-${self.id}:1`, (connect) => peers.accept(connect));
  return { peers, events, known };
}

describe("a disk that has forgotten", () => {
  const promised = { term: t(3), index: i(100) };
  const found = (starts: number, term: number, lastIndex: number) => ({
    starts,
    term: t(term),
    lastIndex: i(lastIndex),
  });

  /** What c hears, and what b says, when c comes back as another process; b dials c, or c dials d. */
  function comesBack(as: "acceptor" | "dialer", next: Partial<Identity>) {
    const here = world();
    const [peer, self] = as === "acceptor" ? ["a", "b"] : ["b", "a"];
    const other = peersOf(here, identityOf(peer), { [self]: promised });
    const first = peersOf(here, identityOf(self, { found: found(5, 3, 100) }));
    here.clock.advance(100);
    expect(other.events).toEqual([`+${self}`]);
    first.peers.stop();
    here.network.unlisten(`peer-${self}:1`);
    // Nobody is refused only because the other was there a moment ago.
    here.clock.advance(2000);
    other.events.length = 0;
    const second = peersOf(here, identityOf(self, { process: "another", ...next }));
    here.clock.advance(2000);
    return { self, seen: other.events, told: second.events };
  }

  test.each(["acceptor", "dialer"] as const)("the next start with all that was promised is let in, as %s", (as) => {
    for (const next of [found(6, 3, 100), found(7, 3, 140), found(6, 4, 90)]) {
      const { self, seen, told } = comesBack(as, { found: next });
      expect(seen).toEqual([`+${self}`]);
      expect(told.filter((event) => event.startsWith("disowned"))).toEqual([]);
    }
  });

  test.each(["acceptor", "dialer"] as const)("one that has less is refused, and is told, as %s (M9)", (as) => {
    for (const next of [found(6, 3, 99), found(6, 2, 300), found(4, 3, 100)]) {
      const { self, seen, told } = comesBack(as, { found: next });
      expect(seen).not.toContain(`+${self}`);
      expect(seen).toContain("!OLD_DISK");
      expect(told).toContainEqual(
        expect.stringMatching(/^disowned: Replica . (runs on an older copy|has promised entry)/),
      );
    }
  });

  test.each(["acceptor", "dialer"] as const)("one of two copies is refused, and is told, as %s (M10)", (as) => {
    const { seen, told } = comesBack(as, { found: found(5, 3, 100) });
    expect(seen).toContain("!OLD_DISK");
    expect(told).toContainEqual(expect.stringMatching(/^disowned: Replica . runs twice/));
  });

  test("a start that a full disk could not count is told from no other; what was promised counts all the same (D12)", () => {
    const known = { incarnation: 1, process: "p", starts: 5 };
    const hello = { from: "c", process: "q", incarnation: 1 };
    expect(checkDisk({ ...hello, found: found(0, 3, 100) }, known, promised)).toBeUndefined();
    expect(checkDisk({ ...hello, found: found(0, 3, 99) }, known, promised)).toMatchObject({ code: "OLD_DISK" });
    expect(checkDisk({ ...hello, found: found(6, 3, 100) }, { ...known, starts: 0 }, promised)).toBeUndefined();
  });

  test("another directory under the same id has promised nothing", () => {
    const known = { incarnation: 1, process: "p", starts: 5 };
    const hello = { from: "c", process: "q", incarnation: 77, found: found(1, 0, 0) };
    expect(checkDisk(hello, known, promised)).toBeUndefined();
    expect(checkDisk({ ...hello, incarnation: 1 }, known, promised)).toMatchObject({ code: "OLD_DISK" });
    expect(checkDisk({ ...hello, incarnation: 1 }, undefined, promised)).toBeUndefined();
  });
});

describe("between replicas", () => {
  test("a pair has one link, dialed by the first, and both ends speak over it", () => {
    const here = world();
    const a = peersOf(here, identityOf("a"));
    const b = peersOf(here, identityOf("b"));
    here.clock.advance(100);

    a.peers.send("b", 1, Buffer.from("hello"));
    a.peers.send("b", 2, Buffer.from("again"));
    b.peers.send("a", 1, Buffer.from("back"));
    here.clock.advance(1);

    expect(here.network.pairs).toHaveLength(1);
    expect(b.events).toEqual(["+a", "a:1:hello", "a:2:again"]);
    expect(a.events).toEqual(["+b", "b:1:back"]);
  });

  test("messages of one turn leave in one frame", () => {
    const here = world();
    const a = peersOf(here, identityOf("a"));
    peersOf(here, identityOf("b"));
    here.clock.advance(100);
    const [pair] = here.network.pairs;
    const before = pair?.wire[0]?.length ?? 0;

    for (let count = 0; count < 50; count += 1) a.peers.send("b", 1, Buffer.from("x"));
    here.clock.advance(1);

    expect((pair?.wire[0]?.length ?? 0) - before).toBe(1);
  });

  test("a cut link is reported at once on both ends, and dialed again within the longest delay", () => {
    const here = world();
    const a = peersOf(here, identityOf("a"));
    const b = peersOf(here, identityOf("b"));
    here.clock.advance(100);

    here.network.pairs[0]?.cut("reset");
    here.clock.endTurn();
    expect([a.events.at(-1), b.events.at(-1)]).toEqual(["-b", "-a"]);
    here.clock.advance(500);

    expect([a.events.at(-1), b.events.at(-1)]).toEqual(["+b", "+a"]);
  });

  test("one that is no member knocks less and less often, and is linked soon after it was added (E12)", () => {
    const here = world();
    const a = peersOf(here, identityOf("a"));
    const stranger = peersOf(here, identityOf("Z"));
    const knocks = () => a.events.filter((event) => event === "!NOT_A_MEMBER").length;
    here.clock.advance(60_000);
    const before = knocks();
    here.clock.advance(60_000);
    const knocked = knocks() - before;

    expect(before).toBeGreaterThan(5);
    // At the usual pace it would be at least 120.
    expect(knocked).toBeLessThan(20);
    expect(knocked).toBeGreaterThan(1);
    const [first = {} as Member] = members;
    a.known.members = [...members, { ...first, id: "Z", peer: "peer-Z:1", client: "client-Z:1" }];
    a.peers.reach(a.known.members);
    here.clock.advance(5_000);
    expect([a.events.at(-1), stranger.events.includes("+a")]).toEqual(["+Z", true]);
  });

  test("bytes changed on their way break the link, and nothing of the frame is heard (T2)", () => {
    const here = world();
    const a = peersOf(here, identityOf("a"));
    const b = peersOf(here, identityOf("b"));
    here.clock.advance(100);
    const [pair] = here.network.pairs;
    if (pair !== undefined)
      pair.tamper = (bytes) => Uint8Array.from(bytes, (byte, at) => (at === bytes.length - 1 ? byte ^ 1 : byte));

    a.peers.send("b", 1, Buffer.from("hello"));
    here.clock.advance(1);

    expect(b.events).toEqual(["+a", "-a"]);
  });

  test("a link that a network swallows in silence is broken and dialed again, and an idle one is kept", () => {
    const here = world();
    const a = peersOf(here, identityOf("a"));
    const b = peersOf(here, identityOf("b"));
    here.clock.advance(60_000);
    expect([a.events, b.events]).toEqual([["+b"], ["+a"]]);

    const [pair] = here.network.pairs;
    if (pair !== undefined) pair.isSilent = true;
    here.clock.advance(5_000);

    expect([a.events, b.events]).toEqual([
      ["+b", "-b", "+b"],
      ["+a", "-a", "+a"],
    ]);
  });

  test("a message that is long under way shows with each part of it that its sender is there", () => {
    const here = world();
    const a = peersOf(here, identityOf("a"));
    const b = peersOf(here, identityOf("b"));
    here.clock.advance(100);
    const [pair] = here.network.pairs;
    let held: Uint8Array = new Uint8Array(0);
    if (pair !== undefined)
      pair.tamper = (bytes, from) => {
        if (from === 1) return bytes;
        held = concatBytes([held, bytes]);
        return new Uint8Array(0);
      };
    a.peers.send("b", 1, new Uint8Array(10_000));
    // Parts of it come less often than anything else would, for twice as long as a link may be silent.
    for (let part = 0; part < 4; part += 1) {
      here.clock.advance(1_500);
      pair?.deliver(0, held.subarray(0, 2_000));
      held = held.slice(2_000);
    }
    here.clock.advance(100);
    expect([a.events, b.events]).toEqual([["+b"], ["+a", "~a", "~a", "~a", "~a"]]);

    pair?.deliver(0, held);
    here.clock.advance(100);
    expect(b.events.at(-1)).toMatch(/^a:1:/);
  });

  test("the one whose id sorts last calls after a while if the other does not, and no longer once it does", () => {
    const here = world();
    const a = peersOf(here, identityOf("a"), {}, []);
    const b = peersOf(here, identityOf("b"));
    here.clock.advance(1_000);
    expect(here.network.pairs).toHaveLength(0);
    here.clock.advance(5_000);
    expect([a.events.at(-1), b.events.at(-1)]).toEqual(["+b", "+a"]);

    a.peers.reach(members);
    here.clock.advance(5_000);
    const calls = here.network.pairs.length;
    b.peers.send("a", 1, Buffer.from("hello"));
    here.clock.advance(60_000);

    expect(a.events.at(-1)).toBe("b:1:hello");
    expect(here.network.pairs).toHaveLength(calls);
  });

  test.each<[string, Partial<Identity>, string]>([
    ["another cluster", { clusterId: "red" }, "!WRONG_CLUSTER"],
    ["another incarnation", { incarnation: 2 }, "!WRONG_INCARNATION"],
    ["another machine", { machine: "bank" }, "!WRONG_MACHINE"],
    ["another foundation", { foundation: "other" }, "!WRONG_FOUNDATION"],
  ])("a replica of %s is refused with the reason, on both ends", (_name, changes, reason) => {
    const here = world();
    const b = peersOf(here, identityOf("b"));
    const a = peersOf(here, identityOf("a", changes));
    here.clock.advance(100);

    expect(a.events).toContain(reason);
    expect(a.events).not.toContain("+b");
    expect(b.events).toContain(reason);
    expect(b.events).not.toContain("+a");
  });

  test("M10: a second process under one id is refused while the first is heard, and taken once it is silent", () => {
    const here = world();
    const b = peersOf(here, identityOf("b"));
    const first = peersOf(here, identityOf("a"));
    here.clock.advance(100);
    const second = peersOf(here, identityOf("a", { process: "another", found: { ...noDisk, starts: 2 } }));
    here.clock.advance(300);
    expect(second.events).toContain("!IDENTITY_IN_USE");
    expect(b.events.filter((event) => event === "+a")).toHaveLength(1);

    here.clock.advance(10_000);
    expect(second.events).not.toContain("+b");

    // The first stays connected, but nothing is heard of it any more.
    const [pair] = here.network.pairs;
    if (pair !== undefined) pair.isSilent = true;
    here.clock.advance(5000);

    expect(second.events).toContain("+b");
    expect(first.events).toContain("-b");
    const links = b.events.filter((event) => event.endsWith("a"));
    // Never two at once: each arrival but the first follows a departure.
    expect(links.every((event, at) => event === (at % 2 === 0 ? "+a" : "-a"))).toBe(true);
  });
});

describe("between client and replica", () => {
  function clientsOf({ clock, network }: World, connectionsMax: number) {
    const events: string[] = [];
    const clients = new Clients({
      clock,
      hash: nodeHash,
      limits,
      connectionsMax,
      outputBytesMax: 1 << 20,
      outputBytesHardMax: 1 << 22,
      self: identityOf("a"),
      connected: (connection) => events.push(`+${connection}`),
      disconnected: (connection) => events.push(`-${connection}`),
      drained: () => {},
      message: (connection, type) => events.push(`${connection}:${type}`),
      dropped: (reason) => events.push(`!${reason}`),
    });
    network.listen("client-a:1", (connect) => clients.accept(connect));
    return { clients, events };
  }

  function dial({ clock, network }: World, changes: Partial<Hello> = {}) {
    const heard: (string | Refused | undefined)[] = [];
    const hello: Hello = {
      kind: "hello",
      protocol: protocolVersion,
      role: "client",
      clusterId: "",
      from: "test",
      to: "",
      incarnation: 0,
      process: "client",
      machine: "kv",
      machineVersion: 1,
      foundation: "same",
      found: noDisk,
      configuration: noConfiguration,
      credential: new Uint8Array(0),
      ...changes,
    };
    const link = new Link(
      { clock, hash: nodeHash },
      limits,
      { side: "dialer", hello, accept: () => undefined },
      {
        ready: () => heard.push("ready"),
        message: (_link, type) => heard.push(`type ${type}`),
        drained: () => {},
        closed: (_link, cause, refusal) => heard.push(refusal?.code ?? cause),
      },
    );
    link.attach((handlers) => network.connect("client-a:1", handlers));
    return { link, heard };
  }

  test("a client is let in, and its messages carry its connection", () => {
    const here = world();
    const { events } = clientsOf(here, 10);
    const client = dial(here);
    here.clock.advance(1);
    client.link.send(1, Buffer.from("x"));
    here.clock.advance(1);

    expect(events).toEqual(["+1", "1:1"]);
    expect(client.heard).toEqual(["ready"]);
  });

  test.each<[string, Partial<Hello>, string]>([
    ["a wrong cluster id", { clusterId: "red" }, "WRONG_CLUSTER"],
    ["another protocol", { protocol: protocolVersion + 1 }, "WRONG_PROTOCOL"],
    ["another machine", { machine: "bank" }, "WRONG_MACHINE"],
    ["a replica's role", { role: "replica" }, "WRONG_ROLE"],
  ])("%s is refused by name", (_name, changes, code) => {
    const here = world();
    clientsOf(here, 10);
    const client = dial(here, changes);
    here.clock.advance(1);

    expect(client.heard).toEqual([code]);
  });

  test("one client over the limit is refused, and others go on", () => {
    const here = world();
    const { clients } = clientsOf(here, 2);
    const [first] = [dial(here), dial(here)];
    here.clock.advance(1);
    const third = dial(here);
    here.clock.advance(1);

    expect(third.heard).toEqual(["TOO_MANY_CONNECTIONS"]);
    expect(first?.heard).toEqual(["ready"]);
    expect(clients.count).toBe(2);
  });

  test("a connection that says nothing is closed at the handshake deadline", () => {
    const here = world();
    const { events } = clientsOf(here, 10);
    here.network.connect("client-a:1", { opened: () => {}, received: () => {}, drained: () => {}, closed: () => {} });
    here.clock.advance(limits.handshakeMs + 1);

    expect(events).toEqual(["!handshake"]);
  });

  test("messages before the handshake break the connection and are not given out (T1)", () => {
    const here = world();
    const { events } = clientsOf(here, 10);
    const client = dial(here);
    client.link.send(1, Buffer.from("too early"));
    here.clock.advance(1);
    here.network.pairs[0]?.deliver(0, Buffer.from("garbage that is no frame at all"));
    here.clock.advance(1);

    expect(events).toEqual(["+1", "-1"]);
  });
});
