/** The door before the real machine: program order, packing, limits, and what clients are told when there is no answer. */
import { afterEach, describe, expect, test } from "vitest";
import type { ReplicaStatus } from "../../../../src/api/replica.js";
import type { DoorOutcome } from "../../../../src/api/door.js";
import type { RespLimits } from "../../../../src/server/resp/limits.js";
import { startRespDoor, type RespDoor } from "../../../../src/server/resp/listener.js";
import { kv } from "../../../../src/services/kv/index.js";
import { decodeValue } from "../../../../src/wire/canonical.js";
import { MachineDoor, type DoorRequest } from "../../../../test-support/machine-door.js";
import { encodeCommand, RespClient } from "../../../../test-support/resp-client.js";

const status = {
  id: "a",
  clusterId: "test",
  role: "follower",
  leader: "b",
  term: 3,
  commitIndex: 9,
  executedIndex: 8,
  uptimeMs: 5000,
  machine: { name: "kv", version: 1 },
  quorateVersion: "0.0.0",
  ready: true,
} as unknown as ReplicaStatus;

interface World {
  readonly machine: MachineDoor;
  readonly door: RespDoor;
  readonly client: RespClient;
  connect(): Promise<RespClient>;
}

const opened: { close(): void | Promise<void> }[] = [];

afterEach(async () => {
  for (const resource of opened.splice(0).reverse()) await resource.close();
});

async function open(limits: Partial<RespLimits> = {}): Promise<World> {
  const machine = new MachineDoor(kv, () => 1_000_000);
  const door = await startRespDoor({ door: machine, host: "127.0.0.1", port: 0, limits, info: () => status });
  opened.push(door);
  const connect = async (): Promise<RespClient> => {
    const client = await RespClient.connect(door.port);
    opened.push(client);
    return client;
  };
  return { machine, door, client: await connect(), connect };
}

async function expectReply(client: RespClient, expected: string): Promise<void> {
  expect(await client.read(expected)).toBe(expected);
}

/** Redis commands in a request, as lines. */
function linesOf({ kind, input }: DoorRequest): readonly string[] {
  const value = decodeValue(input) as readonly string[][] | { readonly commands: readonly string[][] };
  const commands = Array.isArray(value) ? value : (value as { commands: readonly string[][] }).commands;
  return [kind, ...commands.map((argv) => argv.join(" "))];
}

describe("requests", () => {
  test("a pipeline of writes is one command, a pipeline of reads one query", async () => {
    const { machine, client } = await open();

    client.send("SET a 1", "SET b 2", "INCR a");
    await expectReply(client, "+OK\r\n+OK\r\n:2\r\n");
    client.send("GET a", "GET b", "EXISTS a");
    await expectReply(client, "$1\r\n2\r\n$1\r\n2\r\n:1\r\n");

    expect(machine.requests.map(linesOf)).toEqual([
      ["command", "SET a 1", "SET b 2", "INCR a"],
      ["query", "GET a", "GET b", "EXISTS a"],
    ]);
  });

  test("CLIENT READ says how fresh the reads after it must be, those before it keep their own, and RESET ends it", async () => {
    const { machine, client } = await open();

    client.send("GET a", "CLIENT READ LOCAL", "GET a", "GET b", "CLIENT READ", "CLIENT READ MaxStaleness 500", "GET a");
    await expectReply(client, "$-1\r\n+OK\r\n$-1\r\n$-1\r\n$5\r\nlocal\r\n+OK\r\n$-1\r\n");
    client.send("CLIENT READ ATLEAST 3", "CLIENT READ", "GET a", "SET a 1", "RESET", "GET a");
    await expectReply(client, "+OK\r\n$9\r\natleast 3\r\n$-1\r\n+OK\r\n+RESET\r\n$1\r\n1\r\n");

    expect(machine.requests.map(({ kind, read }) => read ?? kind)).toEqual([
      { kind: "linearizable" },
      { kind: "local" },
      { kind: "maxStaleness", ms: 500 },
      "command",
      { kind: "linearizable" },
    ]);
  });

  test("CLIENT READ takes nothing but its levels", async () => {
    const { client } = await open();

    for (const wrong of ["EVENTUAL", "LOCAL 5", "ATLEAST", "ATLEAST x", "MAXSTALENESS -1"]) {
      client.send(`CLIENT READ ${wrong}`);
      await expectReply(client, "-ERR syntax error, see CLIENT READ in the list of commands\r\n");
    }
    client.send("CLIENT READ");
    await expectReply(client, "$12\r\nlinearizable\r\n");
  });

  test("a mixed pipeline is ordered whole, and each command sees those before it", async () => {
    const { machine, client } = await open();

    client.send("GET a", "SET a 1", "GET a", "PING", "DEL a", "GET a");
    await expectReply(client, "$-1\r\n+OK\r\n$1\r\n1\r\n+PONG\r\n:1\r\n$-1\r\n");

    expect(machine.requests.map(linesOf)).toEqual([["command", "GET a", "SET a 1", "GET a", "DEL a", "GET a"]]);
  });

  test("a read waits for writes that are on their way, a write for reads", async () => {
    const { machine, client } = await open();
    machine.hold();
    client.send("SET a 1");
    await settled(machine, 1);
    client.send("GET a");
    client.send("GET b");
    await turns(20);
    expect(machine.requests.length).toBe(1);

    machine.release();
    await expectReply(client, "+OK\r\n$1\r\n1\r\n$-1\r\n");
    machine.hold();
    client.send("GET a");
    await settled(machine, 3);
    client.send("SET a 2");
    await turns(20);
    expect(machine.requests.length).toBe(3);
    machine.release();
    await expectReply(client, "$1\r\n1\r\n+OK\r\n");
  });

  test("writes do not wait for each other's answers, and are answered in order", async () => {
    const { machine, client } = await open();
    machine.hold();
    for (const line of ["SET a 1", "INCR a", "INCR a"]) {
      const before = machine.requests.length;
      client.send(line);
      await settled(machine, before + 1);
    }

    machine.release();
    await expectReply(client, "+OK\r\n:2\r\n:3\r\n");
  });

  test("commands of many clients share requests", async () => {
    const { machine, connect, client } = await open();
    const clients = [client, ...(await Promise.all(Array.from({ length: 9 }, connect)))];

    for (const each of clients) each.send("INCR n");
    for (const each of clients) expect(await each.read(":0\r\n")).toMatch(/^:/);

    expect(machine.requests.length).toBeLessThan(10);
  });

  test("a run is cut where a request would hold too many commands or bytes", async () => {
    const { machine, client } = await open({ packCountMax: 3, packBytesMax: 2000 });

    client.send(...Array.from({ length: 7 }, (_, at) => `SET k${at} v`));
    await expectReply(client, "+OK\r\n".repeat(7));
    expect(machine.requests.map((request) => linesOf(request).length - 1)).toEqual([3, 3, 1]);

    client.send(`SET a ${"x".repeat(1500)}`, `SET b ${"x".repeat(1500)}`);
    await expectReply(client, "+OK\r\n+OK\r\n");
    expect(machine.requests.length).toBe(5);
  });

  test("a pipeline whose replies are too much for one request is asked for in several, in order", async () => {
    const { machine, client } = await open();
    const value = "x".repeat(400_000);
    client.send(`SET big ${value}`);
    await expectReply(client, "+OK\r\n");
    const reply = `$${value.length}\r\n${value}\r\n`;

    client.send("GET big", "GET big", "GET big", "GET big", "GET big");
    await expectReply(client, reply.repeat(5));
    client.send("GET big", "APPEND big y", "GET big", "GET big", "GET big", "SET big small", "GET big");
    const longer = `$${value.length + 1}\r\n${value}y\r\n`;
    await expectReply(client, `${reply}:400001\r\n${longer.repeat(3)}+OK\r\n$5\r\nsmall\r\n`);

    expect(machine.requests.filter(({ kind }) => kind === "query").length).toBe(2);
  });

  test("a value too large for a request is refused, and the connection stays", async () => {
    const { client } = await open();

    client.sendRaw(encodeCommand(["SET", "a", "x".repeat(2_000_000)]));
    expect(await client.read("-ERR")).toBe("-ERR");
    client.send("PING");
    expect(await client.read(" not executed: the request takes")).toContain("not executed");
  });
});

describe("transactions", () => {
  test("are one command, with local replies in their places", async () => {
    const { machine, client } = await open();

    client.send("MULTI", "SET a 1", "PING", "INCR a", "INCR x y", "EXEC");
    await expectReply(client, "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n");
    await expectReply(client, "-ERR wrong number of arguments for 'incr' command\r\n");
    await expectReply(client, "-EXECABORT Transaction discarded because of previous errors.\r\n");
    client.send("MULTI", "SET a 1", "PING", "INCR a", "LPUSH a x", "EXEC");
    await expectReply(client, "+OK\r\n" + "+QUEUED\r\n".repeat(4));
    await expectReply(
      client,
      "*4\r\n+OK\r\n+PONG\r\n:2\r\n-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
    );

    expect(machine.requests.map(linesOf)).toEqual([["command", "SET a 1", "INCR a", "LPUSH a x"]]);
  });

  test("EXEC answers nil when a watched key was changed by another client", async () => {
    const { client, connect } = await open();
    const other = await connect();
    client.send("WATCH a b", "GET a");
    await expectReply(client, "+OK\r\n$-1\r\n");
    other.send("SET b 1");
    await expectReply(other, "+OK\r\n");

    client.send("MULTI", "SET a mine", "EXEC", "GET a");
    await expectReply(client, "+OK\r\n+QUEUED\r\n*-1\r\n$-1\r\n");
    // EXEC has forgotten the watch.
    client.send("MULTI", "SET a mine", "EXEC", "GET a");
    await expectReply(client, "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n$4\r\nmine\r\n");
  });

  test("WATCH behind a write in one pipeline watches what the write left", async () => {
    const { client, connect } = await open();
    const other = await connect();

    client.send("SET a 1", "WATCH a", "GET a");
    await expectReply(client, "+OK\r\n+OK\r\n$1\r\n1\r\n");
    client.send("MULTI", "INCR a", "EXEC");
    await expectReply(client, "+OK\r\n+QUEUED\r\n*1\r\n:2\r\n");
    client.send("SET a 1", "WATCH a", "SET a 2", "MULTI", "INCR a", "EXEC");
    await expectReply(client, "+OK\r\n+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n*-1\r\n");
    client.send("WATCH a", "UNWATCH");
    await expectReply(client, "+OK\r\n+OK\r\n");
    other.send("SET a 5");
    await expectReply(other, "+OK\r\n");
    client.send("MULTI", "INCR a", "EXEC");
    await expectReply(client, "+OK\r\n+QUEUED\r\n*1\r\n:6\r\n");
  });

  test("refuse what Redis refuses", async () => {
    const { client } = await open();

    client.send("EXEC", "DISCARD", "MULTI", "MULTI", "WATCH a", "DISCARD", "EXEC");
    await expectReply(client, "-ERR EXEC without MULTI\r\n-ERR DISCARD without MULTI\r\n+OK\r\n");
    await expectReply(
      client,
      "-ERR MULTI calls can not be nested\r\n-ERR WATCH inside MULTI is not allowed\r\n+OK\r\n",
    );
    await expectReply(client, "-ERR EXEC without MULTI\r\n");
    client.send("MULTI", "EXEC");
    await expectReply(client, "+OK\r\n*0\r\n");
  });

  test("that queue too much are discarded", async () => {
    const { client, machine } = await open({ queuedCountMax: 2 });

    client.send("MULTI", "SET a 1", "SET b 1", "SET c 1", "EXEC");
    await expectReply(client, "+OK\r\n+QUEUED\r\n+QUEUED\r\n-ERR the transaction is larger than 2 commands");
    expect(machine.requests).toEqual([]);
  });
});

describe("without an answer from the machine", () => {
  const outcomes: readonly (readonly [DoorOutcome, string])[] = [
    [{ status: "refused", refusal: { code: "NO_LEADER" } }, "-CLUSTERDOWN not executed: no leader is known\r\n"],
    [{ status: "refused", refusal: { code: "STOPPING" } }, "-CLUSTERDOWN not executed: this replica is stopping\r\n"],
    [
      { status: "refused", refusal: { code: "OVERLOADED", queued: 5, limit: 5 } },
      "-BUSY not executed: 5 requests wait and the limit is 5\r\n",
    ],
    [
      { status: "unknown", message: "no answer within 5 s" },
      "-UNKNOWN the command may or may not have been executed; no answer within 5 s\r\n",
    ],
  ];

  test.each(outcomes)("every command of the request is told: %j", async (outcome, text) => {
    const { machine, client } = await open();
    machine.answerWith(() => outcome);

    client.send("SET a 1", "SET b 1");
    await expectReply(client, text + text);
    client.send("MULTI", "SET a 1", "EXEC");
    await expectReply(client, "+OK\r\n+QUEUED\r\n" + text);
    machine.answerWith(undefined);
    client.send("EXISTS a b");
    await expectReply(client, ":0\r\n");
  });
});

describe("clients", () => {
  test("speak RESP3 after HELLO 3, and RESP2 again after RESET", async () => {
    const { client } = await open();

    client.send("GET a", "HELLO 3 SETNAME me", "GET a", "CLIENT GETNAME", "RESET", "GET a");
    await expectReply(
      client,
      "$-1\r\n%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n$5\r\nproto\r\n:3\r\n",
    );
    await expectReply(
      client,
      "$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n",
    );
    await expectReply(client, "_\r\n$2\r\nme\r\n+RESET\r\n$-1\r\n");
    client.send("HELLO 4", "HELLO x", "HELLO 2 FOO");
    await expectReply(client, "-NOPROTO unsupported protocol version\r\n");
    await expectReply(
      client,
      "-ERR Protocol version is not an integer or out of range\r\n-ERR Syntax error in HELLO option 'FOO'\r\n",
    );
  });

  test("are told what Redis tells about databases and passwords", async () => {
    const { client } = await open();

    client.send("SELECT 0", "SELECT 1", "SELECT x", "AUTH secret", "AUTH default any", "AUTH someone x");
    await expectReply(
      client,
      "+OK\r\n-ERR DB index is out of range\r\n-ERR value is not an integer or out of range\r\n",
    );
    await expectReply(
      client,
      "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n",
    );
    await expectReply(client, "+OK\r\n-WRONGPASS invalid username-password pair or user is disabled.\r\n");
  });

  test("may silence replies", async () => {
    const { client } = await open();

    client.send(
      "CLIENT REPLY OFF",
      "SET a 1",
      "GET a",
      "PING",
      "CLIENT REPLY ON",
      "CLIENT REPLY SKIP",
      "GET a",
      "INCR a",
    );
    await expectReply(client, "+OK\r\n:2\r\n");
  });

  test("that send what is no Redis protocol get the replies before it, the error, and the end", async () => {
    const { client, door } = await open();

    client.sendRaw(encodeCommand(["SET", "a", "1"]) + "*1\r\n!5\r\n" + encodeCommand(["SET", "a", "2"]));

    expect(await client.readToEnd()).toBe("+OK\r\n-ERR Protocol error: expected '$', got '!'\r\n");
    expect(door.counters().protocolErrors).toBe(1);
  });

  test("get all replies after QUIT or after closing their own side", async () => {
    const { client, connect } = await open();
    client.send("SET a 1", "GET a", "QUIT", "SET a 2");
    expect(await client.readToEnd()).toBe("+OK\r\n$1\r\n1\r\n+OK\r\n");

    const other = await connect();
    other.send("INCR a", "GET a");
    other.socket.end();
    expect(await other.readToEnd()).toBe(":2\r\n$1\r\n2\r\n");
  });

  test("beyond the limit are told so", async () => {
    const { connect, door } = await open({ connectionsMax: 1 });

    const second = await connect();

    expect(await second.readToEnd()).toBe("-ERR max number of clients reached\r\n");
    expect(door.counters().connectionsRefused).toBe(1);
  });

  test("that do not read their replies are not read from, and lose nothing", async () => {
    const { machine, client } = await open({ outputBytesMax: 100_000, backlogCountMax: 16 });
    const value = "x".repeat(50_000);
    client.send(`SET a ${value}`);
    await expectReply(client, "+OK\r\n");
    client.socket.pause();
    const count = 1000;

    client.sendRaw(encodeCommand(["GET", "a"]).repeat(count) + encodeCommand(["QUIT"]));
    await turns(300);
    // 50 MB of replies wait to be asked for; the operating system holds some of them.
    const asked = machine.requests.reduce((sum, request) => sum + linesOf(request).length - 1, 0);
    expect(asked).toBeLessThan(count / 2);

    client.socket.resume();
    const reply = `$${value.length}\r\n${value}\r\n`;
    expect((await client.readToEnd()) === `${reply.repeat(count)}+OK\r\n`).toBe(true);
  });

  test("may send any number of commands at once, silenced ones too", async () => {
    const { client } = await open({ backlogCountMax: 16 });

    client.sendRaw(encodeCommand(["PING"]).repeat(500) + encodeCommand(["INCR", "n"]).repeat(500));
    client.send("CLIENT REPLY OFF");
    client.sendRaw(encodeCommand(["INCR", "n"]).repeat(500));
    client.send("CLIENT REPLY ON", "GET n", "QUIT");

    const counts = Array.from({ length: 500 }, (_, at) => `:${at + 1}\r\n`).join("");
    expect(await client.readToEnd()).toBe(`${"+PONG\r\n".repeat(500)}${counts}+OK\r\n$4\r\n1000\r\n+OK\r\n`);
  });

  test("that stop in the middle of a command are closed when all of them hold too much", async () => {
    const { client, connect, door } = await open({ unfinishedBytesMax: 3_000 });
    client.sendRaw("*2\r\n$3\r\nGET\r\n$5000\r\n" + "x".repeat(2_000));
    await turns(20);
    const greedy = await connect();

    greedy.sendRaw("*2\r\n$3\r\nGET\r\n$5000\r\n" + "x".repeat(2_000));
    expect(await greedy.readToEnd()).toBe("");

    expect(door.counters().inputOverflows).toBe(1);
    client.sendRaw("x".repeat(900));
    await turns(20);
    expect(door.counters().connections).toBe(1);
  });

  test("learn about the replica from INFO", async () => {
    const { client } = await open();

    client.send("INFO", "QUIT");
    const text = await client.readToEnd();

    for (const line of [
      "redis_version:7.0.0",
      "loading:0",
      "role:master",
      "quorate_role:follower",
      "quorate_leader:b",
    ]) {
      expect(text).toContain(`${line}\r\n`);
    }
    expect(text).toContain("quorate_commit_index:9\r\nquorate_executed_index:8\r\n");
    expect(text).toContain("connected_clients:1\r\n");
  });
});

test("closing the door answers what was taken and takes nothing more", async () => {
  const { machine, client, door } = await open();
  machine.hold();
  client.send("SET a 1");
  await settled(machine, 1);

  const closed = door.close();
  client.send("SET a 2");
  machine.release();

  expect(await client.readToEnd()).toBe("+OK\r\n");
  await closed;
  expect(machine.requests.length).toBe(1);
});

/** Until the door has sent so many requests. */
async function settled(machine: MachineDoor, requests: number): Promise<void> {
  for (let turn = 0; machine.requests.length < requests; turn += 1) {
    if (turn > 100_000) throw new Error(`waited in vain for request ${requests}`);
    await turns(1);
  }
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
