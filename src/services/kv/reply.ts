/**
 * What a Redis command answers, as plain data: the door makes RESP of it, other clients read it as it is.
 *
 * Owns: the shapes, the error texts that several commands share, and the weight of a reply. The common answers are the
 * cheapest: a bulk string is a string, nil is null, an integer is a number (a bigint beyond 2^53), "OK" is true.
 */

export type Reply = true | string | number | bigint | null | readonly Reply[] | ReplyObject;

/** Members are named by what RESP calls them; a reply has one of them. */
export interface ReplyObject {
  /** A simple string other than OK. */
  readonly status?: string;
  /** The whole text, code first. */
  readonly error?: string;
  /** Keys and values in turn: a map in RESP3, an array in RESP2. */
  readonly map?: readonly Reply[];
  readonly set?: readonly Reply[];
  /** Members and scores in turn: an array of pairs in RESP3, flat in RESP2. */
  readonly pairs?: readonly Reply[];
  /** The shortest decimal text of a double: a double in RESP3, a bulk string in RESP2. */
  readonly double?: string;
  /** Nil, where RESP2 says so with an array. */
  readonly nilArray?: true;
}

export const errors = {
  wrongType: { error: "WRONGTYPE Operation against a key holding the wrong kind of value" },
  syntax: { error: "ERR syntax error" },
  notInteger: { error: "ERR value is not an integer or out of range" },
  notFloat: { error: "ERR value is not a valid float" },
  notPositive: { error: "ERR value is out of range, must be positive" },
  overflow: { error: "ERR increment or decrement would overflow" },
  noSuchKey: { error: "ERR no such key" },
  tooLong: { error: "ERR string exceeds maximum allowed size (proto-max-bulk-len)" },
} as const satisfies Readonly<Record<string, ReplyObject>>;

export function wrongArity(name: string): ReplyObject {
  return { error: `ERR wrong number of arguments for '${name}' command` };
}

export function invalidExpire(name: string): ReplyObject {
  return { error: `ERR invalid expire time in '${name}' command` };
}

/** Redis's text, in which arguments are quoted up to 128 characters in all. */
export function unknownCommand(argv: readonly string[]): ReplyObject {
  let quoted = "";
  for (const argument of argv.slice(1)) {
    if (quoted.length >= 128) break;
    quoted += `'${argument.slice(0, 128 - quoted.length)}' `;
  }
  const name = (argv[0] ?? "").slice(0, 128);
  return { error: `ERR unknown command '${name}', with args beginning with: ${quoted}`.replaceAll(/[\r\n]/g, " ") };
}

export function isError(reply: Reply): reply is ReplyObject & { readonly error: string } {
  return typeof reply === "object" && reply !== null && "error" in reply;
}

/** At least half of the bytes that the reply takes in canonical form. */
export function weightOf(reply: Reply): number {
  if (typeof reply === "string") return 8 + reply.length;
  if (typeof reply !== "object" || reply === null) return 8;
  const parts = isArray(reply) ? reply : (reply.map ?? reply.set ?? reply.pairs);
  if (parts === undefined) return 16;
  let weight = 8;
  for (const part of parts) weight += weightOf(part);
  return weight;
}

function isArray(reply: Reply): reply is readonly Reply[] {
  return Array.isArray(reply);
}
