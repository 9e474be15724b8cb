/**
 * The first replica's second process, where a person wants to see one that runs twice under one key (`--lie twin`).
 *
 * Owns: its name, its ports, and that each of the two calls half of the others, since nobody hears both. Leaves to others: starting it
 * (`dev-cluster.ts`). Both are correct replicas that do not know of each other.
 */
import type { DevReplica } from "./dev-record.js";
import { choosePorts, loopbackHost } from "./free-ports.js";

export interface DevTwin {
  /** Of its directory and its log file. */
  readonly name: string;
  /** The replica that runs twice. */
  readonly of: string;
  /** Where this process listens. */
  readonly peer: string;
  readonly client: string;
}

/** Nobody listens there. */
const nowhere = `${loopbackHost}:1`;

export async function placeTwin({ id }: DevReplica): Promise<DevTwin> {
  const [peer, client] = (await choosePorts(0, 2, new Set())).map((port) => `${loopbackHost}:${port}`);
  return { name: `${id}-twin`, of: id, peer: peer ?? "", client: client ?? "" };
}

/** As the one process knows them, or the other. */
export function membersOfTwin(replicas: readonly DevReplica[], twin: DevTwin, isOther: boolean): readonly DevReplica[] {
  const others = replicas.filter(({ id }) => id !== twin.of);
  return replicas.map((replica) => {
    if (replica.id === twin.of) return isOther ? { ...replica, peer: twin.peer, client: twin.client } : replica;
    return (others.indexOf(replica) % 2 === 0) === isOther ? replica : { ...replica, peer: nowhere };
  });
}
