/** The ring of what the newest entries held: what is still in it is what was put in, and of the rest it says that it is gone. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { equalBytes } from "../../../src/base/bytes.js";
import { TrailContents } from "../../../src/execution/trail-contents.js";
import type { TrailContent } from "../../../src/model/audit.js";
import { sessionId } from "../../../src/model/ids.js";
import type { Reply } from "../../../src/model/request.js";

const seed = 20_261_128;
const mebibyte = 1_048_576;

function contentOf(byte: number, payloadBytes: number, replies: readonly Reply[]): TrailContent {
  const answers = replies.map((reply, at) => ({ reply, repeated: at % 2 === 1 }));
  return { payload: new Uint8Array(payloadBytes).fill(byte), answers };
}

const session = sessionId(3);
if (session === undefined) throw new Error("3 names a session");
const replies: readonly Reply[] = [
  { status: "ok", output: new Uint8Array([1, 2, 3]), expiresAt: undefined },
  { status: "rejected", code: "NO", data: new Uint8Array([4]), expiresAt: 5 },
  { status: "failed", message: "it threw: ü", expiresAt: undefined },
  { status: "refused", refusal: { code: "SESSION_UNKNOWN", session } },
  { status: "opened", session },
  { status: "resolved", outcome: { kind: "executed", reply: { status: "closed" } } },
  { status: "resolved", outcome: { kind: "tombstoned" } },
  { status: "alive" },
];

test("every reply is what was answered", () => {
  const contents = new TrailContents();
  const content = contentOf(7, 10, replies);
  const place = contents.keep(content.payload, content.answers);
  // What was kept is a copy.
  const { payload } = content;
  const kept = contentOf(7, 10, replies);
  payload.fill(0);
  expect(contents.at(place)).toEqual(kept);
});

test("the newest 4 MiB are there, but for what the end of the ring leaves empty, and nothing that does not fit", () => {
  const bytes = fc.oneof(
    { weight: 4, arbitrary: fc.nat(2_000) },
    { weight: 4, arbitrary: fc.nat(mebibyte) },
    { weight: 1, arbitrary: fc.constant(5 * mebibyte) },
  );
  fc.assert(
    fc.property(fc.array(bytes, { minLength: 1, maxLength: 20 }), (sizes) => {
      const contents = new TrailContents();
      const places = sizes.map((size, at) => {
        const { payload, answers } = contentOf(at, size, replies.slice(0, at % 3));
        return contents.keep(payload, answers);
      });

      let behind = 0;
      for (let at = sizes.length - 1; at >= 0; at -= 1) {
        const size = sizes[at] ?? 0;
        const found = contents.at(places[at] ?? 0);
        // Byte by byte `toEqual` would take minutes.
        const wanted = contentOf(at, size, replies.slice(0, at % 3));
        if (found !== undefined) expect(equalBytes(found.payload, wanted.payload)).toBe(true);
        if (found !== undefined) expect(found.answers).toEqual(wanted.answers);
        behind += size <= 4 * mebibyte ? size : 0;
        if (size > 4 * mebibyte || behind > 4 * mebibyte) expect(found).toBeUndefined();
        // At the end of the ring less is lost than the largest of them, and each has its answers beside it.
        else if (behind + 100 * sizes.length < 3 * mebibyte) expect(found).toBeDefined();
      }
    }),
    { seed, numRuns: 20 },
  );
});
