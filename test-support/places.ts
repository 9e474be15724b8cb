/** Replicas that a test starts one by one as real processes: where they listen, what they say of themselves, and the commands of an operator. */
import { execFile } from "node:child_process";

import { freePorts } from "./ports.js";
import { quorateMain, until } from "./dev-cluster.js";

export interface Place {
  readonly id: string;
  readonly peer: string;
  readonly client: string;
  readonly http: string;
}

/** What these tests read of `GET /v1/status`. */
export interface Status {
  readonly leader?: string;
  readonly ready: boolean;
  readonly term: number;
  readonly lastIndex: number;
  readonly members: readonly { readonly id: string; readonly role: string }[];
}

/** Of what a command printed. */
export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export async function placesOf(ids: Iterable<string>): Promise<readonly Place[]> {
  const all = [...ids];
  const ports = await freePorts(all.length * 3);
  return all.map((id, at) => {
    const [peer, client, http] = [0, 1, 2].map((kind) => `127.0.0.1:${ports[at * 3 + kind]}`);
    return { id, peer: peer ?? "", client: client ?? "", http: http ?? "" };
  });
}

/** As `--member` and `quorate member add` take it. */
export function flagOf({ id, peer, client }: Place): string {
  return `${id}=${peer},${client}`;
}

/** The words that say whom a command asks. */
export function endpointFlags(places: readonly Place[]): readonly string[] {
  return ["--endpoints", places.map(({ http }) => http).join(",")];
}

/** The words of `quorate start` that say who and where everybody is. */
export function memberFlags(place: Place, known: readonly Place[]): readonly string[] {
  const members = known.flatMap((each) => ["--member", flagOf(each)]);
  return ["--id", place.id, "--listen-http", place.http, ...members];
}

export async function statusOf({ http }: Place): Promise<Status | undefined> {
  const answer = await fetch(`http://${http}/v1/status`, { signal: AbortSignal.timeout(1000) }).catch(() => undefined);
  return answer === undefined ? undefined : ((await answer.json()) as Status);
}

export async function untilReady(places: readonly Place[]): Promise<boolean> {
  let statuses: readonly (Status | undefined)[] = [];
  const look = async (): Promise<true | undefined> => {
    statuses = await Promise.all(places.map(statusOf));
    return statuses.every((status) => status?.ready === true) ? true : undefined;
  };
  // The machine may be busy: each of them compiles its program first.
  return until("every replica is ready", look, 120).catch((cause: unknown) => {
    throw new Error(`${String(cause)}: ${JSON.stringify(statuses)}`);
  });
}

/** Runs a command beside this process, so that whatever else a test does goes on. */
export function quorate(...words: readonly string[]): Promise<Said> {
  return new Promise((resolve) => {
    execFile(process.execPath, [quorateMain, ...words], { timeout: 90_000 }, (failure, out, err) => {
      resolve({ code: failure === null ? 0 : Number(failure.code), out, err });
    });
  });
}
