/**
 * Commands that the door answers itself, without the replicated service.
 *
 * Owns: PING to CONFIG below. Leaves to others: what needs the order of a connection (`transaction.ts`: MULTI and its family; `connection.ts`: QUIT
 * and RESET), and everything about keys (the machine).
 */
import type { Read } from "../../api/client-types.js";
import { readLevelOf } from "../../client/read-level.js";
import type { ReadLevel } from "../../model/request.js";
import { commandRows, matchesGlob, wrongArity, type CommandRow, type Reply } from "../../services/kv/redis.js";
import { describeClient, type ClientState } from "./client-state.js";
import { commandReply } from "./command-info.js";
import { infoText, type InfoSource } from "./info.js";
import type { RespLimits } from "./limits.js";
import type { Argv } from "./parser.js";
import { redisVersion } from "./redis-version.js";

/** What the commands may look at beside their client. */
export interface LocalContext {
  readonly client: ClientState;
  readonly limits: RespLimits;
  readonly source: InfoSource;
  readonly clients: () => Iterable<ClientState>;
  readonly nowMs: () => number;
}

export interface LocalCommand {
  /** In lower case. */
  readonly name: string;
  /** As in the machine's table: exact, or at least so many if negative. */
  readonly arity: number;
  /** `undefined`: no reply at all. */
  readonly run: (context: LocalContext, argv: Argv) => Reply | undefined;
}

const ok = true;

const localCommands: readonly LocalCommand[] = [
  {
    name: "ping",
    arity: -1,
    run: (_context, argv) => (argv.length > 2 ? wrongArity("ping") : (argv[1] ?? { status: "PONG" })),
  },
  { name: "echo", arity: 2, run: (_context, argv) => argv[1] ?? "" },
  { name: "hello", arity: -1, run: hello },
  { name: "auth", arity: -2, run: (_context, argv) => authenticate(argv.slice(1)) },
  { name: "select", arity: 2, run: (_context, argv) => select(argv[1] ?? "") },
  { name: "command", arity: -1, run: (_context, argv) => commandReply(argv, commandTable) },
  { name: "client", arity: -2, run: client },
  { name: "info", arity: -1, run: ({ source }, argv) => infoText(source, argv.slice(1)) },
  { name: "config", arity: -2, run: config },
  { name: "readonly", arity: 1, run: () => ok },
  { name: "readwrite", arity: 1, run: () => ok },
];

const byName: ReadonlyMap<string, LocalCommand> = new Map(localCommands.map((command) => [command.name, command]));

export function findLocalCommand(lowerName: string): LocalCommand | undefined {
  return byName.get(lowerName);
}

/** For COMMAND: what the machine executes, what is answered here, and the commands of a connection. */
const commandTable: readonly Pick<CommandRow, "name" | "arity" | "keys" | "access">[] = [
  ...commandRows,
  ...[...localCommands, ...connectionCommands()].map(({ name, arity }) => ({
    name,
    arity,
    keys: [0, 0, 0] as const,
    access: "read" as const,
  })),
];

function connectionCommands(): readonly { readonly name: string; readonly arity: number }[] {
  return ["multi", "exec", "discard", "unwatch", "reset"]
    .map((name) => ({ name, arity: 1 }))
    .concat({ name: "quit", arity: -1 });
}

/** HELLO [version [AUTH user password] [SETNAME name]]; all or nothing. */
function hello(context: LocalContext, argv: Argv): Reply {
  const { client } = context;
  const version = argv[1] === undefined ? String(client.protocol) : argv[1];
  if (!/^-?\d+$/.test(version)) return { error: "ERR Protocol version is not an integer or out of range" };
  if (version !== "2" && version !== "3") return { error: "NOPROTO unsupported protocol version" };
  let name: string | undefined;
  for (let at = 2; at < argv.length;) {
    const word = (argv[at] ?? "").toUpperCase();
    if (word === "AUTH" && at + 2 < argv.length) {
      const answer = authenticate(argv.slice(at + 1, at + 3));
      if (answer !== ok) return answer;
      at += 3;
    } else if (word === "SETNAME" && at + 1 < argv.length) {
      name = argv[at + 1] ?? "";
      if (!isName(name)) return nameError;
      at += 2;
    } else return { error: `ERR Syntax error in HELLO option '${argv[at] ?? ""}'` };
  }
  client.protocol = version === "3" ? 3 : 2;
  if (name !== undefined) client.name = name;
  const facts: Reply[] = ["server", "redis", "version", redisVersion, "proto", client.protocol, "id", client.id];
  facts.push("mode", "standalone", "role", "master", "modules", []);
  return { map: facts };
}

/** There are no passwords: who may connect is decided by where the door listens. */
function authenticate(credentials: Argv): Reply {
  if (credentials.length === 1) {
    return {
      error:
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
    };
  }
  if (credentials.length > 2) return { error: "ERR syntax error" };
  return credentials[0] === "default" ? ok : { error: "WRONGPASS invalid username-password pair or user is disabled." };
}

function select(index: string): Reply {
  if (!/^-?\d{1,18}$/.test(index)) return { error: "ERR value is not an integer or out of range" };
  return Number(index) === 0 ? ok : { error: "ERR DB index is out of range" };
}

const nameError: Reply = { error: "ERR Client names cannot contain spaces, newlines or special characters." };
const nameLengthMax = 256;

function isName(name: string): boolean {
  return name.length <= nameLengthMax && /^[!-~]*$/.test(name);
}

function client(context: LocalContext, argv: Argv): Reply | undefined {
  const subcommand = (argv[1] ?? "").toUpperCase();
  const value = argv[2] ?? "";
  const own = context.client;
  switch (`${subcommand}/${argv.length - 2}`) {
    case "ID/0":
      return own.id;
    case "GETNAME/0":
      return own.name === "" ? null : own.name;
    case "SETNAME/1":
      if (!isName(value)) return nameError;
      own.name = value;
      return ok;
    case "SETINFO/2":
      return setInfo(own, value.toUpperCase(), argv[3] ?? "");
    case "INFO/0":
      return `${describeClient(own, context.nowMs())}\n`;
    case "LIST/0":
      return listClients(context);
    case "REPLY/1":
      return setReplies(own, value.toUpperCase());
    case "NO-EVICT/1":
    case "NO-TOUCH/1":
      return value.toUpperCase() === "ON" || value.toUpperCase() === "OFF" ? ok : { error: "ERR syntax error" };
    case "UNPAUSE/0":
      return ok;
    case "READ/0":
      return describeLevel(own.read);
    case "READ/1":
    case "READ/2":
      return setRead(own, argv.slice(2));
    default:
      return { error: `ERR unknown subcommand or wrong number of arguments for '${argv[1] ?? ""}'. Try CLIENT HELP.` };
  }
}

/** CLIENT READ LINEARIZABLE | LEASE | LOCAL | ATLEAST index | MAXSTALENESS milliseconds */
function setRead(own: ClientState, [word = "", value]: Argv): Reply {
  const number = /^\d{1,16}$/.test(value ?? "") ? Number(value) : Number.NaN;
  const level = readLevelOf(readOf(word, value, number));
  if (typeof level === "string") return { error: "ERR syntax error, see CLIENT READ in the list of commands" };
  own.read = level;
  return ok;
}

function readOf(word: string, value: string | undefined, number: number): Read {
  const name = word.toUpperCase();
  if (name === "ATLEAST") return { atLeast: number };
  if (name === "MAXSTALENESS") return { maxStalenessMs: number };
  // Refused by whoever reads it, unless it is one of the words.
  return (value === undefined ? name.toLowerCase() : "") as Read;
}

function describeLevel(read: ReadLevel): string {
  if (read.kind === "atLeast") return `atleast ${read.index}`;
  return read.kind === "maxStaleness" ? `maxstaleness ${read.ms}` : read.kind;
}

function setInfo(own: ClientState, attribute: string, value: string): Reply {
  if (!isName(value))
    return { error: `ERR ${attribute.toLowerCase()} cannot contain spaces, newlines or special characters.` };
  if (attribute === "LIB-NAME") own.library = value;
  else if (attribute === "LIB-VER") own.libraryVersion = value;
  else return { error: `ERR Unrecognized option '${attribute}'` };
  return ok;
}

/** One line for each client, up to a bound. */
function listClients({ clients, nowMs }: LocalContext): Reply {
  const lines: string[] = [];
  for (const other of clients()) {
    if (lines.length >= 1000) break;
    lines.push(`${describeClient(other, nowMs())}\n`);
  }
  return lines.join("");
}

function setReplies(own: ClientState, mode: string): Reply | undefined {
  if (mode !== "ON" && mode !== "OFF" && mode !== "SKIP") return { error: "ERR syntax error" };
  const silent = own.replies === "off";
  if (mode === "ON") own.replies = "on";
  else if (mode === "OFF") own.replies = "off";
  else if (!silent) own.replies = "skipNext";
  return mode === "ON" ? ok : undefined;
}

/** What benchmark and monitoring tools ask for. The options are quorate's own and are set elsewhere. */
function config(context: LocalContext, argv: Argv): Reply {
  const subcommand = (argv[1] ?? "").toUpperCase();
  if (subcommand === "RESETSTAT" && argv.length === 2) return ok;
  if (subcommand === "SET")
    return { error: "ERR CONFIG SET is not supported: options of a replica are set when it is started" };
  if (subcommand !== "GET" || argv.length < 3) {
    return { error: `ERR unknown subcommand or wrong number of arguments for '${argv[1] ?? ""}'. Try CONFIG HELP.` };
  }
  const patterns = argv.slice(2).map((pattern) => pattern.toLowerCase());
  const found = configOf(context.limits).filter(([name]) => patterns.some((pattern) => matchesGlob(pattern, name)));
  return { map: found.flat() };
}

function configOf(limits: RespLimits): readonly (readonly [string, string])[] {
  return [
    ["save", ""],
    // Every write is on the disks of a majority before it is answered.
    ["appendonly", "yes"],
    ["appendfsync", "always"],
    ["databases", "1"],
    ["maxclients", String(limits.connectionsMax)],
    ["maxmemory", "0"],
    ["maxmemory-policy", "noeviction"],
    ["proto-max-bulk-len", String(limits.bulkBytesMax)],
    ["timeout", "0"],
  ];
}
