/**
 * Texts from their bytes and to them by Node's own functions.
 *
 * Owns: that they are used, from the first replica or client of a thread on. They answer what those in JavaScript answer, in a third of the time and
 * less: a large state is mostly texts, and so are most inputs.
 */
import { isAscii } from "node:buffer";

import { usePlatformText } from "../base/utf8.js";

/** Every `Buffer` has them, and they take any bytes; Node's types do not name them. */
interface TextMethods {
  latin1Slice(this: Uint8Array, from: number, to: number): string;
  utf8Write(this: Uint8Array, text: string, at: number, bytesMax: number): number;
}

export function useNodeText(): void {
  const { latin1Slice, utf8Write } = Buffer.prototype as unknown as TextMethods;
  const encoder = new TextEncoder();
  usePlatformText({
    readAscii: (bytes, from, to) => latin1Slice.call(bytes, from, to),
    isAscii: (bytes, from, to) => isAscii(bytes.subarray(from, to)),
    writeAscii(bytes, text, from, end) {
      // Whatever is not ASCII takes more bytes than units, at most three for each: so either all of it is written, or it is not ASCII.
      const bytesMax = 3 * text.length;
      if (bytesMax <= end - from) return utf8Write.call(bytes, text, from, bytesMax) === text.length;
      const { read, written } = encoder.encodeInto(text, bytes.subarray(from, from + text.length));
      return read === text.length && written === text.length;
    },
  });
}
