/**
 * A state machine that remembers everything done to it: what exactly-once is tested against.
 *
 * Commands: `append` answers how many were appended, `refuse` is rejected, `throw` fails, `large` answers as many bytes as its
 * input says. Query: `journal`. Each apply is recorded too, so that a test sees that entries without commands arrive.
 */
import type { Batch, Command, LowLevelMachine, MachineInstance, Outcome } from "../src/api/low-level.js";
import { concatBytes, decodeUtf8, encodeUtf8 } from "../src/base/bytes.js";
import { Mixer, type Fingerprint } from "../src/base/fingerprint.js";
import type { Hash } from "../src/ports/hash.js";

export interface Journal {
  /** `index.ordinal session:input` for each executed `append`, in order. */
  lines: string[];
  applied: number;
  time: number;
}

export class JournalInstance implements MachineInstance {
  readonly #hash: Hash;
  journal: Journal = { lines: [], applied: 0, time: 0 };
  due: number | undefined = undefined;

  constructor(hash: Hash) {
    this.#hash = hash;
  }

  apply(batch: Batch): readonly Outcome[] {
    this.journal.applied += 1;
    this.journal.time = batch.time;
    return batch.commands.map((command) => this.#run(batch, command));
  }

  query(): Outcome {
    return { status: "ok", output: encodeUtf8(this.journal.lines.join("\n")) };
  }

  fork() {
    const bytes = encodeUtf8(JSON.stringify(this.journal));
    const digest = this.#hash.sha256(bytes);
    return { chunks: () => [bytes], digest: () => digest, release: () => {} };
  }

  install(chunks: Iterable<Uint8Array>): void {
    this.journal = JSON.parse(decodeUtf8(concatBytes([...chunks])) ?? "") as Journal;
  }

  digest(): Uint8Array {
    return this.fork().digest();
  }

  fingerprint(): Fingerprint {
    const mixer = new Mixer().begin();
    for (const line of this.journal.lines) mixer.text(line);
    return mixer.end();
  }

  dueAt(): number | undefined {
    return this.due;
  }

  #run(batch: Batch, { ordinal, session, name, input }: Command): Outcome {
    const text = decodeUtf8(input) ?? "";
    if (name === "refuse") return { status: "rejected", code: "no", data: input };
    if (name === "throw") return { status: "failed", message: `thrown: ${text}` };
    if (name === "large") return { status: "ok", output: new Uint8Array(Number(text)) };
    this.journal.lines.push(`${batch.index}.${ordinal} ${session}:${text}`);
    return { status: "ok", output: encodeUtf8(String(this.journal.lines.length)) };
  }
}

/** Keeps hold of the instance that the executor opens. */
export class JournalMachine implements LowLevelMachine {
  readonly name = "journal";
  readonly version = 1;
  readonly commandNames = ["append", "large", "refuse", "throw"];
  readonly queryNames = ["journal"];
  instance: JournalInstance | undefined;

  open({ hash }: { readonly hash: Hash }): JournalInstance {
    this.instance = new JournalInstance(hash);
    return this.instance;
  }

  admit(_name: string, input: Uint8Array) {
    return { status: "admitted", input } as const;
  }

  get lines(): readonly string[] {
    return this.instance?.journal.lines ?? [];
  }
}
