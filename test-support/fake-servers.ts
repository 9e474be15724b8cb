/** A `FakeGroup` behind real sockets on loopback, with the real handshake: what `connect` talks to in tests. */
import { defaultLimits } from "../src/api/config.js";
import type { LowLevelMachine } from "../src/api/low-level.js";
import type { ReplicaMessage } from "../src/model/request.js";
import { createNodeClock } from "../src/node/clock.js";
import { nodeHash } from "../src/node/hash.js";
import { accepted, listen, type Listener } from "../src/node/network.js";
import { Clients } from "../src/transport/clients.js";
import type { Identity } from "../src/transport/gate.js";
import { decodeClientMessage, encodeReplicaMessage, replicaMessageTypes } from "../src/wire/client-codec.js";
import { noDisk } from "../src/wire/handshake.js";
import { FakeGroup, type FakeLink } from "./fake-group.js";

export interface FakeServers {
  readonly group: FakeGroup;
  readonly addresses: readonly string[];
  stop(): void;
}

/** One server for each of `clusterIds`, which names the cluster that it says it belongs to. */
export async function startFakeServers(machine: LowLevelMachine, clusterIds: readonly string[]): Promise<FakeServers> {
  const held: { serve: ((socket: Parameters<typeof accepted>[0]) => void) | undefined }[] = [];
  const listeners: Listener[] = [];
  for (const [at] of clusterIds.entries()) {
    held[at] = { serve: undefined };
    listeners.push(await listen("127.0.0.1:0", (socket) => held[at]?.serve?.(socket)));
  }
  const addresses = listeners.map(({ address }) => address);
  const group = new FakeGroup(addresses, defaultLimits, machine);
  const all = addresses.map((address, at) => {
    const clients = serve(group, address, identityOf(machine, clusterIds[at] ?? "", `r${at}`));
    const holder = held[at];
    if (holder !== undefined)
      holder.serve = (socket) => (group.isUp(address) ? clients.accept(accepted(socket)) : void socket.destroy());
    return clients;
  });
  return {
    group,
    addresses,
    stop: () => {
      for (const clients of all) clients.stop();
      for (const listener of listeners) listener.close();
    },
  };
}

function identityOf(machine: LowLevelMachine, clusterId: string, id: string): Identity {
  return {
    clusterId,
    id,
    incarnation: 1,
    process: id,
    machine: machine.name,
    machineVersion: machine.version,
    foundation: "",
    found: noDisk,
  };
}

function serve(group: FakeGroup, address: string, self: Identity): Clients {
  const links = new Map<number, FakeLink>();
  const clients = new Clients({
    clock: createNodeClock(),
    hash: nodeHash,
    limits: { frameBytesMax: 8_388_608, handshakeMs: 5_000 },
    connectionsMax: 100,
    outputBytesMax: 1_000_000,
    self,
    connected: (connection) => {
      const link: FakeLink = {
        address,
        receive: (message: ReplicaMessage) =>
          clients.send(connection, replicaMessageTypes[message.kind], encodeReplicaMessage(message)),
        closed: () => clients.stop(),
      };
      links.set(connection, link);
      group.connect(link);
    },
    drained: () => {},
    outputBytesHardMax: 1 << 26,
    disconnected: (connection) => {
      const link = links.get(connection);
      if (link !== undefined) group.disconnect(link);
    },
    message: (connection, type, payload) => {
      const link = links.get(connection);
      const message = decodeClientMessage(type, payload);
      if (link !== undefined && message !== undefined) group.receive(link, message);
    },
    dropped: () => {},
  });
  return clients;
}
