/**
 * A fork of the replicated state as one stream of bytes, and back.
 *
 * Owns: the frames and their order. Leaves to others: the bytes of each part (`session-codec.ts`, `report-table.ts`, the machine), cutting the
 * stream into chunks (`replica/checkpointer.ts`). Equal states give equal frames on every replica (hazard S10).
 *
 *   frame  part u8, length varint, bytes;  parts in their order: versions, sessions, keys, reports, members, machine, audits (no first or last one in those
 *          of releases before versions and audits)
 */
import { ByteReader, ByteWriter, concatBytes } from "../base/bytes.js";
import { noFingerprint } from "../base/fingerprint.js";
import type { Steps } from "../base/steps.js";
import { noEntry } from "../model/entry.js";
import type { AgreedTime, LogIndex } from "../model/ids.js";
import type { Configuration } from "../model/membership.js";
import type { Executor, ExecutorFork } from "./executor.js";
import { encodeAudits } from "./audit-table-codec.js";
import { newAuditState } from "./audit-table.js";
import { decodeVersionState, encodeVersionState } from "../wire/version-codec.js";
import { decodeConfiguration, encodeConfiguration } from "./member-codec.js";

/** A part's number is its place here: only ever append. */
const parts = ["sessions", "keys", "reports", "members", "machine", "audits", "versions"] as const;
type Part = (typeof parts)[number];
/** The version comes first: which machine reads the rest is known by it. */
const order: readonly Part[] = ["versions", "sessions", "keys", "reports", "members", "machine", "audits"];

interface Frame {
  readonly part: Part;
  readonly bytes: Uint8Array;
}

/** Made one by one, so that no step of it takes long. Each is for who soon forgets it. */
export function* framesOf(fork: ExecutorFork): Generator<Uint8Array, void> {
  for (const part of order) {
    const at = parts.indexOf(part);
    for (const bytes of part === "machine" ? fork.machine.chunks() : fork[part]) {
      const writer = new ByteWriter(bytes.length + 8);
      writer.u8(at);
      writer.bytes(bytes);
      yield writer.handOver();
    }
  }
}

/** As `Executor.installing`, of the chunks of a whole state. */
export function* installFrames(
  executor: Executor,
  at: { readonly index: LogIndex; readonly time: AgreedTime },
  chunks: Iterable<Uint8Array>,
): Steps<string | undefined> {
  const frames = new FrameWalk(chunks);
  const objection = yield* executor.installing({
    ...at,
    versions: frames.of("versions"),
    sessions: frames.of("sessions"),
    keys: frames.of("keys"),
    reports: frames.of("reports"),
    members: frames.of("members"),
    machine: frames.of("machine"),
    audits: frames.of("audits"),
  });
  return (
    objection ??
    (frames.isDone ? undefined : "Cannot install a checkpoint: it has parts that this version does not know.")
  );
}

/** Who the members are as a state says, without installing it; all chunks are read. Undefined if they are not in this form. */
export function configurationIn(chunks: Iterable<Uint8Array>): Configuration | undefined {
  const frames = new FrameWalk(chunks);
  let members: readonly Uint8Array[] = [];
  for (const part of order) {
    const found: Uint8Array[] = [];
    for (const bytes of frames.of(part)) if (part === "members") found.push(bytes);
    if (part === "members") members = found;
  }
  return frames.isDone ? decodeConfiguration(members) : undefined;
}

/** The same chunk for another cluster: the members in it are the founders, whoever they are there and whatever they can run, and nothing was compared there yet. */
export function withoutMembers(chunk: Uint8Array): Uint8Array {
  const reader = new ByteReader(chunk);
  const writer = new ByteWriter(chunk.length);
  while (reader.remaining > 0) {
    const at = reader.u8();
    const bytes = reader.bytes();
    writer.u8(at);
    writer.bytes(elsewhere(parts[at], bytes) ?? bytes);
  }
  return writer.finish();
}

function elsewhere(part: Part | undefined, bytes: Uint8Array): Uint8Array | undefined {
  if (part === "versions") {
    const versions = decodeVersionState(bytes);
    return versions === undefined ? undefined : encodeVersionState({ ...versions, offers: [] });
  }
  if (part === "members") return concatBytes(encodeConfiguration(founders));
  return part === "audits" ? concatBytes(encodeAudits(noFingerprint, newAuditState())) : undefined;
}

const founders = { ...noEntry, membership: { members: [] } };

/** The parts are read in their order, each once: so only one chunk is in memory. */
class FrameWalk {
  readonly #frames: Iterator<Frame>;
  #next: Frame | undefined;
  #isMalformed = false;

  constructor(chunks: Iterable<Uint8Array>) {
    this.#frames = this.#read(chunks);
    this.#advance();
  }

  /** Every frame was one of the parts that were asked for. */
  get isDone(): boolean {
    return this.#next === undefined && !this.#isMalformed;
  }

  *of(part: Part): Generator<Uint8Array, void> {
    while (this.#next?.part === part) {
      yield this.#next.bytes;
      this.#advance();
    }
  }

  #advance(): void {
    const { done, value } = this.#frames.next();
    this.#next = done === true ? undefined : value;
  }

  /** A chunk is what its hash says, so one in another form is of another version: it ends the stream. */
  *#read(chunks: Iterable<Uint8Array>): Generator<Frame, void> {
    for (const chunk of chunks) {
      const reader = new ByteReader(chunk);
      while (reader.remaining > 0) {
        const part = parts[reader.u8()];
        const bytes = reader.bytes();
        this.#isMalformed ||= part === undefined || reader.failed;
        if (part === undefined || this.#isMalformed) return;
        yield { part, bytes };
      }
    }
  }
}
