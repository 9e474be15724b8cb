/**
 * Keeps one outgoing link alive: dials, and dials again with jittered, growing delays.
 *
 * Owns: the delays (full jitter between a floor and a ceiling that doubles, drawn from the owner's seed). Leaves to others: the
 * handshake (`transport/link.ts`), what is sent. Hazards F7 (no reconnect storm) and E19 (a peer that was long away is heard
 * soon: the ceiling is low). Whoever is told that it is no member need not ask often: once it is added, the members call it.
 */
import { nextBetween, type Random } from "../base/random.js";
import type { Clock } from "../ports/clock.js";
import type { Hash } from "../ports/hash.js";
import type { Network } from "../ports/network.js";
import type { Hello, Refused, Welcome } from "../wire/handshake.js";
import { Link, type LinkHandlers, type LinkLimits, type Refusal } from "./link.js";

export interface DialerOptions {
  readonly network: Network;
  readonly clock: Clock;
  readonly hash: Hash;
  readonly random: Random;
  readonly limits: LinkLimits;
  readonly address: string;
  /** Milliseconds before the second try; doubles with each failure up to the maximum. */
  readonly retryMsMin: number;
  readonly retryMsMax: number;
  readonly hello: () => Hello;
  /** An objection to who answered, or undefined. */
  readonly accept: (welcome: Welcome) => Refused | undefined;
  /** See `LinkOpening`. */
  readonly proof?: ((welcome: Welcome) => Uint8Array) | undefined;
  readonly ready: (link: Link, welcome: Welcome) => void;
  readonly message: (link: Link, type: number, payload: Uint8Array) => void;
  /** See `LinkHandlers`. */
  readonly arriving?: ((link: Link) => void) | undefined;
  readonly closed: (cause: string, refusal: Refusal | undefined) => void;
}

/** A stranger's longest delay is that of others doubled so many times. */
const strangerDoublings = 5;

export class Dialer {
  readonly #options: DialerOptions;
  #link: Link | undefined;
  #failures = 0;
  /** Of these the last ones in a row, which said that this replica is not a member. */
  #strangerCount = 0;
  #stopped = false;
  #cancelRetry: () => void = () => {};

  constructor(options: DialerOptions) {
    this.#options = options;
    this.#dial();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelRetry();
    this.#link?.close("done");
  }

  #dial(): void {
    const { network, clock, hash, limits, address, hello, accept, proof } = this.#options;
    const opening = { side: "dialer", hello: hello(), accept, proof } as const;
    const link = new Link({ clock, hash }, limits, opening, this.#handlers());
    this.#link = link;
    link.attach((handlers) => network.connect(address, handlers));
  }

  #handlers(): LinkHandlers {
    return {
      ready: (link, peer) => {
        if (peer.kind !== "welcome") return;
        this.#failures = 0;
        this.#strangerCount = 0;
        this.#options.ready(link, peer);
      },
      message: (link, type, payload) => this.#options.message(link, type, payload),
      arriving: (link) => this.#options.arriving?.(link),
      drained: () => {},
      closed: (_link, cause, refusal) => {
        this.#link = undefined;
        const isStranger = refusal?.code === "NOT_A_MEMBER" && !refusal.isOurs;
        this.#strangerCount = isStranger ? this.#strangerCount + 1 : 0;
        this.#options.closed(cause, refusal);
        this.#retryLater();
      },
    };
  }

  #retryLater(): void {
    if (this.#stopped) return;
    const { retryMsMin, retryMsMax, clock, random } = this.#options;
    const longest = retryMsMax * 2 ** Math.min(this.#strangerCount, strangerDoublings);
    const ceiling = Math.min(longest, retryMsMin * 2 ** Math.min(this.#failures, 16));
    this.#failures += 1;
    this.#cancelRetry = clock.after(nextBetween(random, retryMsMin, ceiling), () => this.#dial());
  }
}
