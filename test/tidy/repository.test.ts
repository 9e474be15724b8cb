/** What a stranger gets by cloning: a manifest that installs alike everywhere, a short README, no trace of one machine. */
import { describe, expect, test } from "vitest";
import { type Source, filesBelow, lineOf, readSources, readText, sourceOf } from "../../test-support/source.js";

interface Package {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

interface Lock {
  readonly packages: Readonly<
    Record<
      string,
      {
        readonly hasInstallScript?: boolean;
        readonly dev?: boolean;
        readonly resolved?: string;
        readonly optionalDependencies?: Readonly<Record<string, string>>;
      }
    >
  >;
}

const readmeLinesMax = 150;

/** On some versions npm picks an old major for a range without numbers, so each range names all three. */
function looseRanges(manifest: Package): readonly string[] {
  const all = { ...manifest.dependencies, ...manifest.devDependencies, ...manifest.optionalDependencies };
  const loose = Object.entries(all).filter(([, range]) => !/^[\^~]?\d+\.\d+\.\d+$/.test(range));
  return loose.map(([name, range]) => `${name}: ${range}`);
}

function installScripts(lock: Lock): readonly string[] {
  const scripted = Object.entries(lock.packages).filter(
    ([, entry]) => entry.hasInstallScript === true && entry.dev !== true,
  );
  return scripted.map(([path]) => path);
}

/** npm writes a lock without the packages that it could not find for other platforms, and then refuses to install from it. */
function missingOptionals(lock: Lock): readonly string[] {
  const wanted = Object.values(lock.packages).flatMap((entry) => Object.keys(entry.optionalDependencies ?? {}));
  const present = Object.keys(lock.packages);
  return wanted.filter((name) => !present.some((path) => path.endsWith(`node_modules/${name}`)));
}

function resolvedAddresses(lock: Lock): readonly string[] {
  return Object.entries(lock.packages)
    .filter(([, entry]) => entry.resolved !== undefined)
    .map(([path]) => path);
}

// Put together here, so that this file does not find itself. `/home/me` is anybody's, as documents use it.
const machineTraces: readonly RegExp[] = [
  new RegExp(`(?<![\\w.])/(?:${["work", "root", "home(?!/me\\b)", "Users", "mnt"].join("|")})/[\\w.]`),
  new RegExp(`\\b${"regis"}try\\.(?:npmjs|yarnpkg)\\b|\\bnpm\\.pkg\\.`),
  new RegExp(`https?://[^\\s"')]*${"regis"}try`),
  new RegExp(`[A-Z]:\\\\${"Users"}`),
];

function tracesOfMachines(path: string, text: string): readonly string[] {
  const lines = text.split("\n");
  return lines.flatMap((line, at) =>
    machineTraces.some((pattern) => pattern.test(line)) ? [`${path}:${at + 1}: ${line.trim()}`] : [],
  );
}

function unnumberedTodos({ path, text, code }: Source): readonly string[] {
  // In comments alone: what the code no longer has.
  const marks = text.matchAll(/\b(TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))/g);
  return [...marks]
    .filter(({ index }) => code.slice(index, index + 3).trim() === "")
    .map(({ index }) => `${path}:${lineOf(text, index)}`);
}

const textFiles = (): readonly string[] =>
  filesBelow("", (path) =>
    /\.(ts|mjs|js|json|jsonc|md|txt|toml|yml|yaml|sh)$|^\.ci\/|^\.[a-z]+rc$|^LICENSE$/.test(path),
  );

describe("the repository", () => {
  test("pins every range by three numbers", () => {
    expect(looseRanges(JSON.parse(readText("package.json")) as Package)).toEqual([]);
  });

  test("needs no install script at run time, and no particular registry", () => {
    const lock = JSON.parse(readText("package-lock.json")) as Lock;

    expect(installScripts(lock)).toEqual([]);
    expect(resolvedAddresses(lock)).toEqual([]);
    expect(missingOptionals(lock)).toEqual([]);
  });

  test("has a README of at most 150 lines", () => {
    expect(readText("README.md").split("\n").length - 1).toBeLessThanOrEqual(readmeLinesMax);
  });

  test("names no path of one machine and no registry", () => {
    expect(textFiles().flatMap((path) => tracesOfMachines(path, readText(path)))).toEqual([]);
  });

  test("gives every TODO an issue number", () => {
    const sources = readSources("src", "test", "test-support", "bench", "scripts", "examples");

    expect(sources.flatMap(unnumberedTodos)).toEqual([]);
  });

  test("has the files that people and tools look for", () => {
    const wanted = ["README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", ".ci/run"];

    const present = new Set(filesBelow("", () => true));

    expect(wanted.filter((path) => !present.has(path))).toEqual([]);
  });
});

describe("the repository checks themselves", () => {
  test("refuse ranges that leave a number open", () => {
    expect(looseRanges({ dependencies: { a: "^1.2.3", b: "1.2.3", c: "^1", d: "*", e: "latest" } })).toHaveLength(3);
  });

  test("refuse an install script at run time and allow one in development", () => {
    const lock: Lock = {
      packages: {
        "node_modules/a": { hasInstallScript: true },
        "node_modules/b": { hasInstallScript: true, dev: true },
      },
    };

    expect(installScripts(lock)).toEqual(["node_modules/a"]);
  });

  test("refuse a lock file that lacks the packages of another platform", () => {
    const lock: Lock = {
      packages: {
        "node_modules/a": { optionalDependencies: { "@a/one": "1.0.0", "@a/other": "1.0.0" } },
        "node_modules/@a/one": {},
      },
    };

    expect(missingOptionals(lock)).toEqual(["@a/other"]);
  });

  test("refuse a lock file that names an address", () => {
    expect(
      resolvedAddresses({ packages: { "node_modules/a": { resolved: "https://example.org/a.tgz" } } }),
    ).toHaveLength(1);
  });

  test("find a machine's path and a registry's host, and leave other paths alone", () => {
    const found = tracesOfMachines(
      "a.md",
      [`/${"home"}/ann/x`, `${"registry"}.npmjs.org`, "src/home/x.ts", "/home/me/data", "/metrics", "`/livez`"].join(
        "\n",
      ),
    );

    expect(found).toHaveLength(2);
  });

  test("find a TODO without a number in a comment, and none in a string", () => {
    expect(
      unnumberedTodos(sourceOf("a.ts", `// ${"TODO"}: later\n// ${"TODO"}(#12): later\nconst a = "${"TODO"}";`)),
    ).toEqual(["a.ts:1"]);
  });
});
