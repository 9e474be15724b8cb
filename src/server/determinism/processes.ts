/**
 * The processes that are compared, and in what they differ.
 *
 * Owns: the list of environments, starting and ending a process, asking it. Leaves to others: what is asked (`compare.ts`), the process's own work
 * (`child.ts`).
 */
import { fork, type ChildProcess } from "node:child_process";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { CommandFailure, exitCodes, type ExitCode } from "../exit-codes.js";
import type { Answer, Begun, Checked, ChildSetting, Drawn, ExecutedAll, Task, Told } from "./tasks.js";

export interface Surroundings {
  /** As in "in a process with …". */
  readonly name: string;
  readonly node?: string;
  readonly flags?: readonly string[];
  /** Instead of this process's. */
  readonly environment?: NodeJS.ProcessEnv;
  readonly directory?: string;
  readonly clockAheadMs?: number;
}

export const plain: Surroundings = { name: "in one process" };

const msPerDay = 86_400_000;

/** Each differs from `plain` in one respect. */
export function otherSurroundings(node: string | undefined): readonly Surroundings[] {
  const language = { TZ: "Pacific/Chatham", LANG: "tr_TR.UTF-8", LC_ALL: "tr_TR.UTF-8", LANGUAGE: "tr" };
  const others: readonly Surroundings[] = [
    { name: "in another process like it" },
    { name: "in another time zone and language", environment: { ...process.env, ...language } },
    { name: "400 days later", clockAheadMs: 400 * msPerDay },
    { name: "in another directory, with no environment", environment: {}, directory: tmpdir() },
    {
      name: "with a small heap and other seeds",
      flags: [
        "--max-old-space-size=512",
        "--max-semi-space-size=1",
        "--hash-seed=271828",
        "--random-seed=314159",
        "--stack-trace-limit=3",
      ],
    },
  ];
  return node === undefined ? others : [...others, { name: `with ${node}`, node }];
}

const childPath = fileURLToPath(new URL("./child.js", import.meta.url));

export class ComparedProcess {
  readonly #process: ChildProcess;
  readonly #name: string;
  #waiting: { resolve(result: unknown): void; reject(cause: Error): void } | undefined;

  constructor({ name, node, flags = [], environment = process.env, directory }: Surroundings) {
    this.#name = name;
    // What a machine prints goes to stderr: stdout is the command's.
    this.#process = fork(childPath, {
      execArgv: [...flags],
      env: environment,
      stdio: ["ignore", 2, 2, "ipc"],
      ...(node === undefined ? {} : { execPath: node }),
      ...(directory === undefined ? {} : { cwd: directory }),
    });
    this.#process.on("message", (answer: Answer) => this.#onAnswer(answer));
    this.#process.on("error", (cause) => this.#onEnd(cause.message));
    this.#process.on("exit", (code, signal) => this.#onEnd(`it ended with ${signal ?? `code ${code}`}`));
  }

  begin(setting: ChildSetting): Promise<Begun> {
    return this.#ask({ kind: "begin", setting }) as Promise<Begun>;
  }

  draw(count: number, seed: number): Promise<Drawn> {
    return this.#ask({ kind: "draw", count, seed }) as Promise<Drawn>;
  }

  check(lines: readonly string[]): Promise<Checked> {
    return this.#ask({ kind: "check", lines }) as Promise<Checked>;
  }

  execute(lines: readonly string[]): Promise<ExecutedAll> {
    return this.#ask({ kind: "execute", lines }) as Promise<ExecutedAll>;
  }

  tell(place: number): Promise<Told> {
    return this.#ask({ kind: "tell", place }) as Promise<Told>;
  }

  close(): void {
    if (this.#process.connected) this.#process.disconnect();
  }

  #ask(task: Task): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#process.send(task, (cause) => {
        if (cause !== null) this.#onEnd(cause.message);
      });
    });
  }

  #onAnswer(answer: Answer): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (answer.kind === "done") waiting?.resolve(answer.result);
    else waiting?.reject(new CommandFailure(answer.exitCode as ExitCode, answer.message, {}));
  }

  #onEnd(why: string): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(new CommandFailure(exitCodes.failure, `Cannot compare the machine ${this.#name}: ${why}`, {}));
  }
}
