/**
 * COMMAND and its subcommands: what tools ask to know of the commands there are.
 *
 * Owns: the replies' form, made of the tables. Documentation texts are not served; `docs/reference/redis-commands.md` has them.
 */
import type { CommandRow, Reply } from "../../services/kv/redis.js";
import type { Argv } from "./parser.js";

type Known = Pick<CommandRow, "name" | "arity" | "keys" | "access">;

export function commandReply(argv: Argv, table: readonly Known[]): Reply {
  const subcommand = (argv[1] ?? "").toUpperCase();
  const names = argv.slice(2).map((name) => name.toLowerCase());
  if (argv.length === 1) return table.map(describe);
  switch (subcommand) {
    case "COUNT":
      return table.length;
    case "LIST":
      return table.map(({ name }) => name);
    case "DOCS":
      return { map: [] };
    case "INFO":
      if (names.length === 0) return table.map(describe);
      return names.map((name) => {
        const known = table.find((candidate) => candidate.name === name);
        return known === undefined ? null : describe(known);
      });
    default:
      return { error: `ERR unknown subcommand '${argv[1] ?? ""}'. Try COMMAND HELP.` };
  }
}

/** Name, arity, flags, first key, last key, step; then the parts that Redis 7 added, empty. */
function describe({ name, arity, keys, access }: Known): Reply {
  const flag: Reply = { status: access === "write" ? "write" : "readonly" };
  return [name, arity, [flag], ...keys, [], [], [], []];
}
