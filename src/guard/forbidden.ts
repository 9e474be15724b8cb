/**
 * What a machine's code may not use, and what to use instead.
 *
 * Owns: the list. By name alone, as the platform's types are unknown here; a name that a platform does not have is skipped. Read by
 * `install.ts`.
 *
 * Not on it, since nothing can catch it in a running program: promises, the operator `**`, variables outside of the machine, the
 * order in which JavaScript's own maps were filled. The shipped lint configuration names these in the source, and `checkDeterminism`
 * by their effects.
 */

/** Things that are forbidden for one reason. */
export interface Family {
  readonly reason: string;
  readonly instead: string;
  /** Paths from the global object. The last step may be inherited. */
  readonly names: readonly string[];
}

const outside = "what it does or gives is not the same on every replica";
const givenAsInput = "Let the client do it, and pass what came of it in the command's input";

export const clock: Family = {
  reason: "replicas execute at different times",
  instead: "Use context.now, the agreed time",
  names: [
    "Date.now",
    "performance.now",
    "performance.timeOrigin",
    "performance.mark",
    "performance.measure",
    "performance.toJSON",
    "performance.eventLoopUtilization",
    "process.hrtime",
    "process.hrtime.bigint",
    "process.uptime",
    "Temporal.Now.instant",
    "Temporal.Now.timeZoneId",
    "Temporal.Now.zonedDateTimeISO",
    "Temporal.Now.plainDateTimeISO",
    "Temporal.Now.plainDateISO",
    "Temporal.Now.plainTimeISO",
  ],
};

const randomness: Family = {
  reason: "each replica draws for itself",
  instead: "Use context.random() or context.uuid(), which are equal on every replica",
  names: ["Math.random", "crypto.getRandomValues", "crypto.randomUUID"],
};

const timers: Family = {
  reason: "it would run after the end of the command, and not at the same position on every replica",
  instead: "Declare a timer and set it by context.timers",
  names: [
    "setTimeout",
    "setInterval",
    "setImmediate",
    "queueMicrotask",
    "requestAnimationFrame",
    "requestIdleCallback",
    "process.nextTick",
    "AbortSignal.timeout",
    "Atomics.waitAsync",
  ],
};

/** Of dates. */
export const localTime: Family = {
  reason: "it goes by the time zone of the replica",
  instead: "Use milliseconds or the UTC methods, such as getUTCHours and toISOString",
  names: [
    ...["getFullYear", "getMonth", "getDate", "getDay", "getHours", "getMinutes", "getSeconds", "getMilliseconds"],
    ...["setFullYear", "setMonth", "setDate", "setHours", "setMinutes", "setSeconds", "setMilliseconds"],
    ...["getYear", "setYear", "getTimezoneOffset", "toString", "toDateString", "toTimeString"],
  ].map((method) => `Date.prototype.${method}`),
};

const locale: Family = {
  reason: "it goes by the locale of the replica and by its version of the language data",
  instead: "Compare with < and >, and let clients format",
  names: [
    "Date.prototype.toLocaleString",
    "Date.prototype.toLocaleDateString",
    "Date.prototype.toLocaleTimeString",
    "Number.prototype.toLocaleString",
    "BigInt.prototype.toLocaleString",
    "Array.prototype.toLocaleString",
    "Uint8Array.prototype.toLocaleString",
    "String.prototype.localeCompare",
    "String.prototype.toLocaleLowerCase",
    "String.prototype.toLocaleUpperCase",
    ...[
      "Collator",
      "DateTimeFormat",
      "DisplayNames",
      "DurationFormat",
      "ListFormat",
      "Locale",
      "NumberFormat",
      "PluralRules",
      "RelativeTimeFormat",
      "Segmenter",
      "getCanonicalLocales",
      "supportedValuesOf",
    ].map((part) => `Intl.${part}`),
  ],
};

/** JavaScript leaves their last digits to the engine. `sqrt` is exact wherever there are IEEE 754 numbers. */
export const approximations: Family = {
  reason: "its last digits differ between versions of JavaScript engines",
  instead: "Use whole numbers, or let the client compute it and pass it in the command's input",
  names: [
    ...["sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"],
    ...["exp", "expm1", "log", "log1p", "log2", "log10", "cbrt", "hypot"],
  ].map((method) => `Math.${method}`),
};

const memory: Family = {
  reason: "every replica collects garbage when it likes to",
  instead: "Keep what is needed in the state",
  names: [
    "WeakRef",
    "WeakRef.prototype.deref",
    "FinalizationRegistry",
    "FinalizationRegistry.prototype.register",
    "gc",
  ],
};

const environment: Family = {
  reason: outside,
  instead: "Keep such settings in the state, and set them by a command",
  names: [
    ...["env", "argv", "argv0", "execArgv", "execPath", "title", "pid", "ppid", "platform", "arch", "version"],
    ...["versions", "release", "config", "features", "report", "exitCode", "stdin", "stdout", "stderr", "memoryUsage"],
    ...[
      "memoryUsage.rss",
      "cpuUsage",
      "threadCpuUsage",
      "resourceUsage",
      "availableMemory",
      "constrainedMemory",
      "cwd",
    ],
    ...["chdir", "umask", "getuid", "geteuid", "getgid", "getegid", "getgroups", "getActiveResourcesInfo", "kill"],
    ...["exit", "abort", "reallyExit", "loadEnvFile", "send", "getBuiltinModule", "binding", "dlopen"],
  ]
    .map((part) => `process.${part}`)
    .concat("navigator", "location", "localStorage", "sessionStorage", "document"),
};

const network: Family = {
  reason: outside,
  instead: givenAsInput,
  names: ["fetch", "WebSocket", "EventSource", "XMLHttpRequest", "BroadcastChannel", "MessageChannel", "Worker"],
};

export const families: readonly Family[] = [
  clock,
  randomness,
  timers,
  localTime,
  locale,
  approximations,
  memory,
  environment,
  network,
];

/** Modules of Node of which each function is forbidden, or each that is named. */
interface ForbiddenModules extends Family {
  readonly only?: readonly string[];
}

export const moduleFamilies: readonly ForbiddenModules[] = [
  {
    reason: outside,
    instead: givenAsInput,
    names: [
      ...["fs", "fs/promises", "net", "tls", "dgram", "dns", "dns/promises", "http", "https", "http2"],
      ...["child_process", "cluster", "worker_threads", "os", "v8", "readline", "readline/promises"],
    ],
  },
  { ...timers, names: ["timers", "timers/promises"] },
  {
    ...randomness,
    names: ["crypto"],
    only: [
      ...["randomBytes", "pseudoRandomBytes", "prng", "rng", "randomFill", "randomFillSync", "randomInt", "randomUUID"],
      ...["getRandomValues", "generateKey", "generateKeySync", "generateKeyPair", "generateKeyPairSync"],
      ...["generatePrime", "generatePrimeSync"],
    ],
  },
];
