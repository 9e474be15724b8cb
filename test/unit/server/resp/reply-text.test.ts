import { expect, test } from "vitest";
import { encodeReply } from "../../../../src/server/resp/reply-text.js";
import type { Reply } from "../../../../src/services/kv/index.js";

const cases: readonly (readonly [Reply, string, string])[] = [
  [true, "+OK\r\n", "+OK\r\n"],
  ["h\xe9", "$2\r\nh\xe9\r\n", "$2\r\nh\xe9\r\n"],
  [7, ":7\r\n", ":7\r\n"],
  [-9223372036854775808n, ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"],
  [null, "$-1\r\n", "_\r\n"],
  [{ nilArray: true }, "*-1\r\n", "_\r\n"],
  [{ status: "PONG" }, "+PONG\r\n", "+PONG\r\n"],
  [{ error: "ERR a\r\nb" }, "-ERR a  b\r\n", "-ERR a  b\r\n"],
  [{ double: "1.5" }, "$3\r\n1.5\r\n", ",1.5\r\n"],
  [{ map: ["a", 1] }, "*2\r\n$1\r\na\r\n:1\r\n", "%1\r\n$1\r\na\r\n:1\r\n"],
  [{ set: ["a"] }, "*1\r\n$1\r\na\r\n", "~1\r\n$1\r\na\r\n"],
  [{ pairs: ["a", { double: "2" }] }, "*2\r\n$1\r\na\r\n$1\r\n2\r\n", "*1\r\n*2\r\n$1\r\na\r\n,2\r\n"],
  [["a", [null, 1]], "*2\r\n$1\r\na\r\n*2\r\n$-1\r\n:1\r\n", "*2\r\n$1\r\na\r\n*2\r\n_\r\n:1\r\n"],
  [[], "*0\r\n", "*0\r\n"],
];

test("every shape of reply has one text in RESP2 and one in RESP3", () => {
  for (const [reply, second, third] of cases) {
    expect(encodeReply(reply, 2)).toBe(second);
    expect(encodeReply(reply, 3)).toBe(third);
  }
});
