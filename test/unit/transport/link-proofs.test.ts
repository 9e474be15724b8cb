/** Where replicas prove who they are, nobody holds a link in another's place (threat 2; hazards B20 and B24). */
import { describe, expect, test } from "vitest";
import { ByteWriter } from "../../../src/base/bytes.js";
import type { Member } from "../../../src/model/membership.js";
import { nodeHash } from "../../../src/node/hash.js";
import { SimKeys } from "../../../src/sim/sim-signatures.js";
import { helloTo, type Identity } from "../../../src/transport/gate.js";
import { Link } from "../../../src/transport/link.js";
import { linkKeys, type LinkProofs } from "../../../src/transport/link-proofs.js";
import { Peers } from "../../../src/transport/peers.js";
import { encodeHandshake, noConfiguration, noDisk, type Welcome } from "../../../src/wire/handshake.js";
import { ManualClock } from "../../../test-support/manual-clock.js";
import { MemoryNetwork } from "../../../test-support/memory-network.js";

const limits = { frameBytesMax: 1 << 16, handshakeMs: 5000 };
const ids = ["a", "b", "c"] as const;
const members: Member[] = ids.map((id) => {
  return { id, role: "voter", incarnation: 1, peer: `peer-${id}:1`, client: `client-${id}:1` };
});

const identityOf = (id: string, process = `process-${id}`): Identity => ({
  ...{ clusterId: "blue", id, incarnation: 1, process, machine: "kv", machineVersion: 1, foundation: "same" },
  found: { ...noDisk, starts: 1 },
});

class World {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork(this.clock);
  readonly keys = new SimKeys();
  #drawn = 0;

  /** Of a process that has the keys of `holders`. */
  proofs(...holders: readonly string[]): LinkProofs {
    return linkKeys({
      seal: {
        signLink: (bytes) => holders.map((holder) => this.keys.signerOf(holder).sign(bytes)),
        keys: new Map(ids.map((id) => [id, this.keys.signerOf(id).publicKey])),
      },
      entropy: { bytes: (count) => new Uint8Array(count).fill((this.#drawn += 1)) },
      isSignedBy: (claim) => this.keys.isSigned(claim),
    });
  }

  start(self: Identity, proofs: LinkProofs | undefined) {
    const events: string[] = [];
    const peers = new Peers({
      ...{ network: this.network, clock: this.clock, hash: nodeHash, seed: 7, limits },
      ...{ retryMsMin: 20, retryMsMax: 500, linkSilenceMsMax: 3000, silentMs: 1000, self, lives: [], proofs },
      standing: () => ({ membership: { members }, configuration: noConfiguration, promisedBy: () => undefined }),
      connected: (peer) => events.push(`+${peer}`),
      disconnected: (peer) => events.push(`-${peer}`),
      message: (peer, type, payload) => events.push(`${peer}:${type}:${Buffer.from(payload).toString()}`),
      arriving: (peer) => events.push(`~${peer}`),
      disowned: (reason) => events.push(`disowned: ${reason}`),
      dropped: (reason) => events.push(`!${reason}`),
    });
    peers.reach(members);
    this.network.listen(`peer-${self.id}:1`, (connect) => peers.accept(connect));
    return { peers, events };
  }

  /** A connection to b by hand, which says `hello` as a and answers a Welcome by `proof`. */
  dialAs(
    hello: { readonly credential: Uint8Array },
    proof: ((welcome: Welcome) => Uint8Array) | undefined,
    first = "",
  ): readonly string[] {
    const heard: string[] = [];
    const link = new Link(
      { clock: this.clock, hash: nodeHash },
      limits,
      {
        ...{ side: "dialer", hello: { ...helloTo("b", identityOf("a", "impostor"), noConfiguration), ...hello } },
        ...{ accept: () => undefined, proof },
      },
      {
        ready: (ready) => {
          if (first !== "") ready.send(7, Buffer.from(first));
        },
        message: () => heard.push("message"),
        drained: () => {},
        closed: (_link, cause, refusal) => heard.push(refusal?.code ?? cause),
      },
    );
    link.attach((handlers) => this.network.connect("peer-b:1", handlers));
    this.clock.advance(10);
    return heard;
  }
}

describe("replicas that have the keys which the members give them", () => {
  test("are linked, and what is sent right behind the proof is heard", () => {
    const world = new World();
    const b = world.start(identityOf("b"), world.proofs("b"));
    const a = world.start(identityOf("a"), world.proofs("a"));
    world.clock.advance(100);
    a.peers.send("b", 7, Buffer.from("hi"));
    world.clock.advance(10);

    expect(a.events).toEqual(["+b"]);
    expect(b.events).toEqual(["+a", "a:7:hi"]);
  });
});

test("who has two keys, while the one is exchanged for the other, is known by either, whoever calls", () => {
  for (const [a, b] of [
    [["x", "a"], ["b"]],
    [["a"], ["b", "x"]],
    [
      ["a", "x"],
      ["x", "b"],
    ],
  ] as const) {
    const world = new World();
    const accepting = world.start(identityOf("b"), world.proofs(...b));
    const dialing = world.start(identityOf("a"), world.proofs(...a));
    world.clock.advance(100);
    expect([accepting.events, dialing.events]).toEqual([["+a"], ["+b"]]);
  }
});

test("more keys than two, or a part of a signature, prove nothing", () => {
  const world = new World();
  const b = world.start(identityOf("b"), world.proofs("b"));
  world.start(identityOf("a"), world.proofs("x", "y", "a"));
  world.clock.advance(1000);
  expect(b.events).not.toContain("+a");
  expect(b.events).toContain("!WRONG_KEY");

  const bytes = Uint8Array.of(1);
  const proofs = world.proofs("a");
  expect(proofs.isSignedBy("a", bytes, proofs.sign(bytes))).toBe(true);
  expect(proofs.isSignedBy("a", bytes, proofs.sign(bytes).subarray(0, 63))).toBe(false);
  expect(proofs.isSignedBy("a", bytes, new Uint8Array(0))).toBe(false);
});

describe("an impostor", () => {
  test("that dials is refused, and takes no place: the replica itself is linked", () => {
    const world = new World();
    const b = world.start(identityOf("b"), world.proofs("b"));
    const impostor = world.start(identityOf("a", "impostor"), world.proofs("x"));
    world.clock.advance(2000);
    expect(b.events.every((event) => event === "!WRONG_KEY")).toBe(true);
    expect(b.events.length).toBeGreaterThan(0);
    // The dialer could not tell before it was told.
    expect(impostor.events.filter((event) => event.includes(":"))).toEqual([]);

    b.events.length = 0;
    const real = world.start(identityOf("a"), world.proofs("a"));
    world.clock.advance(2000);
    expect(b.events).toContain("+a");
    expect(real.events).toEqual(["+b"]);
    expect(b.peers.isConnected("a")).toBe(true);
  });

  test("that is dialed is refused by the dialer", () => {
    const world = new World();
    world.start(identityOf("b"), world.proofs("x"));
    const a = world.start(identityOf("a"), world.proofs("a"));
    world.clock.advance(1000);

    expect(a.events.length).toBeGreaterThan(0);
    expect(a.events.every((event) => event === "!WRONG_KEY")).toBe(true);
  });

  test("with a key of another member is refused as well", () => {
    const world = new World();
    const b = world.start(identityOf("b"), world.proofs("b"));
    world.start(identityOf("a", "impostor"), world.proofs("c"));
    world.clock.advance(1000);

    expect(b.events).not.toContain("+a");
    expect(b.events).toContain("!WRONG_KEY");
  });
});

test("of two processes with one key that come at once, one is heard (hazards M10 and B20)", () => {
  const world = new World();
  const b = world.start(identityOf("b"), world.proofs("b"));
  world.start(identityOf("a", "one"), world.proofs("a"));
  world.start(identityOf("a", "twin"), world.proofs("a"));
  world.clock.advance(100);

  expect(b.events.filter((event) => event.endsWith("a"))).toEqual(["+a"]);
  expect(b.events.filter((event) => event !== "+a").length).toBeGreaterThan(0);
  expect(new Set(b.events)).toEqual(new Set(["+a", "!OLD_DISK"]));
});

describe("one who proves nothing", () => {
  test("is refused by those who ask for proofs, as dialer and as acceptor", () => {
    const world = new World();
    const b = world.start(identityOf("b"), world.proofs("b"));
    world.start(identityOf("a"), undefined);
    world.start(identityOf("c"), undefined);
    world.clock.advance(1000);

    expect(b.events).not.toContain("+a");
    expect(b.events).not.toContain("+c");
    expect(b.events).toContain("!WRONG_KEY");
  });

  test("and sends instead is not heard: nothing is given out before the proof (T1)", () => {
    const world = new World();
    const b = world.start(identityOf("b"), world.proofs("b"));
    const heard = world.dialAs({ credential: new Uint8Array(32) }, undefined, "forged");

    expect(b.events).toEqual(["!handshake"]);
    expect(heard).toHaveLength(1);
  });

  test("and stays silent is closed at the deadline", () => {
    const world = new World();
    const b = world.start(identityOf("b"), world.proofs("b"));
    world.dialAs({ credential: new Uint8Array(32) }, undefined);
    expect(b.events).toEqual([]);
    world.clock.advance(limits.handshakeMs);

    expect(b.events).toEqual(["!handshake"]);
  });
});

describe("a proof", () => {
  test("is of one handshake: a recorded one is refused", () => {
    const world = new World();
    const b = world.start(identityOf("b"), world.proofs("b"));
    const proofs = world.proofs("a");
    const recorded: Uint8Array[] = [];
    const hello = {
      ...helloTo("b", identityOf("a", "impostor"), noConfiguration),
      credential: new Uint8Array(32).fill(9),
    };
    const honest = (welcome: Welcome): Uint8Array => {
      const signature = proofs.sign(transcriptOf(hello, welcome));
      recorded.push(signature);
      return signature;
    };
    world.dialAs(hello, honest);
    expect(b.events).toEqual(["+a"]);
    // The same Hello again, with the proof of before: the acceptor's challenge is another one.
    const heard = world.dialAs(hello, () => recorded[0] ?? new Uint8Array(64));

    expect(heard).toEqual(["WRONG_KEY"]);
    expect(b.events).toEqual(["+a", "!WRONG_KEY"]);
  });

  test("of the acceptor does not serve a dialer, so it cannot be sent back", () => {
    const world = new World();
    const b = world.start(identityOf("b"), world.proofs("b"));
    const heard = world.dialAs({ credential: new Uint8Array(32) }, ({ credential }) =>
      (credential ?? new Uint8Array(96)).subarray(32),
    );

    expect(heard).toEqual(["WRONG_KEY"]);
    expect(b.events).toEqual(["!WRONG_KEY"]);
  });
});

/** As `link-proofs.ts` says: written out here once more, since it is a promise to other implementations. */
function transcriptOf(hello: Parameters<typeof encodeHandshake>[0], welcome: Welcome): Uint8Array {
  const writer = new ByteWriter();
  writer.text("quorate link 1 dialer");
  writer.bytes(encodeHandshake(hello));
  writer.bytes(encodeHandshake({ ...welcome, credential: (welcome.credential ?? new Uint8Array(0)).subarray(0, 32) }));
  return writer.finish();
}
