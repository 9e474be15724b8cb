/**
 * Versions of the machine: which one executes, since when, and who can run which.
 *
 * Owns: the nouns. Leaves to others: when a version starts (`execution/versions.ts`), proposing that (`replica/version-keeper.ts`), bytes
 * (`wire/version-codec.ts`).
 */
import type { LogIndex, ReplicaId } from "./ids.js";

/** A log begins with this one, unless it says otherwise before its first request. */
export const firstVersion = 1;

/** What one replica can run, ascending: the versions of its machine, each of which follows the one before. An entry of kind `report` holds it. */
export interface VersionOffer {
  readonly replica: ReplicaId;
  readonly incarnation: number;
  readonly versions: readonly number[];
}

export interface KnownOffer extends VersionOffer {
  /** The entry that has it, where offers are signed: what was signed before that entry was executed is older. Otherwise 0. */
  readonly at: LogIndex;
}

/** What an entry of kind `version` holds. */
export type VersionChange =
  /** The log has no request yet, and is of this version. */
  { readonly kind: "begin"; readonly version: number } | VersionStart;

/** `version` follows `from` at this entry, if all of `members` offer that, and the members are still those of `configuration`. */
export interface VersionStart {
  readonly kind: "start";
  readonly from: number;
  readonly version: number;
  readonly configuration: LogIndex;
  readonly members: readonly ReplicaId[];
}

/** Its migration threw at this index: it never starts. */
export interface FailedVersion {
  readonly version: number;
  readonly index: LogIndex;
  readonly message: string;
}

/** Replicated. */
export interface VersionState {
  /** The version that executes. */
  readonly active: number;
  /** Where it started; 0: the log began with it. */
  readonly since: LogIndex;
  /** There was a request, or an entry that says with which version the log begins. */
  readonly hasBegun: boolean;
  /** By replica, sorted. Whoever offers nothing can run what is active, and no more. */
  readonly offers: readonly KnownOffer[];
  readonly failed: readonly FailedVersion[];
}

/** The one that follows `version` in what a replica can run. */
export function versionAfter(version: number, versions: readonly number[]): number | undefined {
  return versions.find((other) => other > version);
}
