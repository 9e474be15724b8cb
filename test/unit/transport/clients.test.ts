/**
 * Clients and links under back-pressure and behind a refusal, over the simulated network: what the host's own ends do.
 */
import { expect, test } from "vitest";

import { nodeHash } from "../../../src/node/hash.js";
import { Clients } from "../../../src/transport/clients.js";
import type { Identity } from "../../../src/transport/gate.js";
import { Link } from "../../../src/transport/link.js";
import { FrameWriter } from "../../../src/wire/frame.js";
import { encodeHandshake, noConfiguration, noDisk, protocolVersion, type Hello } from "../../../src/wire/handshake.js";
import { World } from "../../../test-support/network-world.js";

const self: Identity = {
  clusterId: "blue",
  id: "b",
  incarnation: 1,
  process: "p",
  machine: "kv",
  machineVersion: 1,
  foundation: "same",
  found: noDisk,
};

function helloOf(clusterId: string): Hello {
  return {
    kind: "hello",
    protocol: protocolVersion,
    role: "client",
    clusterId,
    from: "c",
    to: "",
    incarnation: 0,
    process: "",
    machine: "kv",
    machineVersion: 1,
    foundation: "",
    found: noDisk,
    configuration: noConfiguration,
    credential: new Uint8Array(0),
  };
}

function serve(outputBytesMax: number) {
  const world = new World();
  const host = world.process("b");
  const events: string[] = [];
  const clients = new Clients({
    clock: host.process.clock,
    hash: nodeHash,
    limits: { frameBytesMax: 1 << 20, handshakeMs: 5_000 },
    connectionsMax: 10,
    outputBytesMax,
    outputBytesHardMax: 1 << 30,
    self,
    connected: (connection) => events.push(`+${connection}`),
    disconnected: (connection) => events.push(`-${connection}`),
    drained: (connection) => events.push(`drained ${connection}`),
    message: (connection, type) => events.push(`${connection}:${type}`),
    dropped: (reason) => events.push(`!${reason}`),
  });
  world.network.listen(host.process, "b:1", (connect) => clients.accept(connect));
  return { world, clients, events };
}

function frameOf(type: number, payload: Uint8Array): Uint8Array {
  const writer = new FrameWriter(nodeHash);
  writer.add(type, payload);
  return writer.finish();
}

test("T1: a link that was refused does not become ready by a second hello over the same connection", () => {
  const { world, events } = serve(1 << 20);
  const end = world.process("c").dial("b:1");
  world.advance(10);
  end.send(frameOf(0, encodeHandshake(helloOf("red"))));
  end.send(frameOf(0, encodeHandshake(helloOf("blue"))));
  end.send(frameOf(9, Uint8Array.of(1)));
  world.advance(100);

  expect(events.filter((event) => !event.startsWith("!"))).toEqual([]);
});

test("F1: a client that reads again after a while is read from again, however small its limit is", () => {
  const { world, clients, events } = serve(10_000);
  const party = world.process("c");
  const opening = { side: "dialer", hello: helloOf("blue"), accept: () => undefined } as const;
  const link = new Link(
    { clock: party.process.clock, hash: nodeHash },
    { frameBytesMax: 1 << 20, handshakeMs: 5_000 },
    opening,
    { ready: () => {}, message: () => {}, closed: () => {}, drained: () => {} },
  );
  link.attach((handlers) => party.port.connect("b:1", handlers));
  world.advance(100);
  link.pauseReading();
  for (let count = 0; count < 30; count += 1) {
    clients.send(1, 3, new Uint8Array(10_000));
    world.advance(1);
  }
  const wasCongested = clients.isCongested(1);
  link.resumeReading();
  world.advance(1_000);
  link.send(5, Uint8Array.of(1));
  world.advance(100);

  expect(wasCongested).toBe(true);
  expect(clients.isCongested(1)).toBe(false);
  expect(events.at(-1)).toBe("1:5");
});

test("F1: a stop breaks off a client that does not read, so that nothing stays open", () => {
  const { world, clients, events } = serve(10_000);
  const end = world.process("c").dial("b:1");
  world.advance(10);
  end.send(frameOf(0, encodeHandshake(helloOf("blue"))));
  world.advance(10);
  end.pauseReading();
  for (let count = 0; count < 60; count += 1) {
    clients.send(1, 3, new Uint8Array(10_000));
    world.advance(1);
  }
  const wasCongested = clients.isCongested(1);
  clients.stop();
  world.advance(100);

  expect(wasCongested).toBe(true);
  expect(events.at(-1)).toBe("-1");
});
