/**
 * Why replicas differ: which entry was the first, what it asked, what each answered, and what differs in their states.
 *
 * Owns: who is compared with whom, and the text. Called by `quorate audit`.
 */
import { valueText } from "../../sim/machine-copy.js";
import { askedText, replyText } from "../replay/text.js";
import { askEntries, askSums, bucketsMax, type AskedFinding } from "./ask.js";
import { answersOf, differentBuckets, differentEntries, firstDifference, type DifferentEntry } from "./compare.js";

/** Of keys that differ, and of requests of one entry. */
const shownMax = 20;
const textLengthMax = 1_000;

export interface ComparedPair {
  /** One of those that agree, or the first of all if nobody does. */
  readonly reference: AskedFinding;
  readonly other: AskedFinding;
}

/** Of the newest difference that any of them tells of: each that differs with one that does not. */
export function pairsOf(
  findings: readonly AskedFinding[],
  audited: { readonly index: number; readonly agreeing: readonly string[] } | undefined,
): readonly ComparedPair[] {
  const newest = Math.max(0, ...findings.map(({ position }) => position));
  const same = findings.filter(({ position }) => position === newest);
  const agreeing = audited?.index === newest ? audited.agreeing : [];
  const reference = same.find(({ replica }) => agreeing.includes(replica)) ?? same[0];
  if (reference === undefined) return [];
  return same
    .filter((other) => other !== reference && !agreeing.includes(other.replica))
    .map((other) => ({ reference, other }));
}

export async function describePair(pair: ComparedPair): Promise<string> {
  const { reference, other } = pair;
  const lines = [`${other.replica} differs from ${reference.replica}, found at entry ${other.position}`];
  lines.push(...describeFirst(pair), ...(await describeStates(pair)));
  return lines.join("\n");
}

function describeFirst({ reference, other }: ComparedPair): readonly string[] {
  const first = firstDifference(reference.entries, other.entries);
  if (first === undefined) {
    const from = Math.max(reference.entries[0]?.index ?? Infinity, other.entries[0]?.index ?? Infinity);
    if (from === Infinity) return ["  no entry that both remember"];
    return [
      `  outputs and the machine's state are equal from entry ${from} on: sessions, keys, members or limits differ`,
    ];
  }
  const { left, right, parts, isExact } = first;
  const before = isExact ? "" : ", or one before it, which is no longer remembered";
  const lines = [`  first entry  ${left.index}${before}: ${parts} differ${parts === "state" ? "s" : ""} behind it`];
  const answers = answersOf(left, right);
  if (answers === undefined) return [...lines, "  what it asked is no longer remembered: quorate replay shows it"];
  const told = parts === "state" ? answers : answers.filter(({ isEqual }) => !isEqual);
  for (const { request, left: mine, right: its, isEqual } of told.slice(0, shownMax)) {
    lines.push(`  asked        ${askedText(request, "")}`);
    if (isEqual && mine !== undefined) lines.push(`    both       ${replyText(mine)}`);
    else {
      lines.push(
        `    ${reference.replica.padEnd(10)} ${mine === undefined ? "no longer remembered" : replyText(mine)}`,
      );
      lines.push(`    ${other.replica.padEnd(10)} ${its === undefined ? "no longer remembered" : replyText(its)}`);
    }
  }
  if (told.length > shownMax) lines.push(`  and ${told.length - shownMax} more requests`);
  return lines;
}

async function describeStates({ reference, other }: ComparedPair): Promise<readonly string[]> {
  const found = await differencesOfStates(reference, other);
  if (typeof found === "string") return [`  states       ${found}`];
  const { entries, more } = found;
  if (entries.length === 0) return [`  states       the machine's state behind entry ${other.foundAt} is equal`];
  const lines = [`  states       behind entry ${other.foundAt}`];
  for (const { collection, key, left, right } of entries.slice(0, shownMax)) {
    lines.push(`    ${collection}[${valueText(key)}]`);
    lines.push(`      ${reference.replica.padEnd(8)} ${contentText(left)}`);
    lines.push(`      ${other.replica.padEnd(8)} ${contentText(right)}`);
  }
  const rest = entries.length - shownMax;
  if (rest > 0) lines.push(`    and ${rest} more keys`);
  if (more > 0) lines.push(`    and more in ${more} parts of the state that were not looked at`);
  return lines;
}

async function differencesOfStates(
  reference: AskedFinding,
  other: AskedFinding,
): Promise<string | { readonly entries: readonly DifferentEntry[]; readonly more: number }> {
  if (reference.foundAt !== other.foundAt) return "kept behind different entries: they cannot be compared";
  const [mine, its] = await Promise.all([askSums(reference.endpoint), askSums(other.endpoint)]);
  if (mine === undefined || its === undefined) return "no longer kept, or not given: they cannot be compared";
  const buckets = differentBuckets(mine, its);
  if (buckets.length === 0) return { entries: [], more: 0 };
  const [left, right] = await Promise.all([
    askEntries(reference.endpoint, buckets),
    askEntries(other.endpoint, buckets),
  ]);
  if (left === undefined || right === undefined) return "not given: they cannot be compared";
  return { entries: differentEntries(left, right), more: Math.max(0, buckets.length - bucketsMax) };
}

function contentText(content: DifferentEntry["left"]): string {
  return content === undefined ? "nothing" : valueText(content.value, textLengthMax);
}
