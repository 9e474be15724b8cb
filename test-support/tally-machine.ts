/** The smallest machine: named counters. Low-level, so that tests of replicas need nothing above it. */
import type { Batch, LowLevelMachine, MachineInstance, Outcome } from "../src/api/low-level.js";
import { decodeUtf8, encodeUtf8 } from "../src/base/bytes.js";

export const tally: LowLevelMachine = {
  name: "tally",
  version: 1,
  commandNames: ["add"],
  queryNames: ["read"],
  open: () => new Tally(),
  admit: (_name, input) => ({ status: "admitted", input }),
};

/** `add` counts its input's text once more and answers the count; `read` answers it. */
class Tally implements MachineInstance {
  #counts = new Map<string, number>();
  #now = 0;

  apply(batch: Batch): readonly Outcome[] {
    this.#now = batch.time;
    return batch.commands.map(({ input }) => {
      const name = decodeUtf8(input) ?? "";
      const count = (this.#counts.get(name) ?? 0) + 1;
      this.#counts.set(name, count);
      return { status: "ok", output: encodeUtf8(String(count)) };
    });
  }

  query(_name: string, input: Uint8Array): Outcome {
    return { status: "ok", output: encodeUtf8(String(this.#counts.get(decodeUtf8(input) ?? "") ?? 0)) };
  }

  fork(): { chunks: () => Uint8Array[]; digest: () => Uint8Array; release: () => void } {
    const text = this.#text();
    return { chunks: () => [encodeUtf8(text)], digest: () => encodeUtf8(text), release: () => {} };
  }

  install(chunks: Iterable<Uint8Array>): void {
    const text = [...chunks].map((chunk) => decodeUtf8(chunk) ?? "").join("");
    this.#counts = new Map(JSON.parse(text) as [string, number][]);
  }

  digest(): Uint8Array {
    return encodeUtf8(`${this.#now} ${this.#text()}`);
  }

  dueAt(): undefined {
    return undefined;
  }

  #text(): string {
    return JSON.stringify([...this.#counts].sort());
  }
}
