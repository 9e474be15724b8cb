/**
 * A client core joined to its links and its timer, over the ports.
 *
 * Owns: giving each input the time of it, and arming the timer after each. Leaves to others: Promises and what an answer becomes
 * (`node/running-client.ts`), what is asked (the same, and `sim/sim-client.ts`).
 */
import { hexOf } from "../base/bytes.js";
import { seedOf } from "../base/random.js";
import type { Clock } from "../ports/clock.js";
import type { Entropy } from "../ports/entropy.js";
import type { Hash } from "../ports/hash.js";
import type { Network } from "../ports/network.js";
import type { Signer } from "../ports/signatures.js";
import { keyNameOf } from "../wire/key-name.js";
import { ClientCore, type ConnectTo } from "./client-core.js";
import type { ClientLimits } from "./limits.js";
import { NetworkLinks } from "./network-links.js";
import { ClientTurns } from "./turns.js";

export interface NetworkedClientOptions {
  readonly clock: Clock;
  readonly network: Network;
  readonly hash: Hash;
  readonly entropy: Entropy;
  readonly endpoints: readonly string[];
  readonly limits: ClientLimits;
  readonly machine: { readonly name: string; readonly version: number };
  /** Empty: whichever cluster the first replica belongs to. */
  readonly clusterId: string;
  /** For the replicas' logs. */
  readonly name: string;
  readonly connectTo?: ConnectTo | undefined;
  /** An answer is believed once f + 1 of the replicas at `endpoints` have the same. */
  readonly isVoting: boolean;
  /** Replicas may lie: requests are signed with this key, and `clusterId` is that of the cluster. */
  readonly signer?: Signer | undefined;
  /** A link opened or closed. */
  readonly linkChanged: () => void;
  readonly closed: () => void;
}

export class NetworkedClient {
  readonly #core: ClientCore;
  readonly #links: NetworkLinks;
  readonly #turns: ClientTurns;
  readonly #clock: Clock;

  constructor(options: NetworkedClientOptions) {
    const { clock, network, hash, entropy, machine, name, clusterId, signer, linkChanged } = options;
    this.#clock = clock;
    const common = { clock, network, hash, name, machine: machine.name, machineVersion: machine.version, clusterId };
    this.#links = new NetworkLinks({
      ...common,
      signer,
      ready: (address) => {
        this.#core.linkReady(address, clock.monotonic());
        linkChanged();
        this.#turns.arm();
      },
      closed: (address, cause) => {
        this.#core.linkClosed(address, cause, clock.monotonic());
        linkChanged();
        this.#turns.arm();
      },
      message: (address, message) => this.input((core, now) => core.receive(address, message, now)),
    });
    const votes = new NetworkLinks(
      {
        ...common,
        ready: (address) => this.input((core, now) => core.voterReady(address, now)),
        closed: (address) => this.input((core, now) => core.voterClosed(address, now)),
        message: (address, message) => this.input((core, now) => core.receiveVote(address, message, now)),
      },
      this.#links,
    );
    this.#core = new ClientCore({
      endpoints: options.endpoints,
      links: this.#links,
      limits: options.limits,
      seed: seedOf(entropy.bytes(6)),
      principal: signer === undefined ? "" : keyNameOf(signer.publicKey),
      drawNonce: () => hexOf(entropy.bytes(16)),
      connectTo: options.connectTo,
      votes: options.isVoting
        ? { links: votes, endpoints: options.endpoints, hash, faults: signer === undefined ? "value" : "byzantine" }
        : undefined,
    });
    this.#turns = new ClientTurns(this.#core, clock, options.closed);
  }

  /** For looking only: what changes it goes through `input`. */
  get core(): Pick<ClientCore, "status" | "describeEndpoints"> {
    return this.#core;
  }

  /** Whoever answers there will never serve this client. */
  isHopeless(address: string): boolean {
    return this.#links.isHopeless(address);
  }

  input<Result>(run: (core: ClientCore, now: number) => Result): Result {
    const result = run(this.#core, this.#clock.monotonic());
    this.#turns.arm();
    return result;
  }
}
