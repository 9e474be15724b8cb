/**
 * Between text as TypeScript and HTTP clients have it and the bytes that Redis clients see.
 *
 * Owns: both directions. State holds one character for each byte; text becomes its UTF-8, so "é" written here is "é" to a Redis
 * client too.
 */
import { decodeUtf8, encodeUtf8 } from "../../base/bytes.js";
import { takeAscii } from "../../base/utf8.js";

export function bytesOfText(text: string): string {
  if (isAscii(text)) return text;
  let latin1 = "";
  for (const byte of encodeUtf8(text)) latin1 += String.fromCharCode(byte);
  return latin1;
}

/** `undefined` if the bytes are not UTF-8. */
export function textOfBytes(latin1: string): string | undefined {
  if (isAscii(latin1)) return latin1;
  const bytes = new Uint8Array(latin1.length);
  for (let at = 0; at < latin1.length; at += 1) bytes[at] = latin1.charCodeAt(at);
  return decodeUtf8(bytes);
}

/** V8 searches texts three times as fast as a loop, and writes long ones faster still. Where it is used, this would be made anew with each use. */
const notAscii = /[\u0080-\uffff]/;

function isAscii(text: string): boolean {
  return text.length < longMin ? !notAscii.test(text) : takeAscii(text, ignored);
}

const longMin = 1_024;
const ignored = (): void => undefined;
