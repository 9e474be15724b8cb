/**
 * The place of one reply in a connection's output.
 *
 * Owns: keeping replies in the order of their commands, whatever order they become known in. A slot is made when a command is taken,
 * and filled once.
 */
import type { Reply } from "../../services/kv/redis.js";
import { encodeError, encodeReply, type Protocol } from "./reply-text.js";

export class Slot {
  /** RESP text, `undefined` until it is known. */
  text: string | undefined;
  readonly protocol: Protocol;

  constructor(protocol: Protocol) {
    this.protocol = protocol;
  }

  take(reply: Reply): void {
    this.text = encodeReply(reply, this.protocol);
  }

  fail(error: string): void {
    this.text = encodeError(error);
  }
}

/** CLIENT REPLY OFF: what would be said is dropped. */
export class MutedSlot extends Slot {
  override take(_reply: Reply): void {
    this.text = "";
  }

  override fail(_error: string): void {
    this.text = "";
  }
}

/** A slot whose reply the connection looks at first. */
export class WatchSlot extends Slot {
  readonly #isMuted: boolean;
  readonly #onReply: (reply: Reply) => Reply;

  constructor(protocol: Protocol, isMuted: boolean, onReply: (reply: Reply) => Reply) {
    super(protocol);
    this.#isMuted = isMuted;
    this.#onReply = onReply;
  }

  override take(reply: Reply): void {
    super.take(this.#onReply(reply));
    if (this.#isMuted) this.text = "";
  }

  override fail(error: string): void {
    super.fail(error);
    if (this.#isMuted) this.text = "";
  }
}
