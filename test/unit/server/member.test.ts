/** How far a new member is, as `quorate member add` shows it. */
import { expect, test } from "vitest";
import { joinedSoFar } from "../../../src/server/commands/member.js";

type Status = Parameters<typeof joinedSoFar>[0][number];

function status(id: string, role: string, fetching?: Status["checkpoint"]["fetching"]): Status {
  return { id, role, lastIndex: 200, members: [], checkpoint: { fetching } };
}

const place = { peer: "h:1", client: "h:2" };

test("entries by the leader's count, and a checkpoint by the replica's own", () => {
  const follower = { ...status("b", "follower"), lastIndex: 7 };
  const seen = (member: { role: string; connected: boolean; matchIndex?: number }, ...more: Status[]): unknown =>
    joinedSoFar([follower, { ...status("a", "leader"), members: [{ id: "d", ...place, ...member }] }, ...more], "d");

  expect(joinedSoFar([follower], "d")).toEqual({ text: "is not connected", share: 0, votes: false });
  expect(seen({ role: "joining", connected: true, matchIndex: 50 })).toEqual({
    text: "has 50 of 200 entries",
    share: 0.25,
    votes: false,
  });
  const fetching = { bytes: 4_194_304, bytesDone: 1_048_576 };
  expect(seen({ role: "joining", connected: true, matchIndex: 0 }, status("d", "follower", fetching))).toEqual({
    text: "has 1.0 of 4.0 MiB of a checkpoint",
    share: 0.25,
    votes: false,
  });
  expect(seen({ role: "voter", connected: true, matchIndex: 199 })).toMatchObject({ votes: true });
});
