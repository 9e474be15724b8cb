/**
 * What an operator may ask over HTTP: JSON in, the outcome out.
 *
 * Owns: the bodies and the statuses. Leaves to others: routes (`http.ts`), doing it (the replica, which passes it on to the leader).
 */
import { z } from "zod";
import { InstructionRefused } from "../api/errors.js";
import type { Replica } from "../api/replica.js";
import { bytesOfHex } from "../base/bytes.js";
import { hostPort, replicaId } from "./options.js";
import { refusedAnswer, type HttpAnswer } from "./http-answers.js";

const noBytes = new Uint8Array(0);

export interface HttpOperator {
  transfer(request: Request): Promise<HttpAnswer>;
  checkpoint(request: Request): Promise<HttpAnswer>;
  /** The newest certified checkpoint as a file, or why there is none. */
  snapshot(): Response | HttpAnswer;
  /** `verb` is the last part of the path. */
  member(verb: string, request: Request): Promise<HttpAnswer>;
}

/** 64 members with their addresses and keys. */
const bodyBytesMax = 65_536;
const transferSchema = z.strictObject({ to: z.string().optional() });
const emptySchema = z.strictObject({});
const idSchema = z.strictObject({ id: replicaId });
const placeSchema = z.strictObject({ id: replicaId, peer: hostPort, client: hostPort });
const signedSchema = z.strictObject({ signed: z.hex() });
const addSchema = placeSchema.extend({ learner: z.boolean().optional() });
const setSchema = z
  .strictObject({
    add: z.array(addSchema).optional(),
    replace: z.array(placeSchema).optional(),
    promote: z.array(replicaId).optional(),
    remove: z.array(replicaId).optional(),
  })
  .refine((set) => Object.values(set).some((list) => list !== undefined && list.length > 0), "nothing is to change");

export function openHttpOperator(
  replica: Pick<Replica, "transferLeadership" | "members" | "checkpoint" | "snapshot">,
): HttpOperator {
  return {
    checkpoint: (request) => answer(request, emptySchema, () => replica.checkpoint()),
    snapshot: () => {
      const snapshot = replica.snapshot();
      if (snapshot === undefined) {
        return refusedAnswer(
          409,
          "NO_CHECKPOINT",
          "Cannot give a snapshot: this replica has no certified checkpoint yet",
        );
      }
      const headers = { "Content-Type": "application/octet-stream", "Content-Length": String(snapshot.bytes) };
      return new Response(ReadableStream.from(snapshot.content), { headers });
    },
    transfer: (request) => answer(request, transferSchema, ({ to }) => replica.transferLeadership(to)),
    member: async (verb, request) => {
      const { members } = replica;
      switch (verb) {
        case "add":
          return answer(request, addSchema, ({ learner, ...member }) =>
            members.add(member, { learner: learner === true }),
          );
        case "replace":
          return answer(request, placeSchema, (member) => members.replace(member));
        case "promote":
          return answer(request, idSchema, ({ id }) => members.promote(id));
        case "remove":
          return answer(request, idSchema, ({ id }) => members.remove(id));
        case "change":
          return answer(request, setSchema, (set) => members.change(set));
        case "reconfigure":
          return answer(request, signedSchema, ({ signed }) => members.reconfigure(bytesOfHex(signed) ?? noBytes));
        default:
          return refusedAnswer(
            404,
            "NOT_FOUND",
            "Cannot do that to members: add, promote, remove, replace, change and reconfigure are known",
          );
      }
    },
  };
}

async function answer<Body>(
  request: Request,
  schema: z.ZodType<Body>,
  instruct: (body: Body) => Promise<void>,
): Promise<HttpAnswer> {
  const checked = schema.safeParse(await readJson(request));
  if (!checked.success) {
    const [issue] = checked.error.issues;
    return refusedAnswer(400, "INVALID_INPUT", `Cannot use the body: ${issue?.message ?? "not the expected JSON"}`);
  }
  try {
    await instruct(checked.data);
    return { status: 200, body: { done: true }, headers: {} };
  } catch (cause) {
    if (!(cause instanceof InstructionRefused)) throw cause;
    if (cause.code === "OUTCOME_UNKNOWN") return { status: 504, body: { unknown: cause.message }, headers: {} };
    const status = cause.code === "NO_LEADER" || cause.code === "BUSY" ? 503 : 409;
    return refusedAnswer(status, cause.code, cause.message);
  }
}

/** No body is an empty object; `undefined` for what is not JSON or too long. */
async function readJson(request: Request): Promise<unknown> {
  if (Number(request.headers.get("Content-Length") ?? 0) > bodyBytesMax) return undefined;
  const text = await request.text();
  if (text === "") return {};
  try {
    return text.length > bodyBytesMax ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
