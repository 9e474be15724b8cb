/**
 * Every option of a replica process: its name, its kind, its default, and what it means.
 *
 * Owns: the table that configuration files, environment, flags, `config show` and docs/reference/config.md are made from, so that
 * they cannot disagree. Leaves to others: layering (`settings.ts`), meaning (`replica-process.ts`).
 */
import { z } from "zod";
import { defaultEnginePlace, defaultFaultModel, enginePlaces, faultModels } from "../api/config.js";
import { lies } from "../sim/lies.js";
import { isReplicaId } from "../model/ids.js";
import { isStrongKey } from "../node/signatures.js";
import { keyOfName } from "../wire/key-name.js";
import { limitOptions } from "./limit-options.js";

/** The name that stands for the bundled key-value service instead of a module's path. */
export const bundledName = "kv";

export type OptionKind = "text" | "count" | "flag" | "members";

export interface Option {
  /** `section.name` in the TOML file; the flag and the environment variable are derived from it. */
  readonly path: string;
  /** Without the dashes. */
  readonly flag: string;
  readonly kind: OptionKind;
  readonly schema: z.ZodType;
  /** `undefined`: there is no default, and the option may be left out unless `required`. */
  readonly fallback: string | number | boolean | undefined;
  readonly required: boolean;
  /** One of the many that few need: `--help` leaves it out. */
  readonly isLimit?: boolean;
  readonly meaning: string;
}

export const hostPort = z.string().refine(isAddress, { message: 'expected "host:port", with a port from 0 to 65535' });
export const replicaId = z
  .string()
  .refine(isReplicaId, { message: "expected 1 to 32 of the characters a-z A-Z 0-9 _ -" });
const publicKey = z.string().refine(isPublicKey, {
  message: 'expected a public key, "ed25519:" and 64 hexadecimal digits, as `quorate keygen` prints it',
});
const memberSchema = z.strictObject({ id: replicaId, peer: hostPort, client: hostPort, key: publicKey.optional() });
const membersSchema = z
  .array(memberSchema)
  .min(1, { message: "expected at least one member" })
  .max(9, { message: "expected at most 9 members" })
  .refine((members) => areDistinct(members.map(({ id }) => id)), {
    message: "two members have the same id",
  })
  .refine((members) => areDistinct(members.flatMap(({ key }) => key ?? [])), {
    message: "two members have the same key: whoever has it could speak for both",
  });

export type MemberSetting = z.infer<typeof memberSchema>;

const text = z.string().min(1, { message: "expected some text" });
const bytes = (max: number) => z.int().min(1).max(max);

export const options: readonly Option[] = [
  required("replica.id", "id", "text", replicaId, "This replica's name: 1 to 32 of `a-z A-Z 0-9 _ -`."),
  required("replica.clusterId", "cluster-id", "text", text, "The cluster's name. A replica talks to no other cluster."),
  optional(
    "replica.keyFile",
    "key-file",
    "text",
    text,
    undefined,
    "This replica's private key, made by `quorate keygen`. It is compared with the member's `key` at the start. Needed where `faults` is `byzantine`.",
  ),
  optional(
    "replica.nextKeyFile",
    "next-key-file",
    "text",
    text,
    undefined,
    "Another private key of this replica: it is used as soon as the members know the replica by it (`quorate member rotate-key`).",
  ),
  optional(
    "replica.administrator",
    "administrator",
    "text",
    z.string().refine(isPublicKey, { message: "expected a public key as quorate keygen prints it, ed25519:…" }),
    undefined,
    "Under Byzantine faults: the public key whose signature changes the members. The same at all replicas. Without it the members are fixed.",
  ),
  optional(
    "replica.faults",
    "faults",
    "text",
    z.enum(faultModels),
    defaultFaultModel,
    "What replicas may do wrong at worst: `crash`, they stop; `byzantine`, they do anything at all, and every replica has a key. The same at all replicas, for good.",
  ),
  optional(
    "replica.lie",
    "lie",
    "text",
    z.enum(lies),
    undefined,
    "Makes this replica lie under Byzantine faults, to see how the others bear it. Never where anything depends on it.",
  ),
  required("replica.dataDir", "data", "text", text, "Where the log lives. One process at a time may use it."),
  optional(
    "replica.machine",
    "machine",
    "text",
    text,
    bundledName,
    "`kv`, or the path of a module whose default export is a machine.",
  ),
  optional(
    "replica.bootstrap",
    "bootstrap",
    "flag",
    z.boolean(),
    false,
    "Lets an empty data directory vote. Give it once, when the cluster is made, and never again.",
  ),
  optional(
    "replica.join",
    "join",
    "flag",
    z.boolean(),
    false,
    "Lets an empty data directory be that of a replica which is added to a running cluster (`quorate member add`). Harmless later.",
  ),
  optional(
    "replica.engine",
    "engine",
    "text",
    z.enum(enginePlaces),
    defaultEnginePlace,
    "Where ordering runs: `inline`, on the thread that executes commands, or `worker`, on one of its own, so that slow commands delay neither heartbeats nor the log.",
  ),
  required(
    "members",
    "member",
    "members",
    membersSchema,
    "All replicas of the cluster when it is made, the same list at each of them. A replica that joins names itself and some of the others.",
  ),
  optional("listen.http", "listen-http", "text", hostPort, undefined, "Where HTTP is served. Default: not at all."),
  optional(
    "listen.redis",
    "listen-redis",
    "text",
    hostPort,
    undefined,
    "Where Redis clients are served (machine `kv` only). Default: not at all.",
  ),
  optional(
    "listen.insecure",
    "insecure",
    "flag",
    z.boolean(),
    false,
    "Allows addresses that other machines can reach, without any authentication. Everyone who reaches them can read and write.",
  ),
  optional(
    "http.bodyBytesMax",
    "http-body-bytes-max",
    "count",
    bytes(64 * 1024 * 1024),
    1024 * 1024,
    "Bytes of an HTTP body; more is answered with 413.",
  ),
  optional(
    "http.jsonDepthMax",
    "http-json-depth-max",
    "count",
    z.int().min(1).max(64),
    64,
    "Nested arrays and objects in an HTTP body; more is answered with 400.",
  ),
  optional(
    "http.callMsMax",
    "http-call-ms-max",
    "count",
    z.int().min(1).max(600_000),
    15_000,
    "Milliseconds after which an HTTP command's outcome is unknown (504), or a query is refused (503).",
  ),
  optional(
    "http.callsPendingMax",
    "http-calls-pending-max",
    "count",
    z.int().min(1).max(100_000),
    1024,
    "HTTP commands and queries in progress; more are answered with 503.",
  ),
  optional(
    "redis.connectionsMax",
    "redis-connections-max",
    "count",
    z.int().min(1).max(100_000),
    1024,
    "Open connections of Redis clients; more are refused.",
  ),
  optional(
    "log.level",
    "log-level",
    "text",
    z.enum(["fatal", "error", "warn", "info", "debug", "silent"]),
    "info",
    "The least level that is logged: fatal, error, warn, info, debug, silent.",
  ),
  optional(
    "log.bufferBytesMax",
    "log-buffer-bytes-max",
    "count",
    bytes(64 * 1024 * 1024),
    1024 * 1024,
    "Bytes of log lines that wait for a slow reader of stderr; more are dropped and counted.",
  ),
  optional(
    "stop.drainMsMax",
    "drain-ms-max",
    "count",
    z.int().min(0).max(600_000),
    5000,
    "Milliseconds that a stop waits for HTTP calls in progress before it breaks them.",
  ),
  ...limitOptions.map(({ path, schema, fallback, meaning }): Option => {
    const flag = path.replace(".", "-").replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    return { path, flag, kind: "count", schema, fallback, required: false, isLimit: true, meaning };
  }),
];

/** `replica.dataDir` is `QUORATE_REPLICA__DATA_DIR` in the environment. */
export function environmentNameOf(path: string): string {
  return `QUORATE_${path
    .split(".")
    .map((part) => part.replace(/([A-Z])/g, "_$1").toUpperCase())
    .join("__")}`;
}

function isPublicKey(text: string): boolean {
  const key = keyOfName(text);
  return key !== undefined && isStrongKey(key);
}

function areDistinct(texts: readonly string[]): boolean {
  return new Set(texts).size === texts.length;
}

/** `host:port`, with brackets around an IPv6 host. */
export function isAddress(text: string): boolean {
  const port = /^(?:\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._-]{1,253}):(\d{1,5})$/.exec(text)?.[1];
  return port !== undefined && Number(port) <= 65_535;
}

function required(path: string, flag: string, kind: OptionKind, ...rest: [z.ZodType, string]): Option {
  const [schema, meaning] = rest;
  return { path, flag, kind, schema, fallback: undefined, required: true, meaning };
}

function optional(
  path: string,
  flag: string,
  kind: OptionKind,
  ...rest: [z.ZodType, string | number | boolean | undefined, string]
): Option {
  const [schema, fallback, meaning] = rest;
  return { path, flag, kind, schema, fallback, required: false, meaning };
}
