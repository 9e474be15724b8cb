/**
 * One replica of the key-value service as a process, with limits that `quorate start` does not take; started by `cluster.mjs`.
 *
 * The parent asks over the channel and is answered by the number of its question. A replica whose parent is gone ends at once.
 */
const built = (path) => import(new URL(`../../dist/${path}`, import.meta.url).href);
const { startReplica, CannotStart } = await import("quorate/server");
const { kv } = await import("quorate/services/kv");
const { defaultLimits } = await built("api/config.js");
const { watchEventLoop } = await built("node/event-loop.js");
const { flipBit } = await built("sim/memory-faults.js");
const { Draw } = await built("sim/draw.js");
const { randomStream } = await built("base/random.js");
const { startRespDoor } = await built("server/resp/listener.js");

process.on("disconnect", () => process.exit(0));

const { limits: given, redis, ...options } = JSON.parse(process.argv[2] ?? "{}");
const limits = { ...defaultLimits };
for (const [section, values] of Object.entries(given)) limits[section] = { ...limits[section], ...values };

const tell = (message) => {
  if (process.connected) process.send(message, undefined, undefined, () => undefined);
};

const eventLoop = watchEventLoop();
/** The one that executes: another after a rebuild. */
let instance;
const machine = { ...kv, open: (environment) => (instance = kv.open(environment)) };
const replica = await startReplica(machine, {
  ...options,
  limits,
  onRole: ({ role, term, leader }) => tell({ event: "role", role, term, leader }),
  onBroken: (reason) => {
    tell({ event: "broken", reason });
    process.exit(70);
  },
}).catch((cause) => {
  if (!(cause instanceof CannotStart)) throw cause;
  tell({ event: "refused", code: cause.code, message: cause.message });
  process.exit(2);
});
const [host, port] = redis.split(":");
const redisLimits = { connectionsMax: limits.transport.clientConnectionsMax };
await startRespDoor({
  host,
  port: Number(port),
  door: replica.openDoor("redis"),
  limits: redisLimits,
  info: () => replica.status(),
});
tell({ event: "listening" });

const answers = {
  status: () => ({
    ...replica.status(),
    eventLoop: eventLoop.report(),
    memory: { ...process.memoryUsage(), rssMost: process.resourceUsage().maxRSS * 1024 },
  }),
  resetTurns: () => eventLoop.reset(),
  /** A bit of its memory, as bad memory would: behind everything that the product does to write there. */
  flip: ({ target, seed }) =>
    flipBit({ audited: { machine: instance } }, target, new Draw(randomStream(seed, "flip"))) ?? "nothing",
  checkpoint: () => replica.checkpoint(),
  transfer: (to) => replica.transferLeadership(to),
  add: (member) => replica.members.add(member),
  remove: (id) => replica.members.remove(id),
  replace: (member) => replica.members.replace(member),
};

process.on("message", ({ number, ask, input }) => {
  Promise.resolve()
    .then(() => answers[ask](input))
    .then(
      (output) => tell({ number, output }),
      (cause) => tell({ number, refused: cause.code ?? String(cause) }),
    );
});
