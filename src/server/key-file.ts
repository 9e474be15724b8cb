/**
 * A replica's private key in a file, and the public keys in the members' configuration.
 *
 * Owns: the file (PEM, PKCS #8, mode 0600), and why one is refused. A key that others may have read proves nothing any more, so such
 * a file is refused, as `ssh` refuses it. Leaves to others: signing (`node/signatures.ts`). Called by `quorate keygen` and `start`.
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { closeSync, fstatSync, fsyncSync, openSync, readFileSync, writeSync, type Stats } from "node:fs";
import { dirname } from "node:path";
import { signerOf } from "../node/signatures.js";
import type { Signer } from "../ports/signatures.js";
import { keyNameOf } from "../wire/key-name.js";
import { CommandFailure, exitCodes, usageFailure } from "./exit-codes.js";
import { membersSetting, textSetting, type Settings } from "./settings.js";

/** Makes a key and writes it, durably, into a file that does not exist yet. @throws CommandFailure */
export function writeKeyFile(path: string): Signer {
  const { privateKey } = generateKeyPairSync("ed25519");
  const file = openOrRefuse(path, "wx", `Cannot write a key to ${path}`);
  try {
    writeSync(file, String(privateKey.export({ format: "pem", type: "pkcs8" })));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  syncDirectoryOf(path);
  return signerOf(privateKey);
}

/** @throws CommandFailure */
export function readKeyFile(path: string): Signer {
  const file = openOrRefuse(path, "r", `Cannot read the key file ${path}`);
  try {
    checkOwner(path, fstatSync(file));
    return signerOf(keyOf(path, readFileSync(file, "utf8")));
  } finally {
    closeSync(file);
  }
}

/** If a key file is configured, it must be the one whose public key all replicas have for this one. @throws CommandFailure */
export function checkKeys(settings: Settings): void {
  const path = textSetting(settings, "replica.keyFile");
  if (path === undefined) return;
  const id = textSetting(settings, "replica.id") ?? "";
  const written = keyNameOf(readKeyFile(path).publicKey);
  const member = membersSetting(settings).find((each) => each.id === id);
  if (member?.key === undefined) {
    throw usageFailure(
      `Cannot use the key file ${path}: member ${id} has no key. At every replica, give it key = "${written}"`,
    );
  }
  if (member.key === written) return;
  throw usageFailure(
    `Cannot use the key file ${path}: it is not that of member ${id}. Its public key is ${written}, and the members say ${member.key}`,
  );
}

function syncDirectoryOf(path: string): void {
  const directory = openSync(dirname(path), "r");
  fsyncSync(directory);
  closeSync(directory);
}

function openOrRefuse(path: string, flags: "r" | "wx", refusal: string): number {
  try {
    return openSync(path, flags, 0o600);
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    const reason =
      code === "EEXIST"
        ? "the file exists, and a key is never overwritten. Give another name"
        : code === "ENOENT" && flags === "r"
          ? `there is no such file. quorate keygen ${path} makes one`
          : cause instanceof Error
            ? cause.message
            : String(cause);
    throw new CommandFailure(exitCodes.usage, `${refusal}: ${reason}`, { cause });
  }
}

function checkOwner(path: string, { mode, uid }: Stats): void {
  const user = process.getuid?.();
  if ((mode & 0o170_000) !== 0o100_000) throw usageFailure(`Cannot read the key file ${path}: it is not a file`);
  if (user !== undefined && user !== 0 && uid !== user) {
    throw usageFailure(`Cannot use the key file ${path}: it belongs to another user, who may have read it`);
  }
  if ((mode & 0o077) === 0) return;
  const shown = (mode & 0o777).toString(8).padStart(4, "0");
  throw usageFailure(
    `Cannot use the key file ${path}: others than its owner have access to it (mode ${shown}). If nobody has read it: chmod 600 ${path}. Otherwise make another key`,
  );
}

function keyOf(path: string, pem: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: pem, format: "pem" });
  } catch (cause) {
    const message = `Cannot use the key file ${path}: it holds no private key in PEM without a passphrase`;
    throw new CommandFailure(exitCodes.usage, message, { cause });
  }
  if (key.asymmetricKeyType === "ed25519") return key;
  throw usageFailure(
    `Cannot use the key file ${path}: its key is of type ${key.asymmetricKeyType ?? "unknown"}, not ed25519`,
  );
}
