/**
 * The client without sockets, promises and clocks: inputs in, messages and answers out.
 *
 * Owns: joining its parts. `routes.ts` chooses the replica, `command-side.ts` keeps the session and its commands, `query-side.ts`
 * the queries, `resolve-side.ts` the fates of unknown outcomes. Leaves to others: connections (`ClientLinks`), canonical form and
 * types of inputs and outputs, Promises (`node/create-client.ts`, `node/create-door.ts`), simulated ones (`sim/`).
 *
 * Every method is an input and takes the monotonic time of it. An input runs to its end before the next begins; at its end what may
 * be sent is sent, and then those are answered who wait. After an input the caller asks `wakeAt` and calls `tick` then.
 *
 *     call ──▶ window ──▶ one link ──▶ any replica ──▶ leader, order, execution
 *     answer ◀── reply ◀── the same link ◀── that replica's own execution
 */
import { utf8Length } from "../base/utf8.js";
import { randomStream } from "../base/random.js";
import { requestLimits } from "../model/request-limits.js";
import { keyOf, type ReplicaMessage } from "../model/request.js";
import { CommandSide } from "./command-side.js";
import { Desk, type ClientCounters } from "./desk.js";
import type { ClientLimits } from "./limits.js";
import type { ClientLinks } from "./links.js";
import type { AskRefusal, CommandAsk, QueryAsk } from "./outcome.js";
import { PendingQuery, QuerySide } from "./query-side.js";
import { PendingResolve, ResolveSide, type ResolveAsk } from "./resolve-side.js";
import { Routes, type Endpoint } from "./routes.js";
import { Votes, type VoteOutcome, type VotesParts, type VoteStatistics } from "./votes.js";
import { PendingCommand } from "./window.js";

export interface ClientCoreParts {
  /** Addresses of replicas, at least one. Any of them can serve everything. */
  readonly endpoints: readonly string[];
  readonly links: ClientLinks;
  readonly limits: ClientLimits;
  /** Of jitter and the first choice: another one for each client. */
  readonly seed: number;
  /** Who opens sessions, if the transport does not prove it. */
  readonly principal: string;
  /** A text that no other opening ever has. */
  readonly drawNonce: () => string;
  /** Default: the leader. With `any` it stays with whichever serves, and is told of leaders only for what it sends again. */
  readonly connectTo?: ConnectTo | undefined;
  /** If f + 1 replicas must say the same before an answer is believed. */
  readonly votes?: VotesParts | undefined;
}

/** Which replica a client talks to in the end. */
export type ConnectTo = "leader" | "any";

export interface ClientStatus {
  readonly phase: ClientPhase;
  /** The address sent to now. */
  readonly connectedTo: string | undefined;
  readonly session: number | undefined;
  readonly inFlight: number;
  readonly waiting: number;
  readonly queries: number;
  readonly endpoints: readonly {
    readonly address: string;
    readonly state: string;
    readonly lastCause: string | undefined;
  }[];
  readonly linkFailures: number;
  /** How often another replica was asked instead. */
  readonly moves: number;
  readonly counters: Readonly<ClientCounters>;
  /** With `faults: "value"`. */
  readonly votes: VoteStatistics | undefined;
}

/** `draining`: takes nothing new and ends what it has. `leaving`: the session's end is on its way. */
export type ClientPhase = "open" | "draining" | "leaving" | "closed";

export class ClientCore {
  readonly #limits: ClientLimits;
  readonly #desk: Desk;
  readonly #routes: Routes;
  readonly #commands: CommandSide;
  readonly #queries: QuerySide;
  readonly #resolves: ResolveSide;
  readonly #votes: Votes | undefined;
  readonly #connectTo: ConnectTo;
  #phase: ClientPhase = "open";
  /** No deadline is before this. */
  #nextDeadline = Infinity;
  /** The present replica has told who leads, or that nobody does. */
  #knowsLeader = false;
  /** Attempts in a row that nobody answered. */
  #stalls = 0;

  constructor({ endpoints, links, limits, seed, principal, drawNonce, connectTo, votes }: ClientCoreParts) {
    this.#limits = limits;
    this.#connectTo = connectTo ?? "leader";
    this.#votes = votes === undefined ? undefined : new Votes(votes, limits, randomStream(seed, "votes"));
    this.#routes = new Routes(endpoints, links, limits, randomStream(seed, "routes"));
    this.#desk = new Desk((message) => {
      const endpoint = this.#routes.ready;
      if (endpoint === undefined) return;
      links.send(endpoint.address, message);
      if (message.kind === "request") this.#votes?.asked(keyOf(message.request));
    });
    const desk = this.#desk;
    this.#queries = new QuerySide(desk, limits, randomStream(seed, "queries"));
    this.#resolves = new ResolveSide(desk, limits, randomStream(seed, "resolves"));
    const random = randomStream(seed, "commands");
    const mayBeDeceived = votes?.faults === "byzantine";
    const parts = { desk, limits, random, resolves: this.#resolves, principal, drawNonce, mayBeDeceived };
    this.#commands = new CommandSide(parts);
  }

  get phase(): ClientPhase {
    return this.#phase;
  }

  /** Opens the first link. */
  start(now: number): void {
    this.#endTurn(now);
  }

  command(ask: CommandAsk, now: number): PendingCommand {
    const command = new PendingCommand(ask, now);
    const refusal = this.#refusalFor(ask) ?? this.#commands.refusalFor(command.bytes);
    this.#desk.counters.commands += 1;
    if (refusal === undefined) {
      this.#commands.add(command);
      this.#noteDeadline(ask.deadline);
    } else {
      command.completion = undefined;
      command.stage = "done";
      this.#desk.answer(ask.completion, { status: "refused", refusal });
    }
    this.#endTurn(now);
    return command;
  }

  query(ask: QueryAsk, now: number): PendingQuery {
    const query = new PendingQuery(ask, now);
    const refusal = this.#refusalFor(ask) ?? this.#queryOverload();
    this.#desk.counters.queries += 1;
    this.#queries.add(query);
    if (refusal === undefined) this.#noteDeadline(ask.deadline);
    else this.#queries.refuse(query, refusal);
    this.#endTurn(now);
    return query;
  }

  resolve(ask: ResolveAsk, now: number): PendingResolve {
    const pending = new PendingResolve(ask, now);
    this.#resolves.add(pending);
    if (this.#phase === "open") this.#noteDeadline(ask.deadline);
    else this.#resolves.refuse(pending, { code: "CLOSED" });
    this.#endTurn(now);
    return pending;
  }

  /** The caller does not want to wait any longer. Does nothing to what is answered already. */
  cancel(pending: PendingCommand | PendingQuery | PendingResolve, now: number): void {
    const refusal = { code: "CANCELLED" } as const;
    if (pending instanceof PendingCommand) this.#commands.giveUp(pending, "cancelled", refusal);
    else if (pending instanceof PendingQuery) this.#queries.refuse(pending, refusal);
    else this.#resolves.refuse(pending, refusal);
    this.#endTurn(now);
  }

  linkReady(address: string, now: number): void {
    if (this.#routes.onReady(address) === "fresh") this.#loseTries(now);
    this.#endTurn(now);
  }

  linkClosed(address: string, cause: string, now: number): void {
    if (this.#routes.onClosed(address, cause, now) === "lost") this.#loseTries(now);
    this.#endTurn(now);
  }

  /** What the replica at this address says. */
  receive(address: string, message: ReplicaMessage, now: number): void {
    if (this.#routes.ready?.address !== address) {
      this.#desk.counters.lateAnswers += 1;
      return;
    }
    this.#onMessage(message, now);
    const complaint = this.#commands.takeComplaint();
    if (complaint !== undefined && this.#routes.hasOthers) this.#leave(complaint, now);
    this.#endTurn(now);
  }

  /** The link on which the replica at this address is asked for its votes. */
  voterReady(address: string, now: number): void {
    this.#votes?.onReady(address);
    this.#endTurn(now);
  }

  voterClosed(address: string, now: number): void {
    this.#votes?.onClosed(address, now);
    this.#endTurn(now);
  }

  /** What the replica at this address says there. */
  receiveVote(address: string, message: ReplicaMessage, now: number): void {
    if (this.#votes === undefined) return;
    if (message.kind === "vote") this.#onVoted(this.#votes.onVote(address, message), now);
    if (message.kind === "votes") for (const voted of this.#votes.onVotes(address, message)) this.#onVoted(voted, now);
    this.#endTurn(now);
  }

  tick(now: number): void {
    this.#routes.tick(now);
    if (now >= this.#nextDeadline) this.#expire(now);
    if (this.#routes.ready !== undefined) {
      const attemptMs = this.#attemptMs();
      const areQueriesStalled = this.#queries.dropStalled(now, attemptMs);
      const areResolvesStalled = this.#resolves.dropStalled(now, attemptMs);
      if (this.#commands.isStalled(now, attemptMs) || areQueriesStalled || areResolvesStalled) {
        this.#stalls += 1;
        this.#leave(`no answer within ${attemptMs} ms`, now);
      } else this.#commands.keepAlive(now);
    }
    this.#endTurn(now);
  }

  /** When `tick` is due; infinity if nothing waits for time. Earlier is harmless, later delays retries and time-outs. */
  wakeAt(): number {
    if (this.#phase === "closed") return Infinity;
    const earliest = Math.min(this.#nextDeadline, this.#routes.wakeAt(), this.#votes?.wakeAt() ?? Infinity);
    if (this.#routes.ready === undefined) return earliest;
    const attemptMs = this.#attemptMs();
    return Math.min(
      earliest,
      this.#commands.wakeAt(attemptMs),
      this.#queries.wakeAt(attemptMs),
      this.#resolves.wakeAt(attemptMs),
    );
  }

  /** Takes nothing new, ends what it has, ends its session, then is closed. */
  close(now: number): void {
    if (this.#phase === "open") this.#phase = "draining";
    this.#queries.refuseEvents({ code: "CLOSED" });
    this.#endTurn(now);
  }

  /** Is closed at once: whatever still waits is refused if that is certain, else unknown. */
  abort(now: number): void {
    if (this.#phase !== "closed") this.#phase = "leaving";
    this.#commands.giveUpAll("closed", { code: "CLOSED" });
    this.#queries.refuseAll({ code: "CLOSED" });
    this.#resolves.refuseAll({ code: "CLOSED" });
    this.#end();
    this.#endTurn(now);
  }

  status(): ClientStatus {
    const { session } = this.#commands;
    return {
      phase: this.#phase,
      connectedTo: this.#routes.ready?.address,
      session: session.kind === "open" ? session.id : undefined,
      inFlight: this.#commands.inFlight,
      waiting: this.#commands.waiting,
      queries: this.#queries.count,
      endpoints: this.#routes.endpoints.map(describeEndpoint),
      linkFailures: this.#routes.failures,
      moves: this.#routes.moves,
      counters: this.#desk.counters,
      votes: this.#votes?.statistics,
    };
  }

  #onMessage(message: ReplicaMessage, now: number): void {
    switch (message.kind) {
      case "reply": {
        const { key, reply, index } = message;
        return this.#onVoted(this.#votes?.onReply(key, reply, index) ?? message, now);
      }
      case "requestRefused":
        if (message.key.kind === "resolve" && !this.#commands.isInWindow(message.key)) {
          this.#desk.countRefusal(message.refusal.code);
          return this.#resolves.onRefused(message.key, message.refusal, now);
        }
        return this.#commands.onRefused(message.key, message.refusal, now);
      case "queryReply":
        this.#answered();
        this.#queries.onReply(message);
        return;
      case "queryRefused":
        this.#desk.countRefusal(message.refusal.code);
        if (this.#queries.onRefused(message.id, message.refusal, now) !== "elsewhere") return;
        if (this.#routes.hasOthers) this.#leave(`refused: ${message.refusal.code}`, now);
        return;
      case "leader":
        // The first one over a link tells who leads; every further one that this has changed.
        if (this.#knowsLeader) this.#commands.leaderChanged();
        this.#knowsLeader = true;
        if (message.address !== undefined && this.#connectTo === "leader") this.#routes.hint(message.address, now);
        return;
      case "vote":
      case "votes":
        this.#desk.counters.lateAnswers += 1;
    }
  }

  /** Only what enough replicas say is believed. Of one that is outvoted nothing is known but that another must be asked. */
  #onVoted(outcome: VoteOutcome, now: number): void {
    if (outcome === "waiting") return;
    if (outcome === "outvoted") {
      if (this.#routes.hasOthers) this.#leave("it answered something else than others", now);
      return;
    }
    const { key, reply, index } = outcome;
    this.#answered();
    if (key.kind === "close") return this.#onSessionClosed();
    if (key.kind === "resolve" && !this.#commands.isInWindow(key)) {
      return this.#resolves.onReply(key, reply, index, now);
    }
    return this.#commands.onReply(key, reply, index, now);
  }

  /** The replica is of use: its earlier failures are forgotten. */
  #answered(): void {
    this.#stalls = 0;
    this.#routes.proved();
  }

  /** The end of every input: sends, ends a close that can end, answers. */
  #endTurn(now: number): void {
    if (this.#phase !== "closed") {
      this.#routes.connect(now);
      this.#votes?.tick(now);
      if (this.#routes.ready !== undefined) {
        this.#commands.pump(now);
        this.#queries.pump(now);
        this.#resolves.pump(now, (token) => this.#commands.isInWindow(token));
      }
      if (this.#phase === "draining") this.#drain(now);
    }
    this.#desk.giveAnswers();
  }

  #drain(now: number): void {
    const count = this.#commands.inFlight + this.#commands.waiting + this.#queries.count + this.#resolves.count;
    if (count > 0) return;
    this.#phase = "leaving";
    const { session } = this.#commands;
    if (session.kind !== "open" || this.#routes.ready === undefined) return this.#end();
    this.#desk.send({ kind: "request", request: { kind: "close", session: session.id } });
    // The session expires by itself if nobody takes this.
    this.#noteDeadline(now + this.#limits.attemptMs);
  }

  #onSessionClosed(): void {
    if (this.#phase === "leaving") this.#end();
  }

  #end(): void {
    this.#phase = "closed";
    this.#routes.closeAll();
    this.#votes?.closeAll();
  }

  #expire(now: number): void {
    const refusalOf = (askedAt: number, last: AskRefusal | undefined): AskRefusal => this.#timeOut(now - askedAt, last);
    this.#nextDeadline = Math.min(
      this.#commands.expire(now, refusalOf),
      this.#queries.expire(now, refusalOf),
      this.#resolves.expire(now, refusalOf),
    );
    if (this.#phase === "leaving") this.#end();
  }

  /** The best reason there is: what replicas said, that there is none, or only that time is over. */
  #timeOut(waitedMs: number, last: AskRefusal | undefined): AskRefusal {
    if (last !== undefined) return last;
    if (this.#routes.ready !== undefined) return { code: "TIMED_OUT", waitedMs: Math.round(waitedMs) };
    return { code: "NOT_CONNECTED", message: this.describeEndpoints() };
  }

  /** Each endpoint and why it does not serve, for people. */
  describeEndpoints(): string {
    return this.#routes.endpoints
      .map(
        ({ address, state, lastCause }) =>
          `${address} (${lastCause ?? (state === "opening" ? "no answer yet" : "not tried")})`,
      )
      .join(", ");
  }

  #leave(cause: string, now: number): void {
    this.#routes.leave(cause, now);
    this.#loseTries(now);
  }

  #loseTries(now: number): void {
    this.#knowsLeader = false;
    this.#commands.loseTries(now);
    this.#queries.loseTries();
    this.#resolves.loseTries();
  }

  #attemptMs(): number {
    return Math.min(this.#limits.attemptMsMax, this.#limits.attemptMs * 2 ** Math.min(this.#stalls, 30));
  }

  #noteDeadline(deadline: number): void {
    if (deadline < this.#nextDeadline) this.#nextDeadline = deadline;
  }

  #refusalFor({ name, input }: { readonly name: string; readonly input: Uint8Array }): AskRefusal | undefined {
    if (this.#phase !== "open") return { code: "CLOSED" };
    if (utf8Length(name) > requestLimits.nameBytesMax) return { code: "UNKNOWN_COMMAND", name };
    if (input.length <= this.#limits.inputBytesMax) return undefined;
    return { code: "TOO_LARGE", bytes: input.length, limit: this.#limits.inputBytesMax };
  }

  #queryOverload(): AskRefusal | undefined {
    if (this.#queries.count < this.#limits.queriesMax) return undefined;
    return { code: "OVERLOADED", queued: this.#queries.count, limit: this.#limits.queriesMax };
  }
}

function describeEndpoint({ address, state, lastCause }: Readonly<Endpoint>): ClientStatus["endpoints"][number] {
  return { address, state, lastCause };
}
