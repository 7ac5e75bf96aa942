// Print ticks: node ticks.mjs ENDPOINT TERMINAL SYMBOL... [--count N] [--timeout S] [--json]

import { parseArgs } from "node:util";
import { BridgeClient, BridgeError } from "./bridge_client.mjs";

const USAGE = "usage: node ticks.mjs ENDPOINT TERMINAL SYMBOL... [--count N] [--timeout S] [--json]";
// The exit codes of the command line 'bridge'.
const EXIT = { RELAY_UNREACHABLE: 10, TERMINAL_UNAVAILABLE: 11, UNKNOWN_TERMINAL: 11, DEADLINE_EXCEEDED: 12 };

/** JSON as the protocol writes it: what a double cannot hold is text. */
const plain = (_, value) =>
  typeof value !== "bigint" ? value
  : value > 2n ** 53n || value < -(2n ** 53n) ? String(value)
  : Number(value);

function printer(json) {
  let gap = null;
  return (event) => {
    if (event.kind === "gap") {
      const { kind, ...what } = event;
      gap ??= what;
      console.error(`gap: ${JSON.stringify(what, plain)}`);
    } else if (event.kind !== "tick") {
      console.error(event.kind === "stale" ? "the relay is silent: prices are old" : "the relay is back");
    } else if (json) {
      const { kind, ...tick } = event;
      process.stdout.write(`${JSON.stringify({ v: 1, ...tick, gap }, plain)}\n`);
      gap = null;
    } else {
      const time = new Date(Number(event.time_utc_msc)).toISOString();
      process.stdout.write(`${time}  ${event.symbol}  ${event.bid}  ${event.ask}\n`);
      gap = null;
    }
  };
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      count: { type: "string" },
      timeout: { type: "string" },
      json: { type: "boolean", default: false },
    },
  });
  const [endpoint, terminal, ...symbols] = positionals;
  const count = values.count === undefined ? Infinity : Number(values.count);
  const timeout = values.timeout === undefined ? 0 : Number(values.timeout);
  if (symbols.length === 0 || !(count > 0) || !(timeout >= 0)) throw new TypeError(USAGE);

  const client = await BridgeClient.connect(endpoint, { timeoutMs: 3_000 });
  let timer;
  try {
    for (const { topic, status, epoch, seq, error } of await client.subscribe(terminal, symbols)) {
      // No answer yet is no reason to leave: a symbol's first synchronisation takes a while.
      if (error && error.code !== "DEADLINE_EXCEEDED") {
        throw new BridgeError({ ...error, message: `${topic}: ${error.message}` });
      }
      console.error(`joined ${topic}: ${status}, epoch ${epoch}, seq ${seq}`);
    }
    const late = new Promise((_, reject) => {
      if (timeout === 0) return;
      const message = `fewer than ${count} ticks within ${timeout} s`;
      const expire = () => reject(new BridgeError({ code: "DEADLINE_EXCEEDED", hop: "client", message }));
      timer = setTimeout(expire, timeout * 1_000);
    });
    const print = printer(values.json);
    const all = async () => {
      let printed = 0;
      for await (const event of client.events()) {
        print(event);
        if (event.kind === "tick" && ++printed >= count) return;
      }
    };
    process.once("SIGINT", () => client.close());
    await Promise.race([all(), late]);
  } finally {
    clearTimeout(timer);
    client.close();
    const { received, replayed, gaps, joins } = client.stats;
    console.error(`received ${received}, replayed ${replayed}, gaps ${gaps}, joins ${joins}`);
  }
}

process.stdout.on("error", (error) => process.exit(error.code === "EPIPE" ? 0 : 1));
try {
  await main();
} catch (error) {
  const known = error instanceof BridgeError || error.code?.startsWith?.("ERR_PARSE_ARGS");
  console.error(error instanceof BridgeError ? error.line : known || error instanceof TypeError ? error.message : error);
  process.exitCode = error instanceof BridgeError ? (EXIT[error.code] ?? 1) : 2;
}
