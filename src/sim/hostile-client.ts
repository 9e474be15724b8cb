/**
 * A client that means harm: with a key of its own and a connection to each replica, over which it sends what no client of ours does.
 *
 * Owns: what it sends and when, all drawn from streams of its own. Nobody is told what becomes of it; what of it is executed must change
 * nothing that others look at, so it appends to a text of its own. Leaves to others: whether anybody is harmed (the rules, above all V6, V8,
 * V14). Owned by `world.ts`.
 */
import { defaultLimits } from "../api/config.js";
import { sealBundle } from "../authentication/sealer.js";
import type { RequestNumber, SessionId } from "../model/ids.js";
import type { Request } from "../model/request.js";
import type { Clock } from "../ports/clock.js";
import type { Signer } from "../ports/signatures.js";
import { Link } from "../transport/link.js";
import { encodeValue } from "../wire/canonical.js";
import { clientMessageTypes, decodeReplicaMessage, encodeClientMessage } from "../wire/client-codec.js";
import { noConfiguration, noDisk, protocolVersion, type Hello } from "../wire/handshake.js";
import { keyNameOf } from "../wire/key-name.js";
import { encodeRequest } from "../wire/request-codec.js";
import { Draw } from "./draw.js";
import { SimProcess } from "./process.js";
import type { Scheduler } from "./scheduler.js";
import { simHash } from "./sim-hash.js";
import type { SimNetwork } from "./sim-network.js";

export interface HostileParts {
  readonly scheduler: Scheduler;
  readonly network: SimNetwork;
  readonly clusterId: string;
  readonly machine: { readonly name: string; readonly version: number };
  readonly endpoints: readonly string[];
  readonly signer: Signer;
  /** Another key of it: two in one connection. */
  readonly otherSigner: Signer;
  readonly turnMsMax: number;
  readonly threw: (cause: unknown) => void;
}

const redialMs = 400;
/** Requests that it signs together. */
export const hostileBundleMax = 4;

export class HostileClient {
  readonly id: string;
  readonly #parts: HostileParts;
  readonly #draw: Draw;
  readonly #links = new Map<string, Link>();
  readonly #sent: { readonly type: number; readonly payload: Uint8Array }[] = [];
  #session: SessionId | undefined;
  #number = 1;
  /** Messages that no client of ours sends. */
  sentCount = 0;

  constructor(id: string, parts: HostileParts) {
    this.id = id;
    this.#parts = parts;
    this.#draw = new Draw(parts.scheduler.random(`hostile ${id}`));
  }

  start(): void {
    const { scheduler, turnMsMax, threw } = this.#parts;
    const process = new SimProcess(scheduler, `${this.id}.1`, { turnMsMax, onThrow: threw });
    process.run(() => {
      for (const address of this.#parts.endpoints) this.#dial(process, address);
      this.#actLater(process);
    });
  }

  #dial(process: SimProcess, address: string): void {
    const { network, machine, clusterId } = this.#parts;
    const { clientFrameBytesMax: frameBytesMax, handshakeMs } = defaultLimits.transport;
    const { clock }: { readonly clock: Clock } = process;
    const hello: Hello = {
      kind: "hello",
      role: "client",
      ...{ protocol: protocolVersion, clusterId, from: this.id, to: "" },
      ...{ incarnation: 0, process: process.name, machine: machine.name, machineVersion: machine.version },
      ...{ foundation: "", found: noDisk, configuration: noConfiguration, credential: new Uint8Array(0) },
    };
    const opening = { side: "dialer", hello, accept: () => undefined } as const;
    const link = new Link({ clock, hash: simHash }, { frameBytesMax, handshakeMs }, opening, {
      ready: () => this.#links.set(address, link),
      message: (_link, type, payload) => this.#hear(type, payload),
      closed: () => {
        if (this.#links.get(address) === link) this.#links.delete(address);
        process.post(redialMs, () => this.#dial(process, address));
      },
      drained: () => {},
    });
    link.attach((handlers) => network.attach(process, this.id).connect(address, handlers));
  }

  #hear(type: number, payload: Uint8Array): void {
    const message = decodeReplicaMessage(type, payload);
    if (message?.kind === "reply" && message.reply.status === "opened") this.#session = message.reply.session;
  }

  #actLater(process: SimProcess): void {
    process.post(this.#draw.spread(5, 300), () => {
      this.#actLater(process);
      this.#act();
    });
  }

  #act(): void {
    const session = this.#session;
    const { signer } = this.#parts;
    if (session === undefined || this.#draw.chance(0.02)) {
      return this.#toAll([
        { kind: "open", nonce: `${this.id} ${this.#number++}`, principal: keyNameOf(signer.publicKey) },
      ]);
    }
    this.sentCount += 1;
    const acts = [
      () => this.#toAll([this.#append(session, this.#number++)]),
      () => this.#split(session),
      () => this.#toSome([this.#append(session, this.#number++)]),
      () => this.#spoilt(session),
      () => this.#elsewhere(session),
      () => this.#partlyValid(session),
      () => this.#steal(),
      () => this.#toAll([this.#append(session, this.#draw.pick([0, 1, 2 ** 40, Number.MAX_SAFE_INTEGER]))]),
      () => this.#again(),
      () => this.#unsigned(session),
      () => this.#garbage(),
      () => this.#toAll([{ kind: "close", session }]),
    ];
    this.#draw.pick(acts)();
  }

  /** One number, and to each replica something else. */
  #split(session: SessionId): void {
    const number = this.#number++;
    for (const address of this.#links.keys()) this.#send(address, this.#seal([this.#append(session, number)]));
  }

  #spoilt(session: SessionId): void {
    const bundle = this.#seal([this.#append(session, this.#number)]);
    bundle[this.#draw.between(0, bundle.length - 1)] = this.#draw.between(0, 255);
    for (const address of this.#links.keys()) if (this.#draw.chance(0.5)) this.#send(address, bundle);
  }

  /** Signed, for another cluster; or by a key to which the session does not belong. */
  #elsewhere(session: SessionId): void {
    const requests = [encodeRequest(this.#append(session, this.#number))];
    const { clusterId, signer, otherSigner } = this.#parts;
    const isOther = this.#draw.chance(0.5);
    const bundle = sealBundle(isOther ? "other" : clusterId, isOther ? signer : otherSigner, simHash, requests);
    for (const address of this.#links.keys()) this.#send(address, bundle);
  }

  /** What is good among what is not, `hostileBundleMax` of them: a request that was executed, one out of order, one in somebody's session. */
  #partlyValid(session: SessionId): void {
    const number = this.#number++;
    const others = this.#draw.between(1, 20) as SessionId;
    this.#toSome([
      this.#append(session, Math.max(1, number - 1)),
      this.#append(session, number + 5),
      this.#append(others, this.#draw.between(1, 20)),
      this.#append(session, number),
    ]);
  }

  /** In the sessions of others, which have small numbers. */
  #steal(): void {
    const session = this.#draw.between(1, 20) as SessionId;
    const requests: readonly Request[] = [
      this.#append(session, this.#draw.between(1, 50)),
      { kind: "resolve", session, number: this.#draw.between(1, 50) as RequestNumber },
      { kind: "keepAlive", session, acknowledgedBelow: 1_000 as RequestNumber },
      { kind: "close", session },
    ];
    this.#toAll([this.#draw.pick(requests)]);
  }

  #again(): void {
    if (this.#sent.length === 0) return;
    const { type, payload } = this.#draw.pick(this.#sent);
    for (const link of this.#links.values()) for (let count = 0; count < 3; count += 1) link.send(type, payload);
  }

  /** Where everything is to be signed. */
  #unsigned(session: SessionId): void {
    const request = this.#append(session, this.#number);
    for (const link of this.#links.values())
      link.send(clientMessageTypes.request, encodeClientMessage({ kind: "request", request }));
  }

  #garbage(): void {
    const bytes = Uint8Array.from({ length: this.#draw.between(0, 300) }, () => this.#draw.between(0, 255));
    for (const link of this.#links.values()) if (this.#draw.chance(0.3)) link.send(this.#draw.between(1, 9), bytes);
  }

  #append(session: SessionId, number: number): Request {
    const value = `${this.id}.${this.#draw.between(0, 999_999)},`;
    return {
      ...{ kind: "command", session, number: number as RequestNumber, acknowledgedBelow: 1 as RequestNumber },
      ...{ name: "append", input: encodeValue({ key: this.id, value }), idempotency: undefined },
    };
  }

  #seal(requests: readonly Request[]): Uint8Array {
    const { clusterId, signer } = this.#parts;
    return sealBundle(
      clusterId,
      signer,
      simHash,
      requests.map((request) => encodeRequest(request)),
    );
  }

  #toAll(requests: readonly Request[]): void {
    const bundle = this.#seal(requests);
    for (const address of this.#links.keys()) this.#send(address, bundle);
  }

  #toSome(requests: readonly Request[]): void {
    const bundle = this.#seal(requests);
    for (const address of this.#links.keys()) if (this.#draw.chance(0.4)) this.#send(address, bundle);
  }

  #send(address: string, bundle: Uint8Array): void {
    const sent = { type: clientMessageTypes.signed, payload: bundle };
    if (this.#sent.push(sent) > 50) this.#sent.shift();
    this.#links.get(address)?.send(sent.type, sent.payload);
  }
}
