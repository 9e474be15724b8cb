/** Numbers, the ring and the line. */
import { describe, expect, test } from "vitest";

import { defaultClientLimits, type ClientLimits } from "../../../src/client/limits.js";
import { PendingCommand, Window } from "../../../src/client/window.js";
import { firstRequest } from "../../../src/model/ids.js";

function command(name = "c", bytes = 10): PendingCommand {
  const ask = {
    name,
    input: new Uint8Array(bytes),
    idempotency: undefined,
    deadline: 0,
    completion: { settle: () => {} },
  };
  return new PendingCommand(ask, 0);
}

function windowOf(limits: Partial<ClientLimits>): Window {
  return new Window({ ...defaultClientLimits, ...limits });
}

/** Takes all that may be sent, as sent. */
function takeAll(window: Window): PendingCommand[] {
  const taken: PendingCommand[] = [];
  for (let next = window.takeToSend(); next !== undefined; next = window.takeToSend()) {
    next.copies += 1;
    taken.push(next);
  }
  return taken;
}

describe("numbers", () => {
  test("are given in the order of the calls, when a command is first sent and not before (A2)", () => {
    const window = windowOf({ inFlightMax: 2 });
    const commands = [command(), command(), command()];
    commands.forEach((each) => window.enqueue(each));

    takeAll(window);

    expect(commands.map(({ number }) => number)).toEqual([1, 2, undefined]);
    expect(commands.map(({ stage }) => stage)).toEqual(["sent", "sent", "waiting"]);
  });

  test("are not given to what was given up while it waited", () => {
    const window = windowOf({});
    const [first, second] = [command("first"), command("second")];
    window.enqueue(first);
    window.enqueue(second);
    window.abandonWaiting(first);

    expect(takeAll(window)).toEqual([second]);
    expect(second.number).toBe(1);
  });

  test("settled out of order move the lowest only when nothing below is open (A1)", () => {
    const window = windowOf({ inFlightMax: 4 });
    const commands = [command(), command(), command()];
    commands.forEach((each) => window.enqueue(each));
    takeAll(window);

    window.finish(commands[1] ?? command());
    const between = window.lowest;
    window.finish(commands[0] ?? command());

    expect(between).toBe(1);
    expect(window.lowest).toBe(3);
    expect(window.inFlight).toBe(1);
  });

  test("go round the ring many times without mixing commands", () => {
    const window = windowOf({ inFlightMax: 5 });
    for (let round = 0; round < 200; round += 1) {
      const commands = [command(), command(), command()];
      commands.forEach((each) => window.enqueue(each));
      expect(takeAll(window)).toEqual(commands);
      for (const each of commands) {
        expect(window.at(each.number ?? 0)).toBe(each);
        window.finish(each);
      }
    }
    expect(window.lowest).toBe(601);
    expect(window.at(600)).toBeUndefined();
    expect(window.at(601)).toBeUndefined();
  });
});

describe("after the loss of a link", () => {
  test("everything unsettled is sent again in order, and is in doubt", () => {
    const window = windowOf({});
    const commands = [command(), command(), command()];
    commands.forEach((each) => window.enqueue(each));
    takeAll(window);
    window.finish(commands[1] ?? command());

    window.loseAllCopies();

    expect(takeAll(window)).toEqual([commands[0], commands[2]]);
    expect([commands[0]?.doubtful, commands[2]?.doubtful]).toEqual([true, true]);
  });

  test("what waits is sent only after what is sent again (A3)", () => {
    const window = windowOf({ inFlightMax: 2 });
    const commands = [command(), command(), command()];
    commands.forEach((each) => window.enqueue(each));
    takeAll(window);
    window.loseAllCopies();
    window.finish(commands[0] ?? command());

    expect(takeAll(window)).toEqual([commands[1], commands[2]]);
  });
});

describe("going back", () => {
  test("sends again what was refused and leaves alone what is on its way", () => {
    const window = windowOf({});
    const commands = [command(), command(), command()];
    commands.forEach((each) => window.enqueue(each));
    takeAll(window);
    const refused = commands[1];
    if (refused === undefined) throw new Error("there are three");
    refused.copies = 0;

    window.goBackTo(firstRequest);

    expect(takeAll(window)).toEqual([refused]);
  });
});

describe("the line", () => {
  test("counts bytes, and forgets those of what left it", () => {
    const window = windowOf({ waitingBytesMax: 30 });
    const [first, second] = [command("c", 10), command("c", 10)];
    window.enqueue(first);
    window.enqueue(second);
    const full = window.refusalFor(11);

    window.abandonWaiting(first);

    expect(full).toEqual({ code: "OVERLOADED", queued: 22, limit: 30 });
    expect(window.refusalFor(11)).toBeUndefined();
    expect(window.waiting).toBe(1);
  });

  test("stays in order when many leave it from the middle", () => {
    const window = windowOf({ inFlightMax: 1_000 });
    const commands = Array.from({ length: 500 }, (_unused, at) => command(`c${at}`));
    commands.forEach((each) => window.enqueue(each));
    commands.filter((_each, at) => at % 3 !== 0).forEach((each) => window.abandonWaiting(each));

    const taken = takeAll(window).map(({ ask }) => ask.name);

    expect(taken).toEqual(commands.filter((_each, at) => at % 3 === 0).map(({ ask }) => ask.name));
    expect(window.waiting).toBe(0);
  });
});
