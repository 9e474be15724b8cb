/** Hazard N8 and what follows: a replica that computes wrongly is set aside, rebuilt, and serves again, whichever role it has. */
import { expect, test } from "vitest";
import type { Limits } from "../../src/api/config.js";
import type { QuarantineState } from "../../src/model/quarantine.js";
import { decodeUtf8 } from "../../src/base/bytes.js";
import { FaultyTally } from "../../test-support/faulty-tally.js";
import { ReplicaGroup } from "../../test-support/replica-group.js";

class Story {
  readonly group: ReplicaGroup;
  readonly #faulty = new Map<string, FaultyTally>();
  readonly #doors = new Map<string, ReturnType<ReplicaGroup["door"]>>();
  /** Answers to `add`, in the order in which they came. */
  readonly answers: string[] = [];

  constructor(ids: string, limits: Partial<Limits> = {}) {
    const audit = { everyCommands: 4, everyMs: 200, reportMs: 1_000 };
    this.group = new ReplicaGroup([...ids], { audit, ...limits }, (id) => this.faulty(id).machine);
  }

  faulty(id: string): FaultyTally {
    const faulty = this.#faulty.get(id) ?? new FaultyTally();
    this.#faulty.set(id, faulty);
    return faulty;
  }

  door(id: string): ReturnType<ReplicaGroup["door"]> {
    const door = this.#doors.get(id) ?? this.group.door(id);
    this.#doors.set(id, door);
    return door;
  }

  state(id: string): QuarantineState | undefined {
    return this.group.running.get(id)?.core.status().quarantine.state;
  }

  isOut(id: string): boolean {
    return this.state(id) !== "sound";
  }

  others(...not: readonly string[]): readonly string[] {
    return this.group.ids.filter((id) => !not.includes(id));
  }

  /** Until it is so somebody counts through this replica, twenty times a second. */
  async until(through: string, what: string, isSo: () => boolean): Promise<void> {
    const asked: string[][] = [];
    for (let ms = 0; ms < 20_000 && !isSo(); ms += 1) {
      if (ms % 50 === 0) asked.push(this.door(through).add("x"));
      await this.group.pass(1);
    }
    const told = [...this.group.quarantines, ...this.group.found].join("; ");
    if (!isSo()) throw new Error(`Waited in vain for ${what}: ${told}`);
    for (const answer of asked) this.answers.push(await this.ask(answer));
  }

  async ask(answer: string[]): Promise<string> {
    for (let count = 0; count < 20_000 && answer.length === 0; count += 1) await this.group.pass(1);
    return answer[0] ?? "nothing";
  }
}

test("a follower that computes wrongly answers nobody until its state was made again, and then rightly", async () => {
  const story = new Story("abc");
  const leader = story.group.untilLeader();
  const [wrong = "", other = ""] = story.others(leader);
  for (let count = 0; count < 10; count += 1) story.answers.push(await story.ask(story.door(other).add("x")));

  story.faulty(wrong).spoil();
  await story.until(other, "quarantine", () => story.isOut(wrong));
  const read = story.door(wrong).read("x");
  await story.until(other, "the end of it", () => story.state(wrong) === "sound");

  expect(story.group.quarantines).toEqual([`${wrong}: rebuilding`, `${wrong}: rejoining`, `${wrong}: sound`]);
  expect(story.group.found).toEqual(["a", "b", "c"].map(() => expect.stringContaining(`named ${wrong}`) as string));
  // Asked while it was out, it is answered behind the end of it.
  expect(await story.ask(read)).toMatch(/^\d+$/);
  await story.group.pass(1_000);
  expect(new Set(story.group.digests()).size).toBe(1);
  expect(story.group.untilLeader()).toBe(leader);
  expect(story.answers).toEqual(story.answers.map((_, at) => String(at + 1)));
});

test("N8: a leader that computes wrongly hands leadership over, and whoever asked it gets no wrong answer from then on", async () => {
  const story = new Story("abc");
  const leader = story.group.untilLeader();
  const [other = ""] = story.others(leader);
  const door = story.door(leader);
  for (let count = 0; count < 10; count += 1) story.answers.push(await story.ask(door.add("x")));

  story.faulty(leader).spoil();
  await story.until(other, "quarantine", () => story.isOut(leader));
  const asked = Array.from({ length: 20 }, () => door.add("x"));
  await story.until(other, "the end of it", () => !story.isOut(leader));

  const core = story.group.running.get(leader)?.core;
  expect(core?.status().resigned).toMatchObject({ reason: "quarantine" });
  expect(story.group.untilLeader()).not.toBe(leader);
  for (const answer of asked) story.answers.push(await story.ask(answer));
  const counts = story.answers.map(Number).sort((left, right) => left - right);
  expect(counts).toEqual(counts.map((_, at) => at + 1));
  await story.group.pass(1_000);
  expect(new Set(story.group.digests()).size).toBe(1);
  expect(core?.status().quarantine).toMatchObject({ state: "sound", count: 1, rebuiltFrom: 0 });
});

test("of two replicas nobody is set aside", async () => {
  const story = new Story("ab");
  const leader = story.group.untilLeader();
  const [other = ""] = story.others(leader);
  story.faulty(other).spoil();
  await story.until(leader, "a finding", () => story.group.found.length >= 2);

  expect(story.group.found).toEqual(expect.arrayContaining(["a: different a, b", "b: different a, b"]));
  expect([story.state("a"), story.state("b"), story.group.broken]).toEqual(["sound", "sound", []]);
});

test("with nobody asking anything a rebuilt replica is compared all the same", async () => {
  const story = new Story("abc");
  const leader = story.group.untilLeader();
  const [wrong = "", other = ""] = story.others(leader);
  for (let count = 0; count < 3; count += 1) story.answers.push(await story.ask(story.door(other).add("x")));
  story.faulty(wrong).spoil();
  for (let count = 0; count < 4; count += 1) story.answers.push(await story.ask(story.door(other).add("x")));

  story.group.until("quarantine", () => story.group.quarantines.length > 0 || undefined);
  story.group.until("the end of it", () => !story.isOut(wrong) || undefined);

  expect(story.group.running.get(other)?.core.status().audit.named).toEqual([]);
});

test("a replica whose memory fails again and again is rebuilt twice, then no more; the others go on", async () => {
  const story = new Story("abc");
  const leader = story.group.untilLeader();
  const [other = ""] = story.others(leader);
  story.faulty(leader).spoilForGood();
  await story.until(other, "an end", () => story.state(leader) === "stopped");
  await story.until(other, "some more", () => story.answers.length > 0);

  const states = story.group.quarantines.map((each) => each.split(": ")[1]);
  expect(states.filter((state) => state === "rebuilding")).toHaveLength(2);
  expect(states.at(-1)).toBe("stopped");
  expect(story.group.untilLeader()).not.toBe(leader);
  expect(await story.ask(story.door(other).add("x"))).toMatch(/^\d+$/);
});

test("one more than the group can spare serves on and says so, and is set aside as soon as it can be", async () => {
  const audit = { everyCommands: 4, everyMs: 200, reportMs: 8_000 };
  const story = new Story("abcde", { audit });
  const leader = story.group.untilLeader();
  const [one = "", other = "", third = "", gone = ""] = story.others(leader);
  for (let count = 0; count < 10; count += 1) story.answers.push(await story.ask(story.door(leader).add("x")));
  // Positions wait for its reports, and whoever is healed is named until they are settled without it.
  story.group.crash(gone);
  for (const wrong of [one, other]) {
    story.faulty(wrong).spoil();
    await story.until(leader, `${wrong} to be made again`, () => story.state(wrong) === "rejoining");
  }
  story.faulty(third).spoil();
  await story.until(leader, "one too many", () => story.state(third) === "unspared");

  expect([one, other].map((id) => story.state(id))).toEqual(["rejoining", "rejoining"]);
  expect(story.group.running.get(third)?.core.status()).toMatchObject({ checks: { sound: true } });
  expect(await story.ask(story.door(third).read("x"))).toMatch(/^\d+/);
  await story.until(leader, "all to be healed", () => [one, other, third].every((id) => story.state(id) === "sound"));
  const states = story.group.quarantines
    .filter((each) => each.startsWith(`${third}: `))
    .map((each) => each.split(": ")[1]);
  expect(states).toEqual(["unspared", "rebuilding", "rejoining", "sound"]);
  await story.group.pass(1_000);
  expect(new Set(story.group.digests()).size).toBe(1);
  expect([story.group.untilLeader(), story.group.broken]).toEqual([leader, []]);
});

/** The lines of the only file in a replica's `evidence/`, as soon as it is there. */
async function evidenceOf({ group }: Story, id: string): Promise<readonly Record<string, unknown>[]> {
  const disk = group.checkpointDisks.get(id);
  const pathsOf = (): readonly string[] => group.running.get(id)?.core.status().audit.evidence ?? [];
  for (let ms = 0; ms < 5_000 && pathsOf().length === 0; ms += 1) {
    disk?.settle();
    await group.pass(1);
  }
  const [path = "", ...others] = pathsOf();
  expect(others).toEqual([]);
  const text = decodeUtf8(disk?.readFile(path, 1_000_000) ?? new Uint8Array(0)) ?? "";
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

test("what differed is on the disks of all before anybody asks, also on that of the one whose state is made again", async () => {
  const story = new Story("abc");
  const leader = story.group.untilLeader();
  const [wrong = "", other = ""] = story.others(leader);
  for (let count = 0; count < 10; count += 1) story.answers.push(await story.ask(story.door(other).add("x")));
  story.faulty(wrong).spoil();
  await story.until(other, "quarantine", () => story.isOut(wrong));
  await story.until(other, "the end of it", () => story.state(wrong) === "sound");

  for (const id of ["a", "b", "c"]) {
    const [head, finding, ...states] = await evidenceOf(story, id);
    expect(head).toMatchObject({ quorate: "evidence" });
    const kept = finding?.["finding"] as { replica: string; entries: { answers?: [string, boolean][] }[] };
    const answers = kept.entries.flatMap((entry) => entry.answers ?? []).map(([text]) => Buffer.from(text, "base64"));
    expect([id, kept.replica, answers.some((answer) => answer.includes("!"))]).toEqual([id, id, id === wrong]);
    expect(states.flatMap((line) => Object.keys(line))).toEqual(["after", "state"]);
  }
});

test("a disk that takes no evidence keeps nobody from being healed", async () => {
  const story = new Story("abc");
  const leader = story.group.untilLeader();
  const [wrong = "", other = ""] = story.others(leader);
  for (const disk of story.group.checkpointDisks.values()) disk.fail(/evidence/, "full", Infinity);
  story.faulty(wrong).spoil();
  await story.until(other, "quarantine", () => story.isOut(wrong));
  await story.until(other, "the end of it", () => story.state(wrong) === "sound");
  for (let ms = 0; ms < 100; ms += 1) {
    for (const disk of story.group.checkpointDisks.values()) disk.settle();
    await story.group.pass(1);
  }

  const cores = [...story.group.running.values()].map(({ core }) => core.status());
  expect(cores.map(({ audit, broken }) => [audit.evidence, broken])).toEqual(cores.map(() => [[], undefined]));
  expect(cores.map(({ counters }) => counters.framesDropped["evidence"])).toEqual([1, 1, 1]);
});
