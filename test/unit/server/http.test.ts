/** HTTP in front of a door: statuses, limits, and who may ask (threats 5 to 7, 14). Long for the reason that one door is asked in every way. */
import { describe, expect, test } from "vitest";
import type { Door, DoorEvents, DoorIdempotency, DoorOutcome } from "../../../src/api/door.js";
import { InstructionRefused } from "../../../src/api/errors.js";
import type { LowLevelMachine } from "../../../src/api/low-level.js";
import type { ReplicaStatus } from "../../../src/api/replica.js";
import type { EventsQuestion } from "../../../src/model/events.js";
import { logIndex, noIndex, noTerm, type LogIndex } from "../../../src/model/ids.js";
import type { ReadLevel } from "../../../src/model/request.js";
import { openHttpAudit } from "../../../src/server/http-audit.js";
import { makeHttpApp, type ProcessStatus } from "../../../src/server/http.js";
import { openHttpOperator } from "../../../src/server/http-operator.js";
import { openHttpCalls } from "../../../src/server/http-calls.js";
import { openHttpEvents } from "../../../src/server/http-events.js";
import { metricNames, openMetrics } from "../../../src/server/metrics.js";
import { decodeValue, encodeValue } from "../../../src/wire/canonical.js";

const nine = logIndex(9) as LogIndex;
const bytes = (value: unknown): Uint8Array => encodeValue(value);

/** A door that remembers what it was asked and answers what the test wants. */
class TestDoor implements Door {
  readonly asked: {
    readonly name: string;
    readonly input: unknown;
    readonly idempotency: DoorIdempotency | undefined;
  }[] = [];
  readonly reads: ReadLevel[] = [];
  ageMs = 0;
  outcome: DoorOutcome | Promise<DoorOutcome> = {
    status: "ok",
    output: bytes({ balance: 5n }),
    index: nine,
    expiresAt: undefined,
  };

  async command(name: string, input: Uint8Array, idempotency: DoorIdempotency | undefined): Promise<DoorOutcome> {
    this.asked.push({ name, input: decodeValue(input), idempotency });
    return this.outcome;
  }

  query(name: string, input: Uint8Array, read: ReadLevel): ReturnType<Door["query"]> {
    this.reads.push(read);
    this.asked.push({ name, input: decodeValue(input), idempotency: undefined });
    return Promise.resolve({
      status: "answered",
      outcome: { status: "ok", output: bytes([1]) },
      index: nine,
      ageMs: this.ageMs,
    });
  }

  /** What is answered about events, in order; then nothing more happens. */
  readonly answers: DoorEvents[] = [];
  readonly followed: EventsQuestion[] = [];
  /** Called when there is nothing more to answer. */
  whenIdle: () => void = () => {};

  events(question: EventsQuestion): Promise<DoorEvents> {
    this.followed.push(question);
    const answer = this.answers.shift();
    if (answer !== undefined) return Promise.resolve(answer);
    this.whenIdle();
    return new Promise(() => {});
  }

  close(): void {
    this.asked.length = 0;
  }
}

const machine: LowLevelMachine = {
  name: "bank",
  version: 1,
  commandNames: ["deposit"],
  queryNames: ["balance"],
  eventNames: ["moved"],
  open: () => {
    throw new Error("HTTP opens no machine");
  },
  admit: (_name, input) =>
    decodeValue(input) === "bad" ? { status: "invalid", message: "expected an object" } : { status: "admitted", input },
};

const status: ReplicaStatus = {
  id: "a",
  clusterId: "shop",
  incarnation: 1,
  role: "leader",
  term: noTerm,
  leader: "a",
  lastIndex: nine,
  commitIndex: nine,
  executedIndex: nine,
  quarantine: { state: "sound", forMs: 0, count: 0, replacedUpTo: noIndex, rebuiltFrom: undefined },
  storage: { full: undefined },
  unfinished: undefined,
  stalled: undefined,
  resigned: undefined,
  checkpoint: {
    index: nine,
    certifiedIndex: nine,
    bytes: 5,
    logStart: nine,
    failure: undefined,
    fetching: undefined,
  },
  audit: {
    positions: { agreed: 21, named: 22, different: 23, allDifferent: 24, notChecked: 25, alone: 26 },
    waiting: 0,
    recent: [],
    findings: [],
    named: [],
    replicas: [],
    scrub: { cycles: 27, cycleMs: 28_000, mismatches: 29, damaged: [], chunkCycles: 30, chunksDamaged: 31 },
    evidence: [],
  },
  machine: {
    name: "bank",
    version: 1,
    active: 1,
    since: 0 as LogIndex,
    versions: [1],
    offers: [],
    failed: [],
    timerFailure: undefined,
  },
  quorateVersion: "0.0.0",
  uptimeMs: 1500,
  epoch: undefined,
  administrator: undefined,
  members: [
    {
      id: "a",
      role: "voter",
      peer: "127.0.0.1:1",
      client: "127.0.0.1:2",
      incarnation: 1,
      key: undefined,
      connected: true,
      matchIndex: undefined,
      inFlightBytes: undefined,
      queuedBytes: 0,
    },
  ],
  ready: true,
  checks: { leader: true, executed: true },
  broken: undefined,
  counters: {
    entriesProposed: 1,
    requestsAdmitted: 2,
    requestsRefused: { OVERLOADED: 3 },
    commandsExecuted: 4,
    commandsRepeated: 5,
    timersFired: 17,
    timersFailed: 18,
    forbiddenUses: 35,
    eventsEmitted: 19,
    queriesAnswered: 6,
    proposalsPending: 7,
    pendingBytes: 0,
    leaderChanges: 8,
    resignations: {},
    logWrites: 9,
    logSyncs: 10,
    logBytes: 11,
    checkpointsTaken: 0,
    checkpointsFetched: 0,
    syncSeconds: { bounds: [0.001, 0.01], counts: [3, 4, 5], sum: 0.5 },
    sessions: 12,
    clientConnections: 13,
    framesDropped: { "too long": 14 },
    signatures: { made: 15, verified: 16, known: 17, refused: { wronglySigned: 18 } },
    peerBytesReceived: 15,
    peerBytesSent: 16,
  },
};

const eventLoop = { longestTurnWallMs: 2, longestTurnCpuMs: 1, cpuOf: "thread", since: 0 } as const;

function serve(changes: { readonly callMsMax?: number; readonly status?: Partial<ReplicaStatus> } = {}) {
  const door = new TestDoor();
  const calls = openHttpCalls({
    machine,
    door,
    bodyBytesMax: 1000,
    jsonDepthMax: 8,
    callsPendingMax: 2,
    callMsMax: changes.callMsMax ?? 1000,
  });
  const events = openHttpEvents({ machine, door, streamsMax: 2 });
  const now = { ...status, ...changes.status };
  const whole: ProcessStatus = {
    ...now,
    pid: 1,
    addresses: { peer: "", client: "", http: undefined, redis: undefined },
    eventLoop,
    engineEventLoop: eventLoop,
  };
  const told: unknown[] = [];
  const app = makeHttpApp({
    calls,
    events,
    operator: openHttpOperator({
      transferLeadership: async (to) => {
        if (to !== undefined) throw new InstructionRefused("transfer", to === "b" ? "NO_TARGET" : "unknown");
      },
      checkpoint: async () => void told.push(["checkpoint"]),
      snapshot: () => undefined,
      members: {
        add: async (member, options) => void told.push(["add", member, options]),
        replace: async (member) => void told.push(["replace", member]),
        promote: async (id) => void told.push(["promote", id]),
        reconfigure: async (signed) => void told.push(["reconfigure", ...signed]),
        remove: async () => {
          throw new InstructionRefused("remove", "BUSY");
        },
        change: async (set) => void told.push(["change", set]),
      },
    }),
    audit: openHttpAudit({ status: () => now, finding: () => undefined }),
    metrics: openMetrics({
      status: () => now,
      eventLoop: () => eventLoop,
      engineEventLoop: () => eventLoop,
      logLinesDropped: () => 17,
      httpAnswers: () => new Map([[200, 18]]),
      redis: () => undefined,
    }),
    status: () => whole,
    resetEventLoop: () => undefined,
    answered: () => undefined,
    failed: (cause) => {
      throw cause;
    },
    loopbackOnly: true,
  });
  const ask = async (path: string, init: RequestInit = {}): Promise<Response> =>
    app.request(path, { ...init, headers: { Host: "127.0.0.1:7300", ...(init.headers as Record<string, string>) } });
  const post = (path: string, body: string, headers: Record<string, string> = {}): Promise<Response> =>
    ask(path, { method: "POST", body, headers });
  return { door, events, ask, post, told };
}

describe("events", () => {
  const at = (index: number) => ({ index, ordinal: 0, sequence: 0 });

  /** What a reader is given until nothing more comes; then the stream is ended. */
  async function follow({ ask, door, events }: ReturnType<typeof serve>, path: string, headers = {}): Promise<string> {
    door.whenIdle = () => queueMicrotask(() => events.close());
    const response = await ask(path, { headers });
    expect(response.status).toBe(200);
    expect(response.headers.get("Content-Type")).toBe("text/event-stream");
    return await response.text();
  }

  test("are sent with their ids, and the next page is asked for from where the last one ended", async () => {
    const served = serve();
    const { door } = served;
    door.answers.push(
      { kind: "page", events: [{ position: at(7), data: bytes({ amount: 5n }) }], next: at(9) },
      { kind: "page", events: [], next: at(12) },
      { kind: "page", events: [{ position: at(12), data: bytes("two\nlines") }], next: at(13) },
    );

    expect(await follow(served, "/v1/events/moved?after=6")).toBe(
      'retry: 1000\n\nid: 7.0.0\ndata: {"amount":{"$bigint":"5"}}\n\n:\n\nid: 12.0.0\ndata: "two\\nlines"\n\n',
    );
    expect(door.followed.map(({ from }) => from)).toEqual([
      { index: 7, ordinal: -1, sequence: 0 },
      at(9),
      at(12),
      at(13),
    ]);
  });

  test("that are no longer kept are told as such, and the stream goes on behind them", async () => {
    const served = serve();
    const { door } = served;
    door.answers.push({ kind: "compacted", resumeAfter: at(5) });

    expect(await follow(served, "/v1/events/moved", { "Last-Event-ID": "2.-1.3" })).toBe(
      'retry: 1000\n\nevent: compacted\nid: 5.0.0\ndata: {"resumeAfter":"5.0.0"}\n\n',
    );
    expect(door.followed.map(({ from }) => from)).toEqual([
      { index: 2, ordinal: -1, sequence: 4 },
      { index: 5, ordinal: 0, sequence: 1 },
    ]);
  });

  test("end when the replica stops, and a reader that goes away makes room for another", async () => {
    const { door, ask } = serve();
    door.answers.push({ kind: "refused", refusal: { code: "STOPPING" } });
    expect(await (await ask("/v1/events/moved")).text()).toBe("retry: 1000\n\n");

    const open = [await ask("/v1/events/moved"), await ask("/v1/events/moved")];
    expect((await ask("/v1/events/moved")).status).toBe(503);
    await open[0]?.body?.cancel();
    expect((await ask("/v1/events/moved")).status).toBe(200);
  });

  test("of another name, or from a place that is none, are refused", async () => {
    const { ask } = serve();

    expect((await ask("/v1/events/move")).status).toBe(404);
    for (const after of ["x", "-1", "1.2", "1.-2.0", "99999999999999999"])
      expect((await ask(`/v1/events/moved?after=${after}`)).status).toBe(400);
  });
});

describe("commands and queries", () => {
  test("JSON goes in as the machine's value and its output comes back as JSON", async () => {
    const { door, post } = serve();

    const response = await post("/v1/commands/deposit", '{"account":"x","amount":{"$bigint":"5"}}');

    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ output: { balance: { $bigint: "5" } }, index: 9 });
    expect(door.asked).toEqual([{ name: "deposit", input: { account: "x", amount: 5n }, idempotency: undefined }]);
  });

  test("a query is answered with its index and age", async () => {
    expect(await (await serve().post("/v1/queries/balance", '"x"')).json()).toEqual({
      output: [1],
      index: 9,
      ageMs: 0,
    });
  });

  test("a query says how fresh its answer must be, and is told what it reflects in headers too", async () => {
    const { door, post } = serve();
    door.ageMs = 12;
    for (const asked of ["", "?read=linearizable", "?read=lease", "?read=local", "?atLeast=7", "?maxStalenessMs=500"]) {
      const { status: code, headers } = await post(`/v1/queries/balance${asked}`, '"x"');
      expect([code, headers.get("Quorate-Index"), headers.get("Quorate-Age-Ms")]).toEqual([200, "9", "12"]);
    }
    door.ageMs = Infinity;
    const unknown = await post("/v1/queries/balance?read=local", '"x"');

    expect(unknown.headers.get("Quorate-Age-Ms")).toBe("unknown");
    expect(await unknown.json()).toMatchObject({ index: 9, ageMs: null });
    expect(door.reads).toEqual([
      { kind: "linearizable" },
      { kind: "linearizable" },
      { kind: "lease" },
      { kind: "local" },
      { kind: "atLeast", index: 7 },
      { kind: "maxStaleness", ms: 500 },
      { kind: "local" },
    ]);
  });

  test.each(["read=eventual", "atLeast=", "atLeast=-1", "maxStalenessMs=1.5", "read=local&atLeast=1", "read="])(
    "a query with ?%s is refused before it is asked",
    async (asked) => {
      const { door, post } = serve();

      const response = await post(`/v1/queries/balance?${asked}`, '"x"');

      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ refused: "INVALID_INPUT" });
      expect(door.reads).toEqual([]);
    },
  );

  test("an Idempotency-Key reaches the door, and the answer says when it expires", async () => {
    const { door, post } = serve();
    door.outcome = { status: "ok", output: bytes(undefined), index: nine, expiresAt: 86_400_000 };

    const response = await post("/v1/commands/deposit", "1", { "Idempotency-Key": "order-1" });

    expect(response.headers.get("Idempotency-Expires")).toBe("1970-01-02T00:00:00.000Z");
    expect(await response.json()).toEqual({ index: 9 });
    expect(door.asked[0]?.idempotency).toEqual({ principal: "http", key: "order-1" });
  });

  test.each<[DoorOutcome, number, object]>([
    [
      { status: "rejected", code: "poor", data: bytes(1), index: nine, expiresAt: undefined },
      422,
      { rejected: "poor", data: 1, index: 9 },
    ],
    [{ status: "failed", message: "threw", index: nine, expiresAt: undefined }, 500, { failed: "threw", index: 9 }],
    [{ status: "refused", refusal: { code: "NO_LEADER" } }, 503, { refused: "NO_LEADER" }],
    [{ status: "refused", refusal: { code: "OVERLOADED", queued: 2, limit: 1 } }, 503, { refused: "OVERLOADED" }],
    [{ status: "refused", refusal: { code: "TOO_LARGE", bytes: 2, limit: 1 } }, 413, { refused: "TOO_LARGE" }],
    [
      { status: "refused", refusal: { code: "IDEMPOTENCY_CONFLICT", key: "k" } },
      409,
      { refused: "IDEMPOTENCY_CONFLICT" },
    ],
    [
      { status: "refused", refusal: { code: "INVALID_INPUT", message: "no" } },
      400,
      { refused: "INVALID_INPUT", message: "no" },
    ],
  ])("%j is answered as documented", async (outcome, code, body) => {
    const { door, post } = serve();
    door.outcome = outcome;

    const response = await post("/v1/commands/deposit", "1");

    expect(response.status).toBe(code);
    expect(await response.json()).toMatchObject(body);
    expect(response.headers.has("Retry-After")).toBe(code === 503);
  });

  test("an unknown outcome is 504 and says unknown, also when the door answers too late", async () => {
    const told = serve();
    told.door.outcome = { status: "unknown", message: "the session was lost" };
    const late = serve({ callMsMax: 5 });
    late.door.outcome = new Promise(() => undefined);

    for (const { post } of [told, late]) {
      const response = await post("/v1/commands/deposit", "1");
      expect(response.status).toBe(504);
      expect(Object.keys((await response.json()) as object)).toEqual(["unknown"]);
    }
  });
});

describe("refusals before anything is ordered", () => {
  test.each([
    ["/v1/commands/depositt", "1", 404, "Did you mean deposit?"],
    ["/v1/commands/balance", "1", 404, "POST /v1/queries/balance"],
    ["/v1/queries/deposit", "1", 404, "POST /v1/commands/deposit"],
    ["/v1/commands/deposit", "{", 400, "as JSON"],
    ["/v1/commands/deposit", '"bad"', 400, "expected an object"],
    ["/v1/commands/deposit", "[".repeat(9), 400, "deeper than 8"],
    ["/v1/commands/deposit", '"\\ud800"', 400, "Cannot encode"],
    ["/v1/commands/deposit", `"${"x".repeat(1000)}"`, 413, "1000 bytes"],
  ])("%s with %s is %i", async (path, body, code, message) => {
    const { door, post } = serve();

    const response = await post(path, body);

    expect(response.status).toBe(code);
    expect(((await response.json()) as { message: string }).message).toContain(message);
    expect(door.asked).toHaveLength(0);
  });

  test("bytes that are not UTF-8 are refused", async () => {
    const response = await serve().ask("/v1/commands/deposit", {
      method: "POST",
      body: new Uint8Array([0x22, 0xff, 0x22]),
    });

    expect(response.status).toBe(400);
  });

  test("more calls in progress than the limit are refused, not queued", async () => {
    const { door, post } = serve({ callMsMax: 20 });
    door.outcome = new Promise(() => undefined);

    const codes = await Promise.all([1, 2, 3].map(async () => (await post("/v1/commands/deposit", "1")).status));

    expect(codes.sort()).toEqual([503, 504, 504]);
  });

  test.each([
    ["Origin", "http://evil.example"],
    ["Sec-Fetch-Site", "cross-site"],
    ["Host", "evil.example:7300"],
  ])("a web page cannot use a visitor's loopback: %s %s is 403 (threat 14)", async (name, value) => {
    const { door, post } = serve();

    expect((await post("/v1/commands/deposit", "1", { [name]: value })).status).toBe(403);
    expect(door.asked).toHaveLength(0);
  });
});

describe("health and metrics", () => {
  test("livez and readyz tell a ready replica from one that is not and from a broken one", async () => {
    const good = serve();
    const lost = serve({ status: { ready: false, checks: { leader: false, executed: true } } });
    const broken = serve({ status: { broken: "the disk failed" } });

    expect((await good.ask("/livez")).status).toBe(200);
    expect((await good.ask("/readyz")).status).toBe(200);
    expect((await lost.ask("/readyz")).status).toBe(503);
    expect(await (await lost.ask("/readyz?verbose")).text()).toBe("[-]leader failed\n[+]executed ok\nnot ready\n");
    expect((await broken.ask("/livez")).status).toBe(503);
  });

  test("every documented metric is there, once scraped and again", async () => {
    const { ask } = serve();
    await ask("/metrics");

    const text = await (await ask("/metrics")).text();

    for (const name of metricNames) expect(text, name).toContain(`# TYPE ${name} `);
    expect(text).toContain("quorate_leader_changes_seen_total 8\n");
    expect(text).toContain('quorate_requests_refused_total{code="OVERLOADED"} 3\n');
    expect(text).toContain('quorate_disk_wal_fsync_duration_seconds_bucket{le="+Inf"} 5\n');
    expect(text).toContain('quorate_http_answers_total{code="200"} 18\n');
  });

  test("status is the replica's own, with the process's", async () => {
    expect(await (await serve().ask("/v1/status")).json()).toMatchObject({
      id: "a",
      role: "leader",
      pid: 1,
      eventLoop: { cpuOf: "thread" },
    });
  });

  test("what is not served is 404 with a hint", async () => {
    expect((await serve().ask("/v2/status")).status).toBe(404);
    expect(await (await serve().ask("/v1/queries/balance")).text()).toContain("asked by POST");
  });
});

test("an operator's transfer answers what became of it", async () => {
  const { post } = serve();
  const answers = [];
  for (const body of ["", '{"to":"b"}', '{"to":"c"}', '{"too":"b"}', "{"])
    answers.push(await post("/v1/transfer", body));

  expect(answers.map(({ status: code }) => code)).toEqual([200, 409, 504, 400, 400]);
  expect(await answers[1]?.json()).toMatchObject({ refused: "NO_TARGET" });
});

test("an operator changes the members, and what is no member's address is refused", async () => {
  const { post, told } = serve();
  const place = { id: "d", peer: "h:1", client: "h:2" };
  const asked = [
    ["add", place],
    ["add", { ...place, learner: true }],
    ["replace", place],
    ["promote", { id: "d" }],
    ["remove", { id: "d" }],
    ["add", { ...place, peer: "nowhere" }],
    ["paint", { id: "d" }],
    ["change", { add: [place], promote: ["e"], remove: ["a", "b"] }],
    ["change", { add: [] }],
    ["change", { remove: "a" }],
  ] as const;
  const codes = [];
  for (const [verb, body] of asked) codes.push((await post(`/v1/members/${verb}`, JSON.stringify(body))).status);

  expect(codes).toEqual([200, 200, 200, 200, 503, 400, 404, 200, 400, 400]);
  expect(told).toEqual([
    ["add", place, { learner: false }],
    ["add", place, { learner: true }],
    ["replace", place],
    ["promote", "d"],
    ["change", { add: [place], promote: ["e"], remove: ["a", "b"] }],
  ]);
});
