/**
 * Taking Redis commands out of a stream of characters: arrays of bulk strings (RESP2 and RESP3 send the same) and inline commands.
 *
 * Owns: finding where a command ends, and the protocol errors. Leaves to others: what a command means. Called by `connection.ts` with
 * latin1 text, one character a byte: slicing and comparing text is several times cheaper than doing it with bytes.
 *
 * Invariants: RP1 every limit is checked before anything is made of a length, and nothing is allocated because of a count. RP2 after
 * a protocol error nothing is given out. RP3 a long argument that arrives in pieces is joined once, not once per piece.
 */
import type { RespLimits } from "./limits.js";
import { splitInline } from "./inline.js";

/** A command as the client wrote it: name, then arguments, at least one in all. */
export type Argv = readonly string[];

export type Parsed =
  | { readonly kind: "command"; readonly argv: Argv }
  /** What Redis would answer before it closes the connection. */
  | { readonly kind: "protocolError"; readonly message: string };

export type ParserLimits = Pick<RespLimits, "bulkBytesMax" | "queryBytesMax" | "argumentsMax" | "inlineBytesMax">;

const carriageReturn = 13;
const lineFeed = 10;
const minus = 45;
const zero = 48;
const star = 42;
const dollar = 36;

const incomplete = -2;
const malformed = -3;

export class RespParser {
  readonly #limits: ParserLimits;
  #text = "";
  #at = 0;
  /** Pieces that arrived behind `#text` and are not needed before all of `#missing` is there. */
  #pieces: string[] = [];
  #piecesChars = 0;
  #missing = 0;
  /** Arguments of the command being read, and how many it will have; 0 between commands. */
  #argv: string[] = [];
  #expected = 0;
  #argvBytes = 0;
  /** Length of the argument being read; -1 before its header. */
  #bulkLength = -1;
  #broken = false;

  constructor(limits: ParserLimits) {
    this.#limits = limits;
  }

  /** Characters received of a command that is not whole. */
  get waitingChars(): number {
    const taken = this.#argvBytes - Math.max(0, this.#bulkLength);
    return this.#text.length - this.#at + this.#piecesChars + taken;
  }

  push(chunk: string): void {
    if (this.#missing > chunk.length) {
      this.#pieces.push(chunk);
      this.#piecesChars += chunk.length;
      this.#missing -= chunk.length;
      return;
    }
    this.#missing = 0;
    const rest = this.#at === 0 ? this.#text : this.#text.slice(this.#at);
    this.#text = this.#pieces.length === 0 ? rest + chunk : rest + this.#pieces.join("") + chunk;
    this.#pieces = [];
    this.#piecesChars = 0;
    this.#at = 0;
  }

  /** The next whole command, or `undefined` until more has arrived. */
  next(): Parsed | undefined {
    while (!this.#broken && this.#missing === 0 && this.#at < this.#text.length) {
      if (this.#expected === 0 && this.#text.charCodeAt(this.#at) !== star) {
        const parsed = this.#nextInline();
        if (parsed === "blank") continue;
        return parsed;
      }
      if (this.#expected === 0) {
        const fault = this.#startArray();
        if (fault === "blank") continue;
        if (fault !== "started") return fault;
      }
      return this.#nextArray();
    }
    return undefined;
  }

  #startArray(): "started" | "blank" | Parsed | undefined {
    const count = this.#readLength();
    if (count === incomplete) return this.#orTooLong("too big mbulk count string");
    if (count === malformed || count > this.#limits.argumentsMax) return this.#fail("invalid multibulk length");
    if (count <= 0) return "blank";
    this.#expected = count;
    this.#argv = [];
    this.#argvBytes = 0;
    return "started";
  }

  #nextArray(): Parsed | undefined {
    while (this.#argv.length < this.#expected) {
      if (this.#bulkLength < 0) {
        const fault = this.#startBulk();
        if (fault !== "started") return fault;
      }
      const end = this.#at + this.#bulkLength;
      if (end + 2 > this.#text.length) {
        this.#missing = end + 2 - this.#text.length;
        return undefined;
      }
      this.#argv.push(this.#text.slice(this.#at, end));
      this.#at = end + 2;
      this.#bulkLength = -1;
    }
    const argv = this.#argv;
    this.#expected = 0;
    this.#argv = [];
    this.#argvBytes = 0;
    return { kind: "command", argv };
  }

  #startBulk(): "started" | Parsed | undefined {
    if (this.#at >= this.#text.length) return undefined;
    const first = this.#text.charCodeAt(this.#at);
    if (first !== dollar) return this.#fail(`expected '$', got '${printable(first)}'`);
    const length = this.#readLength();
    if (length === incomplete) return this.#orTooLong("too big bulk count string");
    if (length < 0 || length > this.#limits.bulkBytesMax) return this.#fail("invalid bulk length");
    this.#argvBytes += length;
    if (this.#argvBytes > this.#limits.queryBytesMax) return this.#fail("too big query");
    this.#bulkLength = length;
    return "started";
  }

  #nextInline(): Parsed | "blank" | undefined {
    const end = this.#text.indexOf("\n", this.#at);
    if (end < 0) return this.#orTooLong("too big inline request");
    if (end - this.#at > this.#limits.inlineBytesMax) return this.#fail("too big inline request");
    const argv = splitInline(this.#text.slice(this.#at, end));
    if (argv === undefined) return this.#fail("unbalanced quotes in request");
    this.#at = end + 1;
    return argv.length === 0 ? "blank" : { kind: "command", argv };
  }

  /** The number between the type character at `#at` and the end of its line. Moves behind the line only when it is whole. */
  #readLength(): number {
    const text = this.#text;
    let at = this.#at + 1;
    const negative = text.charCodeAt(at) === minus;
    if (negative) at += 1;
    const first = at;
    let value = 0;
    for (; at < text.length; at += 1) {
      const digit = text.charCodeAt(at) - zero;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
      if (at - first > 15) return malformed;
    }
    if (at >= text.length) return incomplete;
    if (at === first || text.charCodeAt(at) !== carriageReturn) return malformed;
    if (at + 1 >= text.length) return incomplete;
    if (text.charCodeAt(at + 1) !== lineFeed) return malformed;
    this.#at = at + 2;
    return negative ? -1 : value;
  }

  #orTooLong(message: string): Parsed | undefined {
    return this.#text.length - this.#at > this.#limits.inlineBytesMax ? this.#fail(message) : undefined;
  }

  #fail(message: string): Parsed {
    this.#broken = true;
    this.#text = "";
    this.#at = 0;
    this.#argv = [];
    return { kind: "protocolError", message: `Protocol error: ${message}` };
  }
}

function printable(code: number): string {
  return code >= 32 && code < 127 ? String.fromCharCode(code) : " ";
}
