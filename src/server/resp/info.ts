/**
 * INFO: what a replica says of itself, in Redis's format.
 *
 * Owns: the sections. Field names that clients read are Redis's (`loading`, `role`, `connected_clients`), the others start with `quorate_`.
 * `role` is always `master`: every replica takes writes, and clients would refuse to write to anything else; `quorate_role` tells the truth.
 */
import type { ReplicaStatus } from "../../api/replica.js";
import type { RespCounters } from "./counters.js";
import { redisVersion } from "./redis-version.js";

export interface InfoSource {
  readonly status: () => ReplicaStatus;
  readonly counters: () => RespCounters;
}

type Fields = readonly (readonly [string, string | number])[];

export function infoText(source: InfoSource, wanted: readonly string[]): string {
  const status = source.status();
  const counters = source.counters();
  const sections: readonly (readonly [string, Fields])[] = [
    ["Server", serverFields(status)],
    [
      "Clients",
      [
        ["connected_clients", counters.connections],
        ["blocked_clients", 0],
      ],
    ],
    [
      "Persistence",
      [
        ["loading", 0],
        ["aof_enabled", 1],
      ],
    ],
    ["Stats", statFields(counters)],
    ["Replication", replicationFields(status)],
    ["Cluster", [["cluster_enabled", 0]]],
    ["Keyspace", []],
  ];
  const names = wanted.map((name) => name.toLowerCase());
  const isAll =
    names.length === 0 || names.some((name) => name === "all" || name === "default" || name === "everything");
  return sections
    .filter(([title]) => isAll || names.includes(title.toLowerCase()))
    .map(([title, fields]) => `# ${title}\r\n${fields.map(([name, value]) => `${name}:${value}\r\n`).join("")}`)
    .join("\r\n");
}

function serverFields(status: ReplicaStatus): Fields {
  const seconds = Math.floor(status.uptimeMs / 1000);
  return [
    ["redis_version", redisVersion],
    ["redis_mode", "standalone"],
    ["quorate_version", status.quorateVersion],
    ["quorate_machine", `${status.machine.name} ${status.machine.version}`],
    ["uptime_in_seconds", seconds],
    ["uptime_in_days", Math.floor(seconds / 86_400)],
  ];
}

function statFields(counters: RespCounters): Fields {
  return [
    ["total_connections_received", counters.connectionsAccepted],
    ["rejected_connections", counters.connectionsRefused],
    ["total_commands_processed", counters.commands],
    ["quorate_protocol_errors", counters.protocolErrors],
  ];
}

function replicationFields(status: ReplicaStatus): Fields {
  return [
    ["role", "master"],
    ["connected_slaves", 0],
    ["quorate_role", status.role],
    ["quorate_replica", status.id],
    ["quorate_cluster", status.clusterId],
    ["quorate_leader", status.leader ?? "none"],
    ["quorate_term", status.term],
    ["quorate_commit_index", status.commitIndex],
    ["quorate_executed_index", status.executedIndex],
    ["quorate_ready", status.ready ? 1 : 0],
  ];
}
