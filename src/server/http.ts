/**
 * A replica's HTTP: health, metrics, status, commands, queries and events.
 *
 * Owns: routes, the checks of who asks, opening and closing of the server. Leaves to others: the calls (`http-calls.ts`), metrics
 * (`metrics.ts`). Nobody is authenticated, so a web page must not be able to use a visitor's loopback (threat 14): requests that a
 * browser sent from another origin, or under a name that is not ours, are refused.
 */
import type { Server } from "node:http";
import { createAdaptorServer } from "@hono/node-server";
import { Hono, type Context } from "hono";
import type { ReplicaStatus } from "../api/replica.js";
import { formatAddress, isLoopback, parseAddress } from "../node/network.js";
import type { EventLoopReport } from "../node/event-loop.js";
import { refusedAnswer, type HttpAnswer } from "./http-answers.js";
import type { HttpAudit } from "./http-audit.js";
import type { HttpCalls } from "./http-calls.js";
import type { HttpEvents } from "./http-events.js";
import type { HttpOperator } from "./http-operator.js";
import type { Metrics } from "./metrics.js";

/** What `/v1/status` answers: the replica's status, and what the process knows. */
export interface ProcessStatus extends ReplicaStatus {
  readonly pid: number;
  readonly addresses: {
    readonly peer: string;
    readonly client: string;
    readonly http: string | undefined;
    readonly redis: string | undefined;
  };
  readonly eventLoop: EventLoopReport;
  /** Of the thread of the ordering engine, if that has one of its own. */
  readonly engineEventLoop: EventLoopReport | undefined;
}

export interface HttpParts {
  readonly calls: HttpCalls;
  readonly events: HttpEvents;
  readonly operator: HttpOperator;
  readonly audit: HttpAudit;
  readonly metrics: Metrics;
  readonly status: () => ProcessStatus;
  readonly resetEventLoop: () => void;
  readonly answered: (status: number, asked: string) => void;
  readonly failed: (cause: unknown) => void;
  /** Whether the Host header must name the loopback interface. */
  readonly loopbackOnly: boolean;
}

export interface HttpDoor {
  /** `host:port` as bound. */
  readonly address: string;
  /** Takes no new connection, waits for the calls in progress up to `drainMsMax`, then breaks what is left. */
  close(drainMsMax: number): Promise<void>;
}

export function makeHttpApp(parts: HttpParts): Hono {
  const app = new Hono();
  app.use(async (context, next) => {
    const refusal = refuseForeign(context, parts.loopbackOnly);
    if (refusal === undefined) await next();
    const response = refusal === undefined ? context.res : reply(context, refusal);
    parts.answered(response.status, `${context.req.method} ${context.req.path}`);
    return response;
  });
  addHealth(app, parts);
  app.get("/metrics", async (context) =>
    context.text(await parts.metrics.render(), 200, { "Content-Type": parts.metrics.contentType }),
  );
  app.get("/v1/status", (context) =>
    context.body(`${JSON.stringify(parts.status())}\n`, 200, { "Content-Type": "application/json" }),
  );
  app.post("/v1/commands/:name", async (context) =>
    reply(context, await parts.calls.command(context.req.param("name"), context.req.raw)),
  );
  app.post("/v1/queries/:name", async (context) =>
    reply(context, await parts.calls.query(context.req.param("name"), context.req.raw)),
  );
  app.get("/v1/events/:name", (context) => {
    const opened = parts.events.open(context.req.param("name"), context.req.raw);
    return opened instanceof Response ? opened : reply(context, opened);
  });
  app.post("/v1/checkpoint", async (context) => reply(context, await parts.operator.checkpoint(context.req.raw)));
  app.get("/v1/snapshot", (context) => {
    const snapshot = parts.operator.snapshot();
    return snapshot instanceof Response ? snapshot : reply(context, snapshot);
  });
  app.get("/v1/audit/finding", (context) => reply(context, parts.audit.finding()));
  app.get("/v1/audit/sums", async (context) => reply(context, await parts.audit.sums()));
  app.get("/v1/audit/entries", async (context) =>
    reply(context, await parts.audit.entries(context.req.queries("bucket") ?? [])),
  );
  app.get("/v1/audit/state", (context) => {
    const state = parts.audit.state();
    return state instanceof Response ? state : reply(context, state);
  });
  app.post("/v1/transfer", async (context) => reply(context, await parts.operator.transfer(context.req.raw)));
  app.post("/v1/members/:verb", async (context) =>
    reply(context, await parts.operator.member(context.req.param("verb"), context.req.raw)),
  );
  app.post("/debug/event-loop/reset", (context) => {
    parts.resetEventLoop();
    return context.body(null, 204);
  });
  app.get("/", (context) => context.text(index));
  app.notFound((context) => reply(context, refusedAnswer(404, "NOT_FOUND", whyNotServed(context.req))));
  app.onError((cause, context) => {
    parts.failed(cause);
    return reply(context, {
      status: 500,
      body: { failed: "an unexpected error in this replica's HTTP; its log says more" },
      headers: {},
    });
  });
  return app;
}

function whyNotServed({ method, path }: { readonly method: string; readonly path: string }): string {
  const shown = path.slice(0, 200);
  return method !== "POST" && /^\/v1\/(?:(?:commands|queries)\/[^/]+|checkpoint|transfer|members\/[^/]+)$/.test(path)
    ? `Cannot answer ${method} ${shown}: it is asked by POST, with the input as JSON in the body`
    : `Nothing is served at ${shown}; see GET /`;
}

const index = `This is a replica of a quorate cluster.

GET  /livez                  200 while the process serves
GET  /readyz?verbose         200 while it executes what it must and can reach a leader
GET  /metrics                Prometheus text
GET  /v1/status              JSON
POST /v1/commands/<name>     JSON in, {"output": …, "index": …} out; Idempotency-Key makes retries safe
POST /v1/queries/<name>      JSON in, {"output": …, "index": …} out
GET  /v1/events/<name>       server-sent events; ?after=<id> or Last-Event-ID resumes
POST /v1/checkpoint          takes a checkpoint now, on every replica
GET  /v1/snapshot            the newest certified checkpoint, as quorate snapshot reads it
GET  /v1/audit/finding       what was kept when replicas were found to differ, as quorate audit reads it
POST /v1/transfer            {"to": "b"} or nothing in; leadership is handed over
POST /v1/members/<verb>      add, promote, remove or replace {"id": "d", …}; change {"add": […], "remove": ["a"], …}
`;

function addHealth(app: Hono, parts: HttpParts): void {
  app.get("/livez", (context) => {
    const { broken } = parts.status();
    return broken === undefined ? context.text("ok\n") : context.text(`broken: ${broken}\n`, 503);
  });
  app.get("/readyz", (context) => {
    const { ready, checks } = parts.status();
    const code = ready ? 200 : 503;
    if (context.req.query("verbose") === undefined) return context.text(ready ? "ok\n" : "not ready\n", code);
    const lines = Object.entries(checks).map(
      ([name, good]) => `[${good ? "+" : "-"}]${name} ${good ? "ok" : "failed"}`,
    );
    return context.text([...lines, ready ? "ready" : "not ready", ""].join("\n"), code);
  });
}

function reply(context: Context, { status, body, headers }: HttpAnswer): Response {
  // The line's end is for people with curl.
  return context.body(`${JSON.stringify(body)}\n`, status, { ...headers, "Content-Type": "application/json" });
}

/** Programs send neither `Origin` nor `Sec-Fetch-Site`; a browser always tells that another site asks. */
function refuseForeign(context: Context, loopbackOnly: boolean): HttpAnswer | undefined {
  const site = context.req.header("Sec-Fetch-Site");
  const isForeign =
    site === undefined ? context.req.header("Origin") !== undefined : site !== "same-origin" && site !== "none";
  if (isForeign) return refusedAnswer(403, "FOREIGN_ORIGIN", "Cannot answer a web page of another origin");
  const host = context.req.header("Host") ?? "";
  if (
    loopbackOnly &&
    !isLoopback(
      host
        .replace(/:\d+$/, "")
        .replace(/^\[|\]$/g, "")
        .toLowerCase(),
    )
  ) {
    return refusedAnswer(
      403,
      "FOREIGN_HOST",
      "Cannot answer under this Host name: this replica listens on loopback only",
    );
  }
  return undefined;
}

/** More are closed as they come. */
const connectionsMax = 4096;

/** Rejects with the system's error if the address cannot be listened on. */
export async function startHttpDoor(app: Hono, address: string): Promise<HttpDoor> {
  const { host, port } = parseAddress(address);
  const server = createAdaptorServer({
    fetch: app.fetch,
    hostname: host,
    serverOptions: {
      requestTimeout: 30_000,
      headersTimeout: 10_000,
      keepAliveTimeout: 5_000,
      connectionsCheckingInterval: 5_000,
    },
  }) as Server;
  server.maxConnections = connectionsMax;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const bound = server.address();
  const boundPort = typeof bound === "object" && bound !== null ? bound.port : port;
  return { address: formatAddress(host, boundPort), close: (drainMsMax) => closeServer(server, drainMsMax) };
}

async function closeServer(server: Server, drainMsMax: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), drainMsMax);
  await closed;
  clearTimeout(timer);
}
