/** `connect` over real sockets: types, errors, time-outs, cancellation, closing. The group behind them is driven by hand. */
import { afterEach, describe, expect, test } from "vitest";

import type { Batch, Command, LowLevelMachine, Outcome } from "../../src/api/low-level.js";
import type { Machine } from "../../src/api/machine.js";
import { rejected } from "../../src/api/rejected.js";
import {
  CannotConnect,
  CommandFailed,
  CommandRejected,
  connect,
  InvalidInput,
  OutcomeUnknown,
  RequestRefused,
  type ConnectedClient,
} from "../../src/node/create-client.js";
import { decodeValue, encodeValue } from "../../src/wire/canonical.js";
import { startFakeServers, type FakeServers } from "../../test-support/fake-servers.js";

const commands = {
  add: (_state: object, amount: number) => amount,
  no: (_state: object, input: { readonly why: string }) => rejected("tooBad", { why: input.why }),
  explode: (_state: object) => 1,
};
const queries = { total: (_state: object) => 0 };
type Adder = Machine<typeof commands, typeof queries>;

/** By hand, so that this test needs no collections. `add` refuses negative amounts before they are ordered. */
function createAdder(name = "adder"): Adder {
  let total = 0;
  const run = ({ name: command, input }: Command): Outcome => {
    const value = decodeValue(input);
    if (command === "explode") return { status: "failed", message: "boom" };
    if (command === "no") return { status: "rejected", code: "tooBad", data: encodeValue(value) };
    total += value as number;
    return { status: "ok", output: encodeValue(total) };
  };
  const machine: LowLevelMachine = {
    name,
    version: 1,
    commandNames: ["add", "explode", "no", "then"],
    queryNames: ["total"],
    admit: (command, input) =>
      command === "add" && (decodeValue(input) as number) < 0
        ? { status: "invalid", message: "it must not be negative" }
        : { status: "admitted", input },
    open: () => ({
      apply: (batch: Batch) => batch.commands.map(run),
      query: () => ({ status: "ok", output: encodeValue(total) }),
      fork: () => ({ chunks: () => [], digest: () => new Uint8Array(32), release: () => {} }),
      install: () => {},
      digest: () => new Uint8Array(32),
      dueAt: () => undefined,
    }),
  };
  return machine;
}

const servers: FakeServers[] = [];
const clients: { $close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) await client.$close();
  for (const server of servers.splice(0)) server.stop();
});

async function serve(clusterIds = ["c", "c", "c"]): Promise<FakeServers> {
  const started = await startFakeServers(createAdder(), clusterIds);
  servers.push(started);
  return started;
}

async function connectTo(endpoints: readonly string[]): Promise<ConnectedClient<Adder>> {
  const client = await connect(createAdder(), { endpoints, timeoutMs: 5_000 });
  clients.push(client);
  return client;
}

describe("a connected client", () => {
  test("asks commands and queries by their names, in the order of the calls", async () => {
    const { addresses } = await serve();
    const client = await connectTo(addresses);

    const totals = await Promise.all([client.add(1), client.add(2), client.add(3)]);
    const read = await client.total();

    expect(totals).toEqual([1, 3, 6]);
    expect(read).toBe(6);
  });

  test("throws each kind of end as an error of its own, and returns it from $try", async () => {
    const { addresses } = await serve();
    const client = await connectTo(addresses);

    await expect(client.no({ why: "x" })).rejects.toMatchObject({ code: "tooBad", data: { why: "x" } });
    await expect(client.no({ why: "x" })).rejects.toBeInstanceOf(CommandRejected);
    await expect(client.explode()).rejects.toBeInstanceOf(CommandFailed);
    await expect(client.add(-1)).rejects.toBeInstanceOf(InvalidInput);
    await expect(client.add(Number.NaN)).rejects.toBeInstanceOf(InvalidInput);
    expect(await client.$try.no({ why: "x" })).toMatchObject({
      status: "rejected",
      code: "tooBad",
      data: { why: "x" },
    });
    expect(await client.$try.explode()).toMatchObject({ status: "failed", message: "boom" });
    expect(await client.$try.add(-1)).toMatchObject({ status: "refused", code: "INVALID_INPUT" });
    expect(await client.$try.add(4)).toMatchObject({ status: "ok", output: 4 });
  });

  test("tells the position that an answer reflects", async () => {
    const { addresses } = await serve();
    const client = await connectTo(addresses);
    const first = await client.$detail.add(1);
    const second = await client.$detail.total();

    expect(first).toMatchObject({ output: 1, ageMs: 0 });
    expect(second.index).toBeGreaterThanOrEqual(first.index);
  });

  test("asks for a level of reads by call or for all calls, and refuses one that means nothing", async () => {
    const { addresses } = await serve();
    const client = await connect(createAdder(), { endpoints: addresses, read: { maxStalenessMs: 500 } });
    clients.push(client);

    expect(await client.total()).toBe(0);
    expect(await client.total(undefined, { read: "local" })).toBe(0);
    expect(await client.$detail.total(undefined, { read: { atLeast: 0 } })).toMatchObject({ output: 0, ageMs: 0 });
    await expect(client.total(undefined, { read: { atLeast: -1 } })).rejects.toBeInstanceOf(InvalidInput);
    expect(await client.$try.total(undefined, { read: { maxStalenessMs: Number.NaN } })).toMatchObject({
      status: "refused",
      code: "INVALID_INPUT",
    });
  });

  test("is not taken for a promise, whatever the machine's commands are called", async () => {
    const { addresses } = await serve();
    const client = await connectTo(addresses);

    expect("then" in client).toBe(false);
    expect(await Promise.resolve(client)).toBe(client);
    expect(Object.isFrozen(client)).toBe(true);
  });

  test("answers unknown at the time-out of what was sent, and settles it by its token (C4)", async () => {
    const { addresses, group } = await serve();
    const client = await connectTo(addresses);
    await client.add(1);
    group.isHeld = true;

    const unknown = await client.add(10, { timeoutMs: 50 }).catch((error: unknown) => error);
    if (!(unknown instanceof OutcomeUnknown)) throw new Error("it should be unknown");
    group.isHeld = false;
    group.execute();
    const resolved = await client.$resolve(unknown.token);

    expect(resolved).toMatchObject({ status: "executed", outcome: { status: "ok", output: 11 } });
  });

  test("stops waiting when its signal says so", async () => {
    const { addresses, group } = await serve();
    const client = await connectTo(addresses);
    await client.add(1);
    group.isHeld = true;
    const controller = new AbortController();

    const asked = client.$try.add(1, { signal: controller.signal });
    controller.abort();
    const early = await client.$try.total(undefined, { signal: AbortSignal.abort() });

    group.isHeld = false;
    group.execute();

    expect(await asked).toMatchObject({ status: "unknown", reason: "cancelled" });
    expect(early).toMatchObject({ status: "refused", code: "CANCELLED" });
  });

  test("goes on at another replica when its own is gone", async () => {
    const { addresses, group } = await serve();
    const client = await connectTo(addresses);
    await client.add(1);

    group.crash(client.$status().connectedTo ?? "");
    group.lead(addresses.find((address) => group.isUp(address)));

    expect(await client.add(1)).toBe(2);
  });

  test("ends what is in flight when it is closed, then its session, and takes nothing new", async () => {
    const { addresses, group } = await serve();
    const client = await connectTo(addresses);

    const last = client.add(5);
    const closed = client.$close();
    await expect(client.add(1)).rejects.toMatchObject({ code: "CLOSED" });
    await closed;

    expect(await last).toBe(5);
    expect(group.executor.sessions.count).toBe(0);
    await expect(client.total()).rejects.toBeInstanceOf(RequestRefused);
  });
});

describe("connecting", () => {
  test("fails in time with each endpoint and its cause", async () => {
    const started = await startFakeServers(createAdder(), ["c"]);
    started.stop();

    const error = await connect(createAdder(), { endpoints: started.addresses, connectTimeoutMs: 200 }).catch(
      (cause: unknown) => cause,
    );

    expect(error).toBeInstanceOf(CannotConnect);
    expect(error).toMatchObject({ code: "NOT_CONNECTED" });
    expect(String(error)).toContain(`${started.addresses[0]} (connect ECONNREFUSED`);
  });

  test("to replicas of another machine fails at once and says so", async () => {
    const { addresses } = await serve();

    const error = await connect(createAdder("subtracter"), { endpoints: addresses }).catch((cause: unknown) => cause);

    expect(error).toMatchObject({ code: "WRONG_CLUSTER" });
    expect(String(error)).toContain("subtracter");
  });

  test("never mixes two clusters, whose sessions have the same numbers (C7)", async () => {
    const { addresses, group } = await serve(["one", "two"]);
    const client = await connectTo(addresses);
    const first = client.$status().connectedTo ?? "";
    await client.add(1);

    group.crash(first);
    group.lead(addresses.find((address) => address !== first));
    const asked = await client.$try.total(undefined, { timeoutMs: 300 });

    expect(asked).toMatchObject({ status: "refused", code: "NOT_CONNECTED" });
    expect(JSON.stringify(client.$status().endpoints)).toContain("cluster");
  });

  test("is given up when its signal says so", async () => {
    const controller = new AbortController();
    const connecting = connect(createAdder(), { endpoints: ["127.0.0.1:1"], signal: controller.signal });
    controller.abort();

    await expect(connecting).rejects.toMatchObject({ code: "CANCELLED" });
  });

  test("refuses options that mean nothing", async () => {
    await expect(connect(createAdder(), { endpoints: [] })).rejects.toMatchObject({ code: "INVALID_OPTIONS" });
    await expect(connect(createAdder(), { endpoints: ["nowhere"] })).rejects.toThrow("it is not host:port");
    await expect(connect(createAdder(), { endpoints: ["a:1"], read: { atLeast: 0.5 } })).rejects.toThrow("index 0.5");
    await expect(connect(createAdder(), { endpoints: ["a:1"], limits: { inFlightMax: 0 } })).rejects.toThrow(
      "inFlightMax",
    );
  });
});
