/**
 * Whether replicas that are said to be lost still live: somebody answers at their addresses.
 *
 * Owns: what counts as an answer. A process that accepts a connection and then says nothing may be a replica that was stopped for a while,
 * so it counts. Called by the `recover` verb before it changes anything.
 */
import type { Member } from "../model/membership.js";
import { createNodeClock } from "../node/clock.js";
import { nodeHash } from "../node/hash.js";
import { nodeNetwork } from "../node/network.js";
import { Link } from "../transport/link.js";
import { noConfiguration, noDisk, protocolVersion, type Hello } from "../wire/handshake.js";

/** How long one address is given. */
const answerMsMax = 2000;
const answerBytesMax = 1024 * 1024;

export interface Answer {
  readonly address: string;
  /** Whoever answered; undefined if it did not say. */
  readonly id: string | undefined;
  readonly clusterId: string | undefined;
}

/** Undefined: nobody is there. The address for clients first: there a replica says whose it is. */
export async function askMember({ client, peer }: Pick<Member, "client" | "peer">): Promise<Answer | undefined> {
  return (await askAddress(client)) ?? (await askAddress(peer));
}

const hello: Hello = {
  kind: "hello",
  protocol: protocolVersion,
  role: "client",
  clusterId: "",
  from: "quorate-recover",
  to: "",
  incarnation: 0,
  process: "",
  machine: "",
  machineVersion: 0,
  foundation: "",
  found: noDisk,
  configuration: noConfiguration,
  credential: new Uint8Array(0),
};

function askAddress(address: string): Promise<Answer | undefined> {
  return new Promise((resolve) => {
    let isOpen = false;
    let hasSpoken = false;
    const limits = { frameBytesMax: answerBytesMax, handshakeMs: answerMsMax };
    const opening = { side: "dialer", hello, accept: () => undefined } as const;
    const link = new Link({ clock: createNodeClock(), hash: nodeHash }, limits, opening, {
      ready: (_link, welcome) => {
        resolve({ address, id: welcome.from, clusterId: welcome.clusterId });
        link.close("broken");
      },
      message: () => {},
      closed: (_link, cause, refusal) => {
        const isSilent = isOpen && !hasSpoken && cause.startsWith("no handshake");
        resolve(refusal === undefined && !isSilent ? undefined : { address, id: undefined, clusterId: undefined });
      },
      drained: () => {},
    });
    link.attach((handlers) =>
      nodeNetwork.connect(address, {
        ...handlers,
        opened: () => {
          isOpen = true;
          handlers.opened();
        },
        received: (bytes) => {
          hasSpoken = true;
          handlers.received(bytes);
        },
      }),
    );
  });
}
