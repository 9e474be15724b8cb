/**
 * What the RESP door needs of the key-value service beside its machine: the table of commands, and the texts they share.
 *
 * Owns: the list. Not a door of the package: `index.ts` is.
 */
export { isBulky, type CommandRow } from "./commands/command.js";
export { commandRows, findCommand, hasArity } from "./commands/table.js";
export { matchesGlob } from "./glob.js";
export { unknownCommand, wrongArity, type Reply, type ReplyObject } from "./reply.js";
