/** Private keys in files: for their owner alone, never overwritten, and refused with the reason where something is wrong. */
import { generateKeyPairSync } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { isSignedBy } from "../../../src/node/signatures.js";
import { CommandFailure, exitCodes } from "../../../src/server/exit-codes.js";
import { checkKeys, readKeyFile, writeKeyFile } from "../../../src/server/key-file.js";
import { readSettings } from "../../../src/server/settings.js";
import { keyNameOf, keyOfName } from "../../../src/wire/key-name.js";

const folder = mkdtempSync(join(tmpdir(), "quorate-keys-"));
afterAll(() => rmSync(folder, { recursive: true }));

const at = (name: string): string => join(folder, name);

function refusalOf(run: () => unknown): string {
  try {
    run();
  } catch (cause) {
    if (!(cause instanceof CommandFailure)) throw cause;
    expect(cause.exitCode).toBe(exitCodes.usage);
    return cause.message.replaceAll(folder, "");
  }
  return "accepted";
}

function pemFile(name: string, pem: string): string {
  writeFileSync(at(name), pem, { mode: 0o600 });
  return at(name);
}

describe("a key file", () => {
  test("is for its owner alone, and holds the key that was made", () => {
    const made = writeKeyFile(at("a.key"));
    const read = readKeyFile(at("a.key"));
    const bytes = Uint8Array.of(1, 2, 3);

    expect(statSync(at("a.key")).mode & 0o777).toBe(0o600);
    expect(read.publicKey).toEqual(made.publicKey);
    expect(isSignedBy({ publicKey: made.publicKey, bytes, signature: read.sign(bytes) })).toBe(true);
  });

  test("is never overwritten", () => {
    writeKeyFile(at("kept.key"));
    const before = readFileSync(at("kept.key"), "utf8");

    expect(refusalOf(() => writeKeyFile(at("kept.key")))).toBe(
      "Cannot write a key to /kept.key: the file exists, and a key is never overwritten. Give another name",
    );
    expect(readFileSync(at("kept.key"), "utf8")).toBe(before);
  });

  test("that others can read or write is refused, with what to do", () => {
    writeKeyFile(at("open.key"));
    for (const mode of [0o640, 0o604, 0o620, 0o644]) {
      chmodSync(at("open.key"), mode);
      expect(refusalOf(() => readKeyFile(at("open.key")))).toContain(
        `(mode 0${mode.toString(8)}). If nobody has read it: chmod 600`,
      );
    }
    chmodSync(at("open.key"), 0o400);
    expect(refusalOf(() => readKeyFile(at("open.key")))).toBe("accepted");
  });

  test("that is missing, a directory, or no key is refused with the reason", () => {
    mkdirSync(at("folder"));
    const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "pem", type: "pkcs8" });
    const secret = generateKeyPairSync("ed25519").privateKey.export({
      ...{ format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase: "x" },
    });
    const open = generateKeyPairSync("ed25519").publicKey.export({ format: "pem", type: "spki" });

    expect(refusalOf(() => readKeyFile(at("absent")))).toContain(
      "there is no such file. quorate keygen /absent makes one",
    );
    expect(refusalOf(() => readKeyFile(at("folder")))).toContain("it is not a file");
    expect(refusalOf(() => readKeyFile(pemFile("junk", "not a key")))).toContain("holds no private key in PEM");
    expect(refusalOf(() => readKeyFile(pemFile("secret", String(secret))))).toContain("without a passphrase");
    expect(refusalOf(() => readKeyFile(pemFile("public", String(open))))).toContain("holds no private key in PEM");
    expect(refusalOf(() => readKeyFile(pemFile("rsa", String(rsa))))).toContain("of type rsa, not ed25519");
    expect(refusalOf(() => writeKeyFile(at("nowhere/a.key")))).toContain("no such file or directory");
  });
});

describe("a configured key file", () => {
  const { publicKey } = writeKeyFile(at("member.key"));
  const name = keyNameOf(publicKey);
  const check = (member: string, keyFile = at("member.key")): string =>
    refusalOf(() =>
      checkKeys(
        readSettings({ file: undefined, environment: {}, flags: { id: "a", member: [member], "key-file": keyFile } }),
      ),
    );

  test("is that of the member which this replica is", () => {
    expect(check(`a=h:1,h:2,${name}`)).toBe("accepted");
  });

  test("of another one is refused with both public keys", () => {
    const other = keyNameOf(writeKeyFile(at("other.key")).publicKey);

    expect(check(`a=h:1,h:2,${other}`)).toBe(
      `Cannot use the key file /member.key: it is not that of member a. Its public key is ${name}, and the members say ${other}`,
    );
  });

  test("of a member without a public key is refused with the line that is missing", () => {
    expect(check("a=h:1,h:2")).toContain(`member a has no key. At every replica, give it key = "${name}"`);
  });

  test("is looked at only if there is one", () => {
    const settings = readSettings({ file: undefined, environment: {}, flags: { id: "a", member: ["a=h:1,h:2"] } });

    expect(() => checkKeys(settings)).not.toThrow();
  });
});

test("a public key has one form as text", () => {
  const key = Uint8Array.from({ length: 32 }, (_, place) => 7 * place);
  const text = keyNameOf(key);

  expect(keyOfName(text)).toEqual(key);
  for (const other of [
    text.toUpperCase(),
    text.slice(0, -2),
    `${text}00`,
    text.slice(8),
    text.replace("00", "0g"),
    "",
  ]) {
    expect(keyOfName(other)).toBeUndefined();
  }
});
