/** Where a configuration comes from, and what is refused (threat 23). */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { defaultLimits, type Limits } from "../../../src/api/config.js";
import { CommandFailure, exitCodes } from "../../../src/server/exit-codes.js";
import { limitsOf } from "../../../src/server/limit-options.js";
import { environmentNameOf, isAddress, options } from "../../../src/server/options.js";
import { checkRequired, readSettings, type SettingSources } from "../../../src/server/settings.js";

const folder = mkdtempSync(join(tmpdir(), "quorate-settings-"));
afterAll(() => rmSync(folder, { recursive: true }));

const nothing: SettingSources = { file: undefined, environment: {}, flags: {} };

function fileOf(text: string): string {
  const file = join(folder, "a.toml");
  writeFileSync(file, text);
  return file;
}

function refusalOf(sources: Partial<SettingSources>): string {
  try {
    readSettings({ ...nothing, ...sources });
  } catch (cause) {
    if (!(cause instanceof CommandFailure)) throw cause;
    expect(cause.exitCode).toBe(exitCodes.usage);
    return cause.message.replaceAll(folder, "");
  }
  return "accepted";
}

const whole = `
[replica]
id = "a"
clusterId = "shop"
dataDir = "/var/lib/quorate/a"

[log]
level = "warn"

[[members]]
id = "a"
peer = "127.0.0.1:7100"
client = "127.0.0.1:7200"
`;

describe("layers", () => {
  test("flags win over the environment, that over the file, that over defaults, and each says where it is from", () => {
    const file = fileOf(whole);
    const settings = readSettings({
      file,
      environment: { QUORATE_REPLICA__ID: "b", QUORATE_LOG__LEVEL: "error", PATH: "/bin" },
      flags: { "log-level": "debug" },
    });

    expect(settings.get("replica.clusterId")).toMatchObject({ value: "shop", origin: `${file}:4` });
    expect(settings.get("replica.id")).toMatchObject({ value: "b", origin: "QUORATE_REPLICA__ID" });
    expect(settings.get("log.level")).toMatchObject({ value: "debug", origin: "--log-level" });
    expect(settings.get("http.jsonDepthMax")).toMatchObject({ value: 64, origin: "default" });
    expect(settings.get("members")).toMatchObject({ origin: `${file}:10` });
    expect(() => checkRequired(settings)).not.toThrow();
  });

  test("members can be given as text, in the environment and as a repeated flag", () => {
    const wanted = [
      { id: "a", peer: "127.0.0.1:1", client: "127.0.0.1:2" },
      { id: "b", peer: "[::1]:3", client: "host-b:4" },
    ];
    const texts = ["a=127.0.0.1:1,127.0.0.1:2", "b=[::1]:3,host-b:4"];

    expect(
      readSettings({ ...nothing, environment: { QUORATE_MEMBERS: texts.join(";") } }).get("members")?.value,
    ).toEqual(wanted);
    expect(readSettings({ ...nothing, flags: { member: texts } }).get("members")?.value).toEqual(wanted);
  });

  test("a member's public key is given in its table, or behind its addresses", () => {
    const key = `ed25519:${"3b".repeat(32)}`;
    const inFile = readSettings({ ...nothing, file: fileOf(`${whole}key = "${key}"\n`) });
    const asFlag = readSettings({ ...nothing, flags: { member: [`a=127.0.0.1:7100,127.0.0.1:7200,${key}`] } });

    expect(inFile.get("members")?.value).toEqual([{ id: "a", peer: "127.0.0.1:7100", client: "127.0.0.1:7200", key }]);
    expect(asFlag.get("members")?.value).toEqual(inFile.get("members")?.value);
  });

  test("what is required and nowhere set is named with all the ways to set it", () => {
    expect(() => checkRequired(readSettings(nothing))).toThrow(/replica\.id is missing.*QUORATE_REPLICA__ID.*--id/);
  });
});

describe("refusals", () => {
  test("an unknown key is refused with its line and the nearest known one", () => {
    expect(refusalOf({ file: fileOf('[log]\nlevle = "info"\n') })).toBe(
      "Cannot read /a.toml:2: log.levle is not an option. Did you mean log.level?",
    );
    expect(refusalOf({ environment: { QUORATE_LOG__LEVLE: "info" } })).toContain("Did you mean QUORATE_LOG__LEVEL?");
    expect(refusalOf({ file: fileOf("[nonsense]\nabc = 1\n") })).toBe(
      "Cannot read /a.toml:2: nonsense.abc is not an option.",
    );
  });

  test("a corrupted file is refused with line and column", () => {
    expect(refusalOf({ file: fileOf('[log]\nlevel = "info\n') })).toMatch(/^Cannot read \/a\.toml:2:\d+: Invalid TOML/);
    expect(refusalOf({ file: join(folder, "absent.toml") })).toContain("no such file");
  });

  test.each([
    [{ flags: { "http-json-depth-max": "deep" } }, "Cannot use http.jsonDepthMax from --http-json-depth-max"],
    [
      { environment: { QUORATE_HTTP__JSON_DEPTH_MAX: "65" } },
      "Cannot use http.jsonDepthMax from QUORATE_HTTP__JSON_DEPTH_MAX",
    ],
    [{ environment: { QUORATE_REPLICA__BOOTSTRAP: "yes" } }, "Cannot use replica.bootstrap"],
    [{ flags: { id: "a/b" } }, "a-z A-Z 0-9 _ -"],
    [{ flags: { "listen-http": "127.0.0.1" } }, 'expected "host:port"'],
    [{ flags: { member: ["a=127.0.0.1:1"] } }, "member 1, client: expected"],
    [{ flags: { member: ["a=h:1,h:2", "a=h:3,h:4"] } }, "two members have the same id"],
    [{ flags: { member: ["a=h:1,h:2,ed25519:3b"] } }, "member 1, key: expected a public key"],
    [{ flags: { member: ["a=h:1,h:2,"] } }, "member 1, key: expected a public key"],
    [{ flags: { member: [`a=h:1,h:2,${"3b".repeat(32)}`] } }, "member 1, key: expected a public key"],
    // Everybody can sign for it.
    [{ flags: { member: [`a=h:1,h:2,ed25519:01${"00".repeat(31)}`] } }, "member 1, key: expected a public key"],
    [
      { flags: { member: ["a=h:1,h:2", "b=h:3,h:4"].map((text) => `${text},ed25519:${"3b".repeat(32)}`) } },
      "two members have the same key",
    ],
  ])("%j is refused with its place", (sources, message) => {
    expect(refusalOf(sources)).toContain(message);
  });

  test("a misspelled key of a member, a missing one, and an option without its section are named", () => {
    const member = '[[members]]\nid = "a"\nclient = "h:1"\n';
    expect(refusalOf({ file: fileOf(member) })).toContain("member 1, peer: is missing");
    expect(refusalOf({ file: fileOf(`${member}pear = "h:2"\n`) })).toContain('member 1: Unrecognized key: "pear"');
    expect(refusalOf({ file: fileOf('id = "a"\n') })).toContain("Did you mean replica.id?");
    expect(refusalOf({ environment: { QUORATE_ID: "a" } })).toContain("Did you mean QUORATE_REPLICA__ID?");
  });

  test("a value of the wrong type is refused with its line", () => {
    expect(refusalOf({ file: fileOf('\n[http]\n\nbodyBytesMax = "1 MB"\n') })).toMatch(
      /^Cannot use http\.bodyBytesMax from \/a\.toml:4: /,
    );
  });
});

describe("options", () => {
  test("flags and environment names are distinct, and every default is valid", () => {
    expect(new Set(options.map(({ flag }) => flag)).size).toBe(options.length);
    expect(new Set(options.map(({ path }) => environmentNameOf(path))).size).toBe(options.length);
    for (const { path, schema, fallback } of options) {
      if (fallback !== undefined) expect(schema.safeParse(fallback).success, path).toBe(true);
    }
  });

  test("an address is a host and a port", () => {
    expect(["127.0.0.1:0", "localhost:65535", "[::1]:80", "a-b.example:1"].filter(isAddress)).toHaveLength(4);
    expect(["127.0.0.1", ":80", "a:65536", "::1:80", "a b:1", "http://a:1", "a:1/x"].filter(isAddress)).toHaveLength(0);
  });
});

test("every limit is an option of its own, and what is not given is the default", () => {
  const limitsWith = (text: string): Limits => {
    const settings = readSettings({ ...nothing, file: fileOf(text) });
    return limitsOf((path) => Number(settings.get(path)?.value));
  };

  expect(limitsWith("")).toEqual(defaultLimits);
  expect(limitsWith("[checkpoints]\nlogEntriesMax = 500\n[machine]\neventsMax = 10")).toEqual({
    ...defaultLimits,
    checkpoints: { ...defaultLimits.checkpoints, logEntriesMax: 500 },
    machine: { ...defaultLimits.machine, eventsMax: 10 },
  });
  expect(refusalOf({ flags: { "checkpoints-log-entries-max": "0" } })).toContain("--checkpoints-log-entries-max");
});
