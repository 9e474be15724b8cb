/**
 * Looks at everything replicated again, as it lies in memory: bits flip also in what no command touches (cold state).
 *
 * Owns: which parts there are, and remembering what the small ones were. Leaves to others: how each part is looked at, the pace
 * (`replica/scrubber.ts`), what becomes of damage (`audits.ts`). Called by the executor.
 */
import { equalFingerprints, Mixer, noFingerprint, type Fingerprint } from "../base/fingerprint.js";
import type { Steps } from "../base/steps.js";
import { encodeMembership } from "../model/membership-codec.js";
import type { Configuration } from "../model/membership.js";
import type { Audited } from "./audits.js";
import type { ReportTable } from "./report-table.js";

/** Members and reports of checkpoints: small, and changed by few entries, so they are mixed again at each of those. */
export class ControlCheck {
  readonly #mixer = new Mixer();
  #noted: Fingerprint = noFingerprint;

  /** They have just been changed. */
  note(control: Control): void {
    this.#noted = this.#of(control);
  }

  isIntact(control: Control): boolean {
    return equalFingerprints(this.#of(control), this.#noted);
  }

  #of({ reports, configuration: { index, term, membership } }: Control): Fingerprint {
    const mixer = this.#mixer.begin().number(index).number(term).bytes(encodeMembership(membership));
    for (const chunk of reports.encode()) mixer.bytes(chunk);
    return mixer.end().keep();
  }
}

interface Control {
  readonly reports: ReportTable;
  readonly configuration: Configuration;
}

/** Names of the parts that are not what was written any more. */
export function* scrubbing(audited: Audited, control: ControlCheck): Steps<readonly string[]> {
  const { machine, sessions, keys } = audited;
  const damaged: string[] = [];
  if (!control.isIntact(audited)) damaged.push("the members");
  if (!(yield* sessions.scrubbing())) damaged.push("the sessions");
  if (!(yield* keys.scrubbing())) damaged.push("the idempotency keys");
  if (machine.scrubbing !== undefined) damaged.push(...(yield* machine.scrubbing()));
  return damaged;
}
