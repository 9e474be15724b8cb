/**
 * One instance of the real key-value machine and a hand-moved agreed time, for tests of Redis commands without sockets.
 */
import { defaultLimits } from "../src/api/config.js";
import type { MachineInstance, Outcome } from "../src/api/low-level.js";
import { firstSession, logIndex, noIndex, type LogIndex } from "../src/model/ids.js";
import { nodeHash } from "../src/node/hash.js";
import { kv, type Reply } from "../src/services/kv/index.js";
import { decodeValue, encodeValue } from "../src/wire/canonical.js";

export class KvWorld {
  readonly instance: MachineInstance = kv.open({ hash: nodeHash, limits: defaultLimits.machine });
  now = 1_000_000;
  index: LogIndex = noIndex;

  /** One Redis command in an entry of its own, written with blanks between its arguments. */
  redis(line: string): Reply | undefined {
    return this.run(...line.split(" "));
  }

  run(...argv: readonly string[]): Reply | undefined {
    return this.runAll([argv])?.[0];
  }

  runAll(
    commands: readonly (readonly string[])[],
    watch?: readonly (readonly [string, number])[],
  ): readonly Reply[] | null {
    return outputOf(this.command("redis", watch === undefined ? { commands } : { commands, watch })) as
      readonly Reply[] | null;
  }

  /** One Redis command as a query. */
  read(line: string): Reply | undefined {
    return (this.query("redisRead", [line.split(" ")]) as readonly Reply[])[0];
  }

  command(name: string, input: unknown): Outcome {
    const command = { ordinal: 0, session: firstSession, name, input: encodeValue(input) };
    const [outcome] = this.instance.apply({ ...this.#next(), commands: [command] });
    if (outcome === undefined) throw new Error("the machine did not answer");
    return outcome;
  }

  query(name: string, input: unknown): unknown {
    return outputOf(this.instance.query(name, encodeValue(input), { index: this.index, time: this.now }));
  }

  /** Time passes, and an entry without commands tells the machine. */
  pass(milliseconds: number): void {
    this.now += milliseconds;
    this.instance.apply({ ...this.#next(), commands: [] });
  }

  #next(): { readonly index: LogIndex; readonly time: number } {
    this.index = logIndex(this.index + 1) ?? noIndex;
    return { index: this.index, time: this.now };
  }
}

/** What an outcome carries: an output, the code of a rejection, or the message of a failure. */
export function outputOf(outcome: Outcome): unknown {
  if (outcome.status === "ok") return decodeValue(outcome.output);
  return outcome.status === "rejected"
    ? { rejected: outcome.code, data: decodeValue(outcome.data) }
    : { failed: outcome.message };
}
