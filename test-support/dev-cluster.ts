/**
 * A real cluster of processes for end-to-end tests: `quorate dev --json` in a temporary directory, its card and its events.
 *
 * Whoever starts one stops it (`stop`), also when the test fails: use it in `try … finally` or a hook.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const quorateMain = fileURLToPath(new URL("../dist/server/main.js", import.meta.url));

export interface CardReplica {
  readonly id: string;
  readonly pid: number;
  readonly role: string;
  readonly redis: string;
  readonly http: string;
  readonly client: string;
  readonly peer: string;
  readonly dataDir: string;
}

export interface DevEvent {
  readonly event: string;
  readonly id?: string;
  readonly pid?: number;
}

export interface ReplicaStatusJson {
  readonly id: string;
  readonly role: string;
  readonly term: number;
  readonly leader?: string;
  readonly commitIndex: number;
  readonly executedIndex: number;
  readonly ready: boolean;
  readonly counters: { readonly queriesAnswered: number };
}

export class DevCluster {
  readonly #process: ChildProcess;
  readonly #directory: string;
  readonly #pids = new Map<string, number>();
  readonly events: DevEvent[] = [];
  readonly replicas: CardReplica[] = [];
  #stderr = "";

  private constructor(process: ChildProcess, directory: string) {
    this.#process = process;
    this.#directory = directory;
  }

  /** Resolves when the card is printed. `flags` are added to those that make ports and data the test's own. */
  static async start(flags: readonly string[] = []): Promise<DevCluster> {
    const directory = mkdtempSync(join(tmpdir(), "quorate-test-"));
    const ports = ["--redis-port", "0", "--http-port", "0", "--client-port", "0", "--peer-port", "0"];
    const child = spawn(process.execPath, [quorateMain, "dev", "--json", "--data", directory, ...ports, ...flags], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const cluster = new DevCluster(child, directory);
    child.stderr?.on("data", (bytes: Buffer) => {
      cluster.#stderr = (cluster.#stderr + bytes.toString()).slice(-20_000);
    });
    await cluster.#readCard();
    return cluster;
  }

  get directory(): string {
    return this.#directory;
  }

  /** What the processes logged lately, for messages of failed tests. */
  get log(): string {
    return this.#stderr;
  }

  pidOf(id: string): number {
    const pid = this.#pids.get(id);
    if (pid === undefined) throw new Error(`no replica ${id}`);
    return pid;
  }

  kill(id: string): void {
    process.kill(this.pidOf(id), "SIGKILL");
  }

  /** The status that a replica tells of itself, or undefined if it does not answer. */
  async status(replica: CardReplica): Promise<ReplicaStatusJson | undefined> {
    try {
      const response = await fetch(`http://${replica.http}/v1/status`, { signal: AbortSignal.timeout(1000) });
      return (await response.json()) as ReplicaStatusJson;
    } catch {
      return undefined;
    }
  }

  /** The leader that a majority of the replicas agrees on. */
  async leader(): Promise<CardReplica> {
    return until("a leader", async () => {
      const statuses = await Promise.all(this.replicas.map((replica) => this.status(replica)));
      const votes = statuses.map((status) => status?.leader);
      return this.replicas.find(({ id }) => votes.filter((vote) => vote === id).length * 2 > this.replicas.length);
    });
  }

  /** Until every replica is ready and has executed what the others have decided. */
  async whole(): Promise<void> {
    await until("every replica ready", async () => {
      const statuses = await Promise.all(this.replicas.map((replica) => this.status(replica)));
      const decided = Math.max(...statuses.map((status) => status?.commitIndex ?? 0));
      const behind = (status: ReplicaStatusJson | undefined) => decided - (status?.executedIndex ?? 0);
      return statuses.every((status) => status?.ready === true && behind(status) < 1000) ? true : undefined;
    });
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode === null) {
      const exited = new Promise((resolve) => this.#process.once("exit", resolve));
      this.#process.kill("SIGTERM");
      await exited;
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #readCard(): Promise<void> {
    const { stdout } = this.#process;
    if (stdout === null) throw new Error("no standard output");
    const lines = createInterface({ input: stdout });
    await new Promise<void>((resolve, reject) => {
      this.#process.once("exit", (code) => reject(new Error(`dev ended with ${code}: ${this.#stderr}`)));
      lines.on("line", (line) => {
        const message = JSON.parse(line) as DevEvent & { replicas?: CardReplica[] };
        if (message.replicas !== undefined) {
          this.replicas.push(...message.replicas);
          for (const { id, pid } of message.replicas) this.#pids.set(id, pid);
          resolve();
        } else {
          this.events.push(message);
          if (message.event === "restarted" && message.id !== undefined && message.pid !== undefined) {
            this.#pids.set(message.id, message.pid);
          }
        }
      });
    });
  }
}

/** Looks until `look` gives something, for at most `seconds`. */
export async function until<Found>(what: string, look: () => Promise<Found | undefined>, seconds = 30): Promise<Found> {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > end) throw new Error(`Waited ${seconds} s in vain for ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
