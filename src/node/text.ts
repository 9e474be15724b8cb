/**
 * Texts from their bytes by Node's own decoder.
 *
 * Owns: that it is used, from the first replica of a thread on. It answers what the one in JavaScript answers, in a third of the time: a
 * large state is mostly texts.
 */
import { useAsciiReader } from "../base/utf8.js";

/** Every `Buffer` has it, and it takes any bytes; Node's types do not name it. */
interface Latin1Reader {
  latin1Slice(this: Uint8Array, from: number, to: number): string;
}

export function useNodeText(): void {
  const { latin1Slice } = Buffer.prototype as unknown as Latin1Reader;
  useAsciiReader((bytes, from, to) => latin1Slice.call(bytes, from, to));
}
