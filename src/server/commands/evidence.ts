/**
 * `quorate evidence PATH…`: contradictions that replicas signed, verified offline.
 *
 * Owns: whose keys are trusted, the text, the exit code. Nothing is asked of any replica: what is judged is in the files.
 */
import { Command, Option as Flag } from "commander";
import { judge, type Contradiction, type Judgement } from "../../authentication/evidence.js";
import type { NewView, Statement } from "../../consensus/bft/messages.js";
import { isReplicaId } from "../../model/ids.js";
import { isSignedBy, isStrongKey } from "../../node/signatures.js";
import { keyNameOf, keyOfName } from "../../wire/key-name.js";
import { readContradictions, type EvidenceLine } from "../contradiction-files.js";
import { exitCodes, usageFailure } from "../exit-codes.js";
import { membersSetting, readSettings, textSetting } from "../settings.js";
import type { Exit } from "./exit.js";

interface Flags {
  readonly config?: string;
  readonly clusterId?: string;
  readonly key?: readonly string[];
  readonly writeOut: "text" | "json";
}

interface Trust {
  readonly keys: ReadonlyMap<string, Uint8Array>;
  readonly cluster: string | undefined;
}

interface Judged extends Judgement {
  readonly place: string;
  /** Who contradicts itself, as far as the line can be read. */
  readonly by: string | undefined;
}

export function evidenceCommand(exit: Exit): Command {
  const command = new Command("evidence")
    .summary("list what replicas signed and contradicts itself, and verify it offline")
    .description(
      "Each path is a file of contradictions, or a directory of such files (.jsonl). The members' public keys are taken from --config or --key, never from the files. Exit code 0 if every contradiction holds, 1 if one does not, 2 for wrong usage.",
    )
    .argument("<path...>", "files, or directories")
    .option("--config <file>", "the configuration of a replica: its members' keys and its cluster's name")
    .option("--key <id=key...>", "a member's public key, as quorate keygen prints it; may be given again")
    .option("--cluster-id <id>", "the cluster that the evidence must be of; default: that of --config, else any")
    .addOption(new Flag("-w, --write-out <form>", "the form of the output").choices(["text", "json"]).default("text"));
  return command.action((paths: readonly string[]) => {
    const flags = command.opts<Flags>();
    const trust = trustOf(flags);
    const judged = readContradictions(paths).map((line) => judgeLine(line, trust));
    process.stdout.write(flags.writeOut === "json" ? asJson(judged) : asText(judged));
    exit(judged.every(({ objection }) => objection === undefined) ? exitCodes.ok : exitCodes.failure);
  });
}

function trustOf({ config, clusterId, key = [] }: Flags): Trust {
  const settings = config === undefined ? undefined : readSettings({ file: config, environment: {}, flags: {} });
  const keys = new Map<string, Uint8Array>();
  for (const member of settings === undefined ? [] : membersSetting(settings)) {
    const publicKey = member.key === undefined ? undefined : keyOfName(member.key);
    if (publicKey !== undefined) keys.set(member.id, publicKey);
  }
  for (const text of key) keys.set(...keyFlag(text));
  if (keys.size === 0) {
    throw usageFailure(
      "Cannot verify anything: no member's public key is known. Give --config with a configuration that has them, or --key b=ed25519:…",
    );
  }
  return { keys, cluster: clusterId ?? (settings && textSetting(settings, "replica.clusterId")) };
}

function keyFlag(text: string): [string, Uint8Array] {
  const at = text.indexOf("=");
  const publicKey = keyOfName(text.slice(at + 1));
  if (at >= 0 && isReplicaId(text.slice(0, at)) && publicKey !== undefined && isStrongKey(publicKey)) {
    return [text.slice(0, at), publicKey];
  }
  throw usageFailure(`Cannot use --key ${text}: expected id=ed25519:…, with the key as quorate keygen prints it`);
}

function judgeLine({ place, contradiction }: EvidenceLine, trust: Trust): Judged {
  if (typeof contradiction === "string") {
    return { place, by: undefined, domain: undefined, first: undefined, second: undefined, objection: contradiction };
  }
  const judgement = judge(contradiction, { ...trust, isSignedBy });
  const { objection } = judgement;
  return { place, by: contradiction.by, ...judgement, objection: objection ?? objectionToKey(contradiction, trust) };
}

/** A line that names another key than the one that it was verified with was changed by somebody. */
function objectionToKey({ by, key }: Contradiction, { keys }: Trust): string | undefined {
  const trusted = keys.get(by);
  const isSame = trusted !== undefined && keyNameOf(trusted) === keyNameOf(key);
  return isSame ? undefined : `the line names another key of ${by} than the members do`;
}

// --- the text ---

function asText(judged: readonly Judged[]): string {
  const bad = judged.filter(({ objection }) => objection !== undefined).length;
  const count = `${judged.length} ${judged.length === 1 ? "contradiction" : "contradictions"}`;
  const total =
    judged.length === 0 || bad === 0 ? count : `${count}, ${bad} of which ${bad === 1 ? "does" : "do"} not hold`;
  return [...judged.map(textOf), total, ""].join("\n");
}

function textOf({ place, by, domain, first, second, objection }: Judged): string {
  const where = domain === undefined ? "" : ` (cluster ${printable(domain.cluster)}, epoch ${domain.epoch})`;
  const lines = [by === undefined ? `${place}` : `${place}: ${by} contradicts itself${where}`];
  const isNewView = first?.kind === "NewView" && second?.kind === "NewView";
  if (first !== undefined) lines.push(`  said    ${describe(first)}${isNewView ? proposalsOf(first, second) : ""}`);
  if (second !== undefined) lines.push(`  and     ${describe(second)}${isNewView ? proposalsOf(second, first) : ""}`);
  lines.push(
    objection === undefined
      ? `  holds: both are signed with the key of ${by ?? ""}`
      : `  does NOT hold: ${printable(objection)}`,
  );
  return lines.join("\n");
}

function describe(statement: Statement): string {
  switch (statement.kind) {
    case "Prepare":
    case "Commit":
      return `${statement.kind.toUpperCase()} in view ${statement.view} at ${statement.index}: ${digestText(statement.digest)}`;
    case "Checkpoint":
      return `CHECKPOINT at ${statement.index}: ${digestText(statement.digest)}`;
    case "ViewChange":
      return `VIEW-CHANGE to view ${statement.view}`;
    case "NewView":
      return `NEW-VIEW of view ${statement.view}`;
  }
}

/** What one beginning of a view proposes otherwise than the other. */
function proposalsOf({ proposals }: NewView, other: NewView): string {
  const different = proposals.filter(
    ({ index, digest }) => !other.proposals.some((beside) => beside.index === index && beside.digest === digest),
  );
  const texts = different.map(({ index, digest }) => `${index}: ${digestText(digest)}`);
  return texts.length === 0 ? ", which proposes less" : `, which proposes at ${texts.join(", at ")}`;
}

function digestText(digest: string): string {
  return digest === "" ? "the null request" : digest;
}

/** A cluster's name comes from the file: nothing in it moves the cursor. */
function printable(text: string): string {
  return text.replace(/[^ -~]/g, "?");
}

function asJson(judged: readonly Judged[]): string {
  const contradictions = judged.map(({ place, by, domain, first, second, objection }) => ({
    ...{ place, by: by ?? null, cluster: domain?.cluster ?? null, epoch: domain?.epoch ?? null },
    ...{ first: jsonOf(first), second: jsonOf(second), holds: objection === undefined, objection: objection ?? null },
  }));
  return `${JSON.stringify({ contradictions })}\n`;
}

/** Without the certificates of a NEW-VIEW, which prove what it proposes and not that it was said. */
function jsonOf(statement: Statement | undefined): unknown {
  if (statement?.kind === "NewView") return { kind: "NewView", view: statement.view, proposals: statement.proposals };
  if (statement?.kind === "ViewChange") return { kind: "ViewChange", view: statement.view };
  return statement ?? null;
}
