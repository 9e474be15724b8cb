/**
 * Bits that flip in the memory of a simulated replica, behind everything that the product does to write there.
 *
 * Owns: where a bit may flip, and flipping it. It reaches what the simulator itself has opened; the product has no hook for it. Leaves to
 * others: which replica and when (`nemesis.ts`), what must come of it (`checkers/memory-judge.ts`).
 */
import { entriesOf, type TrieEntry } from "../collections/hash-trie.js";
import { TypedInstance } from "../collections/typed-machine.js";
import type { Executor } from "../execution/executor.js";
import type { Member } from "../model/membership.js";
import { flippedBytes, withFlippedBit } from "./bit-flip.js";
import type { Draw } from "./draw.js";

export const memoryTargets = ["state", "timers", "events", "sessions", "members", "output"] as const;
export type MemoryTarget = (typeof memoryTargets)[number];

/** Readonly is what the product promises; memory keeps no promise. */
type Writable<Thing> = { -readonly [Field in keyof Thing]: Thing[Field] };

/** What was flipped, in words; undefined if there is nothing to flip there now. */
export function flipBit({ audited, configuration }: Executor, target: MemoryTarget, draw: Draw): string | undefined {
  switch (target) {
    case "state":
      return flipEntry(audited.machine, (name) => !name.startsWith("$"), draw);
    case "timers":
      return flipEntry(audited.machine, (name) => name.startsWith("$timer"), draw);
    case "events":
      return flipEntry(audited.machine, (name) => name === "$events", draw);
    case "sessions":
      return flipReply(audited, draw);
    case "members":
      return flipMember(configuration, draw);
    case "output":
      return flipNextOutput(audited.machine, draw);
  }
}

function flipEntry(machine: unknown, isWanted: (name: string) => boolean, draw: Draw): string | undefined {
  if (!(machine instanceof TypedInstance)) return undefined;
  const entries = machine.contents
    .filter(({ name }) => isWanted(name))
    .flatMap(({ name, content }) => [...entriesOf(content.root)].map((entry) => ({ name, entry })));
  if (entries.length === 0) return undefined;
  const { name, entry } = draw.pick(entries);
  const flipped = withFlippedBit(entry.value, draw);
  if (flipped === undefined) return undefined;
  (entry as Writable<TrieEntry>).value = flipped;
  return `${name}[${String(entry.key)}]`;
}

function flipReply({ sessions }: Executor["audited"], draw: Draw): string | undefined {
  const kept = [...sessions.contents().sessions].flatMap((session) =>
    [...session.replies].map(([number, reply]) => ({ session, number, reply })),
  );
  const having = kept.filter(({ reply }) => reply.status === "ok" && reply.output.length > 0);
  if (having.length === 0) return undefined;
  const { session, number, reply } = draw.pick(having);
  if (reply.status !== "ok") return undefined;
  (reply as Writable<typeof reply>).output = flippedBytes(reply.output, draw);
  return `reply ${number} of session ${session.id}`;
}

function flipMember(configuration: Executor["configuration"], draw: Draw): string | undefined {
  const { members } = configuration.membership;
  if (members.length === 0) return undefined;
  const wrong = draw.pick(members);
  const flipped: Member = { ...wrong, client: String(withFlippedBit(wrong.client, draw)) };
  (configuration as Writable<typeof configuration>).membership = {
    ...configuration.membership,
    members: members.map((member) => (member === wrong ? flipped : member)),
  };
  return `the address of ${wrong.id}`;
}

/** Of the next command that has one. */
function flipNextOutput(machine: Executor["audited"]["machine"], draw: Draw): string {
  const instance = machine as Writable<typeof machine>;
  const apply = instance.apply.bind(instance);
  let isDone = false;
  instance.apply = (batch) =>
    apply(batch).map((outcome) => {
      if (isDone || outcome.status !== "ok" || outcome.output.length === 0) return outcome;
      isDone = true;
      return { ...outcome, output: flippedBytes(outcome.output, draw) };
    });
  return "the next output";
}
