/**
 * Replies as RESP, version 2 or 3, in latin1 text: one character a byte.
 *
 * Owns: both encodings. Called once for each reply; what they carry comes from the machine or from the door itself.
 */
import type { Reply, ReplyObject } from "../../services/kv/redis.js";

/** What a client asked for by HELLO; 2 until then. */
export type Protocol = 2 | 3;

/** Replies nest as deep as canonical data may (64), so the recursion is bounded. */
export function encodeReply(reply: Reply, protocol: Protocol): string {
  if (reply === true) return "+OK\r\n";
  if (typeof reply === "string") return `$${reply.length}\r\n${reply}\r\n`;
  if (typeof reply === "number") return `:${reply}\r\n`;
  if (reply === null) return protocol === 3 ? "_\r\n" : "$-1\r\n";
  if (typeof reply === "bigint") return `:${reply}\r\n`;
  if (isList(reply)) return encodeList("*", reply, protocol);
  return encodeObject(reply, protocol);
}

export function encodeError(text: string): string {
  return `-${text.replaceAll(/[\r\n]/g, " ")}\r\n`;
}

function encodeObject(reply: ReplyObject, protocol: Protocol): string {
  if (reply.error !== undefined) return encodeError(reply.error);
  if (reply.status !== undefined) return `+${reply.status}\r\n`;
  if (reply.double !== undefined) return protocol === 3 ? `,${reply.double}\r\n` : encodeReply(reply.double, protocol);
  if (reply.set !== undefined) return encodeList(protocol === 3 ? "~" : "*", reply.set, protocol);
  if (reply.map !== undefined) return encodeMap(reply.map, protocol);
  if (reply.pairs !== undefined) return encodePairs(reply.pairs, protocol);
  return protocol === 3 ? "_\r\n" : "*-1\r\n";
}

function encodeList(type: string, parts: readonly Reply[], protocol: Protocol): string {
  let text = `${type}${parts.length}\r\n`;
  for (const part of parts) text += encodeReply(part, protocol);
  return text;
}

function encodeMap(parts: readonly Reply[], protocol: Protocol): string {
  let text = protocol === 3 ? `%${parts.length / 2}\r\n` : `*${parts.length}\r\n`;
  for (const part of parts) text += encodeReply(part, protocol);
  return text;
}

function encodePairs(parts: readonly Reply[], protocol: Protocol): string {
  if (protocol === 2) return encodeList("*", parts, protocol);
  let text = `*${parts.length / 2}\r\n`;
  for (let at = 0; at < parts.length; at += 2) text += encodeList("*", parts.slice(at, at + 2), protocol);
  return text;
}

function isList(reply: readonly Reply[] | ReplyObject): reply is readonly Reply[] {
  return Array.isArray(reply);
}
