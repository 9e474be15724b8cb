/**
 * The door `quorate/services/kv`.
 *
 * Owns: what users may import of the key-value service: the machine, and what its inputs and outputs are made of.
 */
export { kv } from "./machine.js";
export type { DeleteInput, ExpireInput, IncrementInput, KeysInput, RedisInput, SetInput } from "./inputs.js";
export type { Reply, ReplyObject } from "./reply.js";
export type { Found } from "./typed.js";
