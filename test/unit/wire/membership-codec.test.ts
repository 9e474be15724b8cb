/** Memberships as bytes: what is encoded is decoded, and foreign bytes are nothing. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeMembership, encodeMembership } from "../../../src/model/membership-codec.js";
import type { Member } from "../../../src/model/membership.js";

const member = fc.record<Member>({
  id: fc.stringMatching(/^[a-z0-9_-]{1,8}$/),
  role: fc.constantFrom("voter", "learner", "joining"),
  incarnation: fc.nat(),
  peer: fc.string({ maxLength: 12 }),
  client: fc.string({ maxLength: 12 }),
});
const replacing = fc.tuple(member, fc.nat()).map(([plain, replaces]) => ({ ...plain, replaces }));
const members = fc.uniqueArray(fc.oneof(member, replacing), { maxLength: 9, selector: ({ id }) => id });

test("what is encoded is decoded to the same", () => {
  fc.assert(
    fc.property(members, fc.option(members, { nil: undefined }), (now, before) => {
      const membership = before === undefined ? { members: now } : { members: now, before };
      expect(decodeMembership(encodeMembership(membership))).toEqual(membership);
    }),
  );
});

test("bytes of anybody give a membership or nothing, never an exception", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      const found = decodeMembership(bytes);
      if (found !== undefined) expect(decodeMembership(encodeMembership(found))).toEqual(found);
    }),
  );
});
