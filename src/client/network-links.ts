/**
 * The client core's links over the network port: one `Link` for each address that the core opens.
 *
 * Owns: handshakes as a client, signing once what is asked in one turn, and that all replicas talked to belong to one cluster: sessions of two clusters have the same
 * numbers and must never be mixed. Leaves to others: which address to open and when (`routes.ts`). Used by
 * `networked-client.ts`.
 */
import { defaultLimits } from "../api/config.js";
import { sealBundle } from "../authentication/sealer.js";
import type { ClientMessage, ReplicaMessage, Request } from "../model/request.js";
import type { Clock } from "../ports/clock.js";
import type { Hash } from "../ports/hash.js";
import type { Network } from "../ports/network.js";
import type { Signer } from "../ports/signatures.js";
import { Link } from "../transport/link.js";
import { clientMessageTypes, decodeReplicaMessage, encodeClientMessage } from "../wire/client-codec.js";
import { encodeRequest } from "../wire/request-codec.js";
import { cutIntoBundles } from "../wire/signed-batch.js";
import {
  noConfiguration,
  noDisk,
  protocolVersion,
  type HandshakeRefusal,
  type Hello,
  type Refused,
  type Welcome,
} from "../wire/handshake.js";
import type { ClientLinks } from "./links.js";

export interface NetworkLinksOptions {
  readonly clock: Clock;
  readonly hash: Hash;
  readonly network: Network;
  /** For the replicas' logs. */
  readonly name: string;
  readonly machine: string;
  readonly machineVersion: number;
  /** Empty: whichever cluster the first replica belongs to. */
  readonly clusterId: string;
  /** Signs requests, in the cluster of this id. */
  readonly signer?: Signer | undefined;
  readonly ready: (address: string) => void;
  readonly closed: (address: string, cause: string) => void;
  readonly message: (address: string, message: ReplicaMessage) => void;
}

/** Trying again does not help: only another configuration does. */
const hopeless: ReadonlySet<HandshakeRefusal> = new Set<HandshakeRefusal>([
  "WRONG_PROTOCOL",
  "WRONG_CLUSTER",
  "WRONG_ROLE",
  "WRONG_MACHINE",
]);

export class NetworkLinks implements ClientLinks {
  readonly #options: NetworkLinksOptions;
  readonly #links = new Map<string, Link>();
  readonly #hopeless = new Set<string>();
  readonly #cluster: { id: string };
  /** Encoded, for the end of the turn. */
  readonly #unsigned = new Map<Link, { readonly bytes: Uint8Array }[]>();

  /** `others`: whoever they talk to is of the same cluster. */
  constructor(options: NetworkLinksOptions, others?: NetworkLinks) {
    this.#options = options;
    this.#cluster = others === undefined ? { id: options.clusterId } : others.#cluster;
  }

  /** Whoever answers there will never serve this client. */
  isHopeless(address: string): boolean {
    return this.#hopeless.has(address);
  }

  open(address: string): void {
    const { clock, hash, network } = this.#options;
    const { clientFrameBytesMax: frameBytesMax, handshakeMs } = defaultLimits.transport;
    const opening = {
      side: "dialer",
      hello: this.#hello(),
      accept: (welcome: Welcome) => this.#objectionTo(welcome),
    } as const;
    const link = new Link({ clock, hash }, { frameBytesMax, handshakeMs }, opening, {
      ready: () => this.#onReady(address, link),
      message: (_link, type, payload) => this.#onMessage(address, link, type, payload),
      closed: (_link, cause, refusal) => this.#onClosed(address, link, { cause, refusal }),
      drained: () => {},
    });
    this.#links.set(address, link);
    link.attach((handlers) => network.connect(address, handlers));
  }

  close(address: string): void {
    const link = this.#links.get(address);
    this.#links.delete(address);
    link?.close("broken");
  }

  send(address: string, message: ClientMessage): void {
    const link = this.#links.get(address);
    if (link === undefined) return;
    if (message.kind === "request" && this.#options.signer !== undefined) this.#sign(address, link, message.request);
    else link.send(clientMessageTypes[message.kind], encodeClientMessage(message));
  }

  /** At the end of the turn, with whatever else is asked in it. */
  #sign(address: string, link: Link, request: Request): void {
    const { clock, hash, signer } = this.#options;
    const bytes = encodeRequest(request);
    const waiting = this.#unsigned.get(link);
    if (waiting !== undefined) return void waiting.push({ bytes });
    const requests = [{ bytes }];
    this.#unsigned.set(link, requests);
    clock.atTurnEnd(() => {
      this.#unsigned.delete(link);
      // What a link that is gone was to carry is asked again over the next one.
      if (signer === undefined || this.#links.get(address) !== link) return;
      for (const bundle of cutIntoBundles(requests)) {
        const encoded = bundle.map((each) => each.bytes);
        link.send(clientMessageTypes.signed, sealBundle(this.#cluster.id, signer, hash, encoded));
      }
    });
  }

  #onReady(address: string, link: Link): void {
    if (this.#links.get(address) !== link) return;
    this.#hopeless.delete(address);
    this.#options.ready(address);
  }

  #onMessage(address: string, link: Link, type: number, payload: Uint8Array): void {
    if (this.#links.get(address) !== link) return;
    const message = decodeReplicaMessage(type, payload);
    if (message !== undefined) return this.#options.message(address, message);
    // Whoever sends this does not speak our protocol: nothing else from it is believed.
    link.close("broken");
    this.#onClosed(address, link, { cause: "malformed message", refusal: undefined });
  }

  #onClosed(
    address: string,
    link: Link,
    { cause, refusal }: { readonly cause: string; readonly refusal: Refused | undefined },
  ): void {
    if (this.#links.get(address) !== link) return;
    this.#links.delete(address);
    if (refusal !== undefined && hopeless.has(refusal.code)) this.#hopeless.add(address);
    this.#options.closed(address, cause);
  }

  #objectionTo(welcome: Welcome): string | undefined {
    const { machine } = this.#options;
    if (welcome.protocol !== protocolVersion)
      return `it speaks protocol ${welcome.protocol}, this client ${protocolVersion}`;
    if (welcome.machine !== machine) return `it runs the machine ${welcome.machine}, not ${machine}`;
    if (this.#cluster.id !== "" && welcome.clusterId !== this.#cluster.id) {
      return `it belongs to cluster ${welcome.clusterId}, not ${this.#cluster.id}`;
    }
    this.#cluster.id = welcome.clusterId;
    return undefined;
  }

  #hello(): Hello {
    const { name, machine, machineVersion } = this.#options;
    return {
      kind: "hello",
      protocol: protocolVersion,
      role: "client",
      clusterId: this.#cluster.id,
      from: name,
      to: "",
      incarnation: 0,
      process: "",
      machine,
      machineVersion,
      foundation: "",
      found: noDisk,
      configuration: noConfiguration,
      credential: new Uint8Array(0),
    };
  }
}
