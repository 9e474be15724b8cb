/** `quorate evidence` as somebody uses it who has the files and the members' public keys, and nothing else. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { keyNameOf } from "../../src/wire/key-name.js";
import { commit, KeyedReplicas, one, other, prepare } from "../../test-support/bft-contradictions.js";
import { quorateMain } from "../../test-support/dev-cluster.js";

const folder = mkdtempSync(join(tmpdir(), "quorate-evidence-"));
afterAll(() => rmSync(folder, { recursive: true }));

const replicas = new KeyedReplicas();

function quorate(...given: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [quorateMain, "evidence", ...given], {
    encoding: "utf8",
    timeout: 60_000,
  });
  return { status, stdout: stdout.replaceAll(`${folder}/`, ""), stderr };
}

function file(name: string, ...lines: readonly string[]): string {
  const path = join(folder, name);
  writeFileSync(path, lines.map((line) => `${line}\n`).join(""));
  return path;
}

const config = file(
  "replica.toml",
  '[replica]\nid = "a"\nclusterId = "main"',
  ...[...replicas.keys].map(
    ([id, key]) => `[[members]]\nid = "${id}"\npeer = "h:1"\nclient = "h:2"\nkey = "${keyNameOf(key)}"`,
  ),
);

describe("with evidence that holds", () => {
  const equivocation = replicas.line("b", prepare(one), prepare(other));
  const beginnings = replicas.line("c", replicas.newView(5, [one, ""]), replicas.newView(5, [one, other]));

  test("it says who said what, and exits with 0", () => {
    const path = file("two.jsonl", equivocation, beginnings);

    expect(quorate(path, "--config", config)).toEqual({
      status: 0,
      stdout: [
        "two.jsonl:1: b contradicts itself (cluster main, epoch 0)",
        `  said    PREPARE in view 3 at 17: ${one}`,
        `  and     PREPARE in view 3 at 17: ${other}`,
        "  holds: both are signed with the key of b",
        "two.jsonl:2: c contradicts itself (cluster main, epoch 0)",
        "  said    NEW-VIEW of view 5, which proposes at 18: the null request",
        `  and     NEW-VIEW of view 5, which proposes at 18: ${other}`,
        "  holds: both are signed with the key of c",
        "2 contradictions",
        "",
      ].join("\n"),
      stderr: "",
    });
  });

  test("a key is enough, and a directory is read file by file", () => {
    mkdirSync(join(folder, "many"));
    file("many/b.jsonl", equivocation);
    file("many/readme.txt", "not read");
    const key = `b=${keyNameOf(replicas.keys.get("b") ?? new Uint8Array(32))}`;

    expect(quorate(join(folder, "many"), "--key", key)).toMatchObject({ status: 0 });
    expect(quorate(join(folder, "many"), "--key", key, "--cluster-id", "other").status).toBe(1);
    const json = JSON.parse(quorate(join(folder, "many"), "--key", key, "-w", "json").stdout) as unknown;
    expect(json).toEqual({
      contradictions: [
        {
          ...{ place: "many/b.jsonl:1", by: "b", cluster: "main", epoch: 0 },
          ...{ first: prepare(one), second: prepare(other), holds: true, objection: null },
        },
      ],
    });
  });
});

describe("with evidence that does not hold", () => {
  test("it says why of each line, and exits with 1", () => {
    const good = replicas.line("b", commit(one), commit(other));
    const path = file(
      "bad.jsonl",
      good,
      good.replace('"by":"b"', '"by":"c"'),
      replicas.line("b", commit(one), commit(one)),
      good.replace(/"signature":"../, '"signature":"00'),
      new KeyedReplicas().line("b", commit(one), commit(other)),
      good.replace(/"key":"ed25519:../, '"key":"ed25519:00'),
      "{}",
      "not JSON",
    );
    const { status, stdout } = quorate(path, "--config", config);

    expect(status).toBe(1);
    expect(stdout.match(/^ {2}(holds|does NOT hold): .*$/gm)).toEqual([
      "  holds: both are signed with the key of b",
      "  does NOT hold: what is signed first was not signed by c",
      "  does NOT hold: a correct replica may say both",
      "  does NOT hold: what is signed first was not signed by b",
      "  does NOT hold: what is signed first was not signed by b",
      "  does NOT hold: the line names another key of b than the members do",
      expect.stringContaining("does NOT hold: the line holds no contradiction: quorate"),
      "  does NOT hold: the line is not JSON",
    ]);
    expect(stdout).toContain("8 contradictions, 7 of which do not hold");
  });

  test("nothing in a file moves the cursor", () => {
    const domain = { cluster: "main\u001b[2J\u009b", epoch: 0 };
    const path = file("escape.jsonl", replicas.line("b", commit(one), commit(other), domain));

    expect(quorate(path, "--config", config).stdout).toMatch(/^[ -~\n]*$/);
  });
});

test("without keys, files or sense it exits with 2", () => {
  const path = file("any.jsonl", replicas.line("b", commit(one), commit(other)));

  expect(quorate(path)).toMatchObject({ status: 2, stdout: "" });
  expect(quorate(path).stderr).toContain("no member's public key is known");
  expect(quorate(path, "--key", "b=ed25519:00").stderr).toContain("expected id=ed25519:");
  expect(quorate(join(folder, "absent"), "--config", config)).toMatchObject({ status: 2, stdout: "" });
  expect(quorate("--config", config).status).toBe(2);
});
