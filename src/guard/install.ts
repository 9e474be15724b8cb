/**
 * Puts the guard in front of everything forbidden, once for each thread.
 *
 * Owns: how each kind of thing is caught. A function is replaced by one that looks whether a machine's code runs and otherwise does what it
 * did; what is no function is read through a getter. Objects that the program made before keep their identity, since prototypes and
 * classes stay the same. Leaves to others: what is forbidden (`forbidden.ts`).
 *
 * Works by names and without platform types, so it is the same in a replica, in the simulator and in a browser's page.
 */
import { approximations, clock, families, localTime, moduleFamilies, type Family } from "./forbidden.js";
import { forbid, isMachineRunning, unguarded, type Forbidden } from "./guard.js";

type Constructor = new (...args: readonly unknown[]) => object;
type Callable = (this: unknown, ...args: readonly unknown[]) => unknown;

/** What was put there by us: a test framework may have replaced something since, and that is guarded anew. */
const guards = new WeakSet<object>();

/** Called before a machine's code runs; costs next to nothing from the second time on. */
export function installGuard(): void {
  if (isInstalled()) return;
  // A stream that is opened later would remember a guarded function and be stopped when the console writes.
  for (const stream of ["stdout", "stderr"]) valueAt(`process.${stream}`);
  guardPrinting();
  for (const family of families) for (const name of family.names) guardPath(name, family);
  guardIntl();
  guardDate();
  guardPow();
  guardModules();
}

function isInstalled(): boolean {
  return ["Date", "Math.random", "setTimeout", "process.nextTick", "console.log"].every((path) => {
    const found = valueAt(path);
    return found === undefined || isGuard(found);
  });
}

// --- finding ---

interface Place {
  readonly owner: object;
  readonly key: string;
}

/** Where the last step of a path is a property of its own. It is not read: that alone may open a stream or warn. */
function resolve(path: string): Place | undefined {
  const steps = path.split(".");
  const key = steps.pop() ?? "";
  let owner: unknown = globalThis;
  for (const step of steps) owner = isObject(owner) ? valueOf(owner, step) : undefined;
  while (isObject(owner) && !Object.hasOwn(owner, key)) owner = Object.getPrototypeOf(owner);
  return isObject(owner) ? { owner, key } : undefined;
}

function valueAt(path: string): unknown {
  const place = resolve(path);
  return place === undefined ? undefined : valueOf(place.owner, place.key);
}

/** Some getters throw if they are asked at a prototype. */
function valueOf(owner: object, key: string): unknown {
  const property = Object.getOwnPropertyDescriptor(owner, key);
  if (property !== undefined && property.get === undefined) return property.value;
  try {
    return Reflect.get(owner, key);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

// --- guarding ---

function guardPath(path: string, family: Family): void {
  const place = resolve(path);
  if (place !== undefined) guardProperty(place.owner, place.key, { ...family, used: shown(path) });
}

/** As documents write a method. */
function shown(path: string): string {
  return path.replace(".prototype.", "#");
}

function guardProperty(owner: object, key: string, forbidden: Forbidden): void {
  const property = Object.getOwnPropertyDescriptor(owner, key);
  if (property === undefined || !property.configurable) return;
  const { value, get } = property;
  if (isGuard(value) || isGuard(get)) return;
  // Of a class it is the name that is guarded: whoever has it already may go on making and recognising objects of it.
  const isCalled = typeof value === "function" && !/^[A-Z]/.test(key);
  if (isCalled) Object.defineProperty(owner, key, { ...property, value: guardFunction(value as Callable, forbidden) });
  else Object.defineProperty(owner, key, guardReading(owner, key, property, forbidden));
}

function guardFunction(original: Callable, forbidden: Forbidden): Callable {
  // A method, since it is no constructor and has no prototype, as most functions of a platform.
  const { guarded } = {
    guarded(this: unknown, ...args: readonly unknown[]): unknown {
      if (isMachineRunning()) forbid(forbidden, guarded);
      return Reflect.apply(original, this, args);
    },
  };
  return dressed(guarded, original);
}

/** Name, length, and what else hangs on it. */
function dressed<Made extends object>(guard: Made, original: object): Made {
  for (const key of Reflect.ownKeys(original)) {
    const property = Object.getOwnPropertyDescriptor(original, key);
    if (property !== undefined && Reflect.getOwnPropertyDescriptor(guard, key)?.configurable !== false)
      Object.defineProperty(guard, key, property);
  }
  guards.add(guard);
  return guard;
}

function guardReading(
  owner: object,
  key: string,
  { value, writable, get, set, enumerable }: PropertyDescriptor,
  forbidden: Forbidden,
): PropertyDescriptor {
  let current: unknown = value;
  const guard = function (this: unknown): unknown {
    if (isMachineRunning()) forbid(forbidden, guard);
    return get === undefined ? current : Reflect.apply(get, this, []);
  };
  guards.add(guard);
  const change =
    writable === true
      ? function (this: unknown, next: unknown): void {
          if (this === owner || this === undefined) current = next;
          else Object.defineProperty(this, key, { value: next, writable: true, enumerable: true, configurable: true });
        }
      : set;
  return {
    get: guard,
    ...(change === undefined ? {} : { set: change }),
    enumerable: enumerable === true,
    configurable: true,
  };
}

function isGuard(value: unknown): boolean {
  return isObject(value) && guards.has(value);
}

// --- what needs more than that ---

/**
 * Printing is no way for anything to come in, and what a stream needs for it is not the machine's doing. Neither is a warning of the
 * platform, which it prints once for each process.
 */
function guardPrinting(): void {
  const console = valueAt("console");
  if (isObject(console)) for (const key of Object.keys(console)) letPrint(console, key);
  const place = resolve("process.emitWarning");
  if (place !== undefined) letPrint(place.owner, place.key);
}

function letPrint(owner: object, key: string): void {
  const original = valueOf(owner, key);
  if (typeof original !== "function" || isGuard(original) || /^[A-Z]/.test(key)) return;
  const { printing } = {
    printing(this: unknown, ...args: readonly unknown[]): unknown {
      return isMachineRunning()
        ? unguarded(() => void Reflect.apply(original, this, args))
        : Reflect.apply(original, this, args);
    },
  };
  Reflect.set(owner, key, dressed(printing, original));
}

/** Formatters and collators that were made before, outside of a command. */
function guardIntl(): void {
  const intl = valueAt("Intl");
  const [family] = families.filter(({ names }) => names.includes("Intl.Collator"));
  if (!isObject(intl) || family === undefined) return;
  for (const part of Object.getOwnPropertyNames(intl)) {
    const made = valueOf(intl, part);
    const prototype = isObject(made) ? valueOf(made, "prototype") : undefined;
    if (!isObject(prototype)) continue;
    for (const key of Object.getOwnPropertyNames(prototype)) {
      if (key !== "constructor") guardProperty(prototype, key, { ...family, used: `Intl.${part}#${key}` });
    }
  }
}

/** With a time zone, or a day alone, which is UTC. Whatever else can be parsed is local time or left to the engine. */
const exactDate = /^[+-]?\d{4,6}(-\d\d(-\d\d)?)?$|^[+-]?\d{4,6}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/;

function guardDate(): void {
  const original = valueAt("Date");
  if (typeof original !== "function" || isGuard(original)) return;
  const Original = original as Constructor;
  const now = { ...clock, used: "new Date()" };
  const local = { ...localTime, used: "new Date(…) in local time" };
  const checkArguments = (args: readonly unknown[], entry: object): void => {
    const [given] = args;
    if (args.length === 0) forbid(now, entry);
    if (args.length > 1 || (typeof given === "string" && !exactDate.test(given))) forbid(local, entry);
  };
  const guard = function (...args: readonly unknown[]): unknown {
    const made: unknown = new.target;
    if (typeof made !== "function") {
      if (isMachineRunning()) forbid({ ...now, used: "Date()" }, guard);
      return Reflect.apply(original, undefined, args);
    }
    if (isMachineRunning()) checkArguments(args, guard);
    // The prototype is the same, and to construct for another target takes ten times as long.
    if (made === guard && args.length === 1) return new Original(args[0]);
    return made === guard && args.length === 0 ? new Original() : Reflect.construct(original, args, made);
  };
  const prototype = valueOf(original, "prototype");
  dressed(guard, original);
  // A test framework's is a class made of the platform's, and inherits `parse` and `UTC`.
  Object.setPrototypeOf(guard, Object.getPrototypeOf(original) as object);
  Object.defineProperty(guard, "prototype", { value: prototype, writable: false });
  replace(globalThis, "Date", guard);
  if (isObject(prototype) && valueOf(prototype, "constructor") === original) replace(prototype, "constructor", guard);
  guardParse(guard);
}

function guardParse(date: object): void {
  const original = valueOf(date, "parse") as Callable;
  const { parse } = {
    parse(...args: readonly unknown[]): unknown {
      if (isMachineRunning() && !exactDate.test(String(args[0])))
        forbid({ ...localTime, used: "Date.parse in local time" }, parse);
      return Reflect.apply(original, undefined, args);
    },
  };
  replace(date, "parse", dressed(parse, original));
}

/** A whole number to the power of another is exact, if the result can be. */
function guardPow(): void {
  const math = valueAt("Math");
  const original = valueAt("Math.pow") as ((base: unknown, exponent: unknown) => number) | undefined;
  if (!isObject(math) || original === undefined || isGuard(original)) return;
  const { pow } = {
    pow(base: unknown, exponent: unknown): number {
      const power = original(base, exponent);
      if (isMachineRunning() && !(Number.isInteger(base) && Number.isInteger(exponent) && Number.isSafeInteger(power)))
        forbid({ ...approximations, used: "Math.pow beyond whole numbers" }, pow);
      return power;
    },
  };
  replace(math, "pow", dressed(pow, original));
}

function replace(owner: object, key: string, value: unknown): void {
  Object.defineProperty(owner, key, { value, writable: true, enumerable: false, configurable: true });
}

/** In the modules of Node. Their functions are guarded for those too who have imported them by name already. */
function guardModules(): void {
  const get = valueAt("process.getBuiltinModule");
  if (typeof get !== "function") return;
  const load = (name: string): unknown => Reflect.apply(get, undefined, [name]);
  for (const { names, only, reason, instead } of moduleFamilies) {
    for (const name of names) {
      const module = load(`node:${name}`);
      if (!isObject(module)) continue;
      for (const key of only ?? Object.getOwnPropertyNames(module)) {
        const property = Object.getOwnPropertyDescriptor(module, key);
        if (typeof property?.value === "function" && !/^[A-Z_]/.test(key))
          guardProperty(module, key, { reason, instead, used: `${name}.${key}` });
      }
    }
  }
  const modules = load("node:module");
  const share = isObject(modules) ? valueOf(modules, "syncBuiltinESMExports") : undefined;
  if (typeof share === "function") Reflect.apply(share, undefined, []);
}
