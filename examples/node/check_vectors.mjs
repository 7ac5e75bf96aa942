// Read the golden vectors as this client reads messages: node check_vectors.mjs [FOLDER]
// Prints how many were right; exit code 1 when one is not.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { decode, encode } from "@msgpack/msgpack";

const DEFAULT = fileURLToPath(new URL("../../tests/vectors/bus/", import.meta.url));
const folder = process.argv[2] ?? DEFAULT;
const rows = (name) => JSON.parse(readFileSync(`${folder}/${name}`, "utf8"));
const bytes = (hex) => Buffer.from(hex, "hex");
const unpack = (data) => decode(data, { useBigInt64: true });

/** A decoded value by the rules for JSON (section 6.2). */
function plain(value) {
  if (typeof value === "bigint") {
    return value > 2n ** 53n || value < -(2n ** 53n) ? String(value) : Number(value);
  }
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value)) return value.map(plain);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  }
  return value;
}

let right = 0;
let wrong = 0;
function check(name, expected, actual) {
  if (isDeepStrictEqual(expected, actual)) {
    right += 1;
  } else {
    wrong += 1;
    console.error(`${name}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`);
  }
}

for (const row of rows("bodies.json")) {
  const frame = bytes(row.hex);
  const end = frame.indexOf(0);
  check(row.name, row.topic, frame.toString("utf8", 0, end));
  check(row.name, row.body, plain(unpack(frame.subarray(end + 1))));
}
for (const file of ["requests.json", "replies.json"]) {
  for (const row of rows(file)) {
    check(row.name, row.value, plain(unpack(bytes(row.msgpack))));
    check(row.name, row.value, JSON.parse(row.json));
    const again = encode(unpack(bytes(row.msgpack)), { useBigInt64: true });
    check(row.name, row.value, plain(unpack(again)));
  }
}
for (const row of rows("topics.json")) {
  const subscription = Buffer.from(`${row.topic}\0`);
  const begins = (hex) => bytes(hex).subarray(0, subscription.length).equals(subscription);
  check(row.topic, row.subscription, subscription.toString("hex"));
  check(row.topic, [true], [...new Set(row.matches.map(begins))]);
  check(row.topic, [false], [...new Set(row.does_not_match.map(begins))]);
}
console.log(`${right} right, ${wrong} wrong`);
process.exitCode = wrong === 0 && right > 0 ? 0 : 1;
