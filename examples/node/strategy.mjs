// A moving-average strategy. It is an example of how to place orders, not of how to earn money.
//   node strategy.mjs ENDPOINT TERMINAL SYMBOL --client-id ID --state FILE [options]

import { readFileSync, rmSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import { parseArgs } from "node:util";
import { Bars, Crossing } from "./averages.mjs";
import { BridgeClient, BridgeError } from "./bridge_client.mjs";
import { isExecuted, isUnknown, Orders } from "./orders.mjs";

const USAGE =
  "usage: node strategy.mjs ENDPOINT TERMINAL SYMBOL --client-id ID --state FILE [--volume 0.1] " +
  "[--fast 5] [--slow 20] [--bar-ms 60000] [--magic N] [--max-orders N] [--max-age-ms 2000] " +
  "[--valid-ms 5000] [--yes]";
const EXIT = { RELAY_UNREACHABLE: 10, TERMINAL_UNAVAILABLE: 11, UNKNOWN_TERMINAL: 11 };
const DEMO = 0n; // ENUM_ACCOUNT_TRADE_MODE

/** JSON as the protocol writes it: what a double cannot hold is text. */
const plain = (_, value) =>
  typeof value !== "bigint" ? value
  : value > 2n ** 53n || value < -(2n ** 53n) ? String(value)
  : Number(value);
const say = (event, what) => process.stdout.write(`${JSON.stringify({ event, ...what }, plain)}\n`);

class UsageError extends Error {}

/** The id of the order that may be under way: on disk before anything is sent. */
class Intent {
  constructor(path) {
    this.path = path;
  }

  read() {
    try {
      return JSON.parse(readFileSync(this.path, "utf8")).id;
    } catch (error) {
      if (error.code === "ENOENT") return null;
      throw error; // a file that cannot be read may name an order: a person has to look
    }
  }

  async write(id) {
    const file = await open(`${this.path}.new`, "w");
    try {
      await file.writeFile(JSON.stringify({ id }));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${this.path}.new`, this.path);
  }

  clear() {
    rmSync(this.path, { force: true });
  }
}

class Strategy {
  #orders;
  #intent;
  #options;
  #bars;
  #crossing;
  stopped = null;
  placed = 0;

  constructor(orders, options) {
    this.#orders = orders;
    this.#intent = new Intent(options.state);
    this.#options = options;
    this.#bars = new Bars(options.barMs);
    this.#crossing = new Crossing(options.fast, options.slow);
  }

  /** What the last run left: nothing is traded before it is known how that ended. */
  async recover() {
    const id = this.#intent.read();
    if (id === null) return;
    const result = await this.#orders.settled(id, () => this.stopped !== null);
    say("recovered", { id, outcome: result?.outcome ?? "NEVER_SENT" });
    this.#intent.clear();
  }

  async tick(tick) {
    const ended = this.#bars.add(tick);
    const signal = ended && this.#crossing.add(ended.close);
    if (!signal) return;
    const age = Date.now() - Number(tick.time_utc_msc);
    const old = this.#options.maxAgeMs > 0 && age > this.#options.maxAgeMs;
    // A price of the past is no reason to trade now.
    if (old || tick.backlog || tick.late) say("passed", { signal, bar: ended.bar, age_ms: age });
    else await this.#turn(signal, ended.bar);
  }

  // To one position on the side of the signal. The names of the orders come from bar and position:
  // whoever gives the same signal again after a restart asks for the same orders.
  async #turn(signal, bar) {
    const { symbol, volume, magic, validForMs } = this.#options;
    const name = `${symbol.replace(/[^A-Za-z0-9._-]/g, "_").slice(0, 24)}:${bar}`;
    const prefix = /^[A-Za-z0-9]/.test(name) ? name : `s${name}`;
    const side = signal === "BUY" ? 0n : 1n; // ENUM_POSITION_TYPE
    let mine;
    try {
      mine = await this.#orders.positions({ symbol, magic });
    } catch (error) {
      if (!(error instanceof BridgeError)) throw error;
      say("error", { error: error.line }); // what is open is not known: this signal is lost
      return;
    }
    for (const { type, ticket } of mine.filter((position) => BigInt(position.type) !== side)) {
      const result = await this.#place(`${prefix}:close:${ticket}`, "close", (id) =>
        this.#orders.positionClose(id, ticket, { comment: `${signal} at ${bar}`, validForMs }),
      );
      // Without the close there would be two positions, or on a netting account half a turn.
      if (result?.outcome !== "DONE" && result?.reason !== "NOTHING_TO_CLOSE") return;
    }
    if (mine.some((position) => BigInt(position.type) === side)) return;
    const options = { magic, comment: `${signal} at ${bar}`, validForMs };
    const buying = signal === "BUY";
    await this.#place(`${prefix}:open`, signal, (id) =>
      buying ? this.#orders.buy(id, symbol, volume, options) : this.#orders.sell(id, symbol, volume, options),
    );
  }

  async #place(id, what, send) {
    if (this.stopped !== null) return null;
    if (this.placed >= this.#options.maxOrders) {
      this.stopped = `${this.placed} orders were placed, no more are allowed`;
      return null;
    }
    await this.#intent.write(id);
    let result;
    try {
      result = await send(id);
    } catch (error) {
      if (!(error instanceof BridgeError)) throw error;
      this.#intent.clear(); // nothing was sent
      say("error", { id, what, error: error.line });
      return null;
    }
    const { replayed } = result; // known before: an earlier run placed it
    if (isUnknown(result)) {
      say("unknown", { id, what, message: result.message });
      result = await this.#orders.settled(id, () => this.stopped !== null);
    }
    this.#intent.clear();
    if (result === null) {
      say("result", { id, what, outcome: "NEVER_SENT" });
      return null;
    }
    if (isExecuted(result) && !replayed) this.placed += 1;
    const { outcome, reason, retcode_name, order, position, volume, price, message } = result;
    say("result", { id, what, outcome, reason, retcode_name, order, position, volume, price, replayed, message });
    return result;
  }
}

function optionsFrom() {
  const text = { type: "string" };
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      "client-id": text, state: text, volume: text, fast: text, slow: text, "bar-ms": text,
      magic: text, "max-orders": text, "max-age-ms": text, "valid-ms": text,
      yes: { type: "boolean", default: false },
    },
  });
  const [endpoint, terminal, symbol] = positionals;
  const number = (name, otherwise) => Number(values[name] ?? otherwise);
  const options = {
    endpoint, terminal, symbol, clientId: values["client-id"], state: values.state, yes: values.yes,
    volume: number("volume", 0.1), fast: number("fast", 5), slow: number("slow", 20),
    barMs: number("bar-ms", 60_000), magic: BigInt(values.magic ?? 20_260), maxOrders: number("max-orders", 100),
    maxAgeMs: number("max-age-ms", 2_000), validForMs: number("valid-ms", 5_000),
  };
  const whole = [options.fast, options.slow, options.barMs, options.maxOrders, options.validForMs].every(
    (value) => Number.isInteger(value) && value > 0,
  );
  if (!symbol || positionals.length > 3 || !options.clientId || !options.state) throw new UsageError(USAGE);
  if (!whole || options.fast >= options.slow || !(options.volume > 0) || !(options.maxAgeMs >= 0)) {
    throw new UsageError(USAGE);
  }
  return options;
}

async function main() {
  const options = optionsFrom();
  const client = await BridgeClient.connect(options.endpoint, { timeoutMs: 3_000 });
  const orders = new Orders(client, options);
  const strategy = new Strategy(orders, options);
  const stop = (reason) => {
    strategy.stopped ??= reason;
    client.close();
  };
  process.once("SIGINT", () => stop("asked to stop"));
  try {
    const account = await orders.account();
    if (BigInt(account.trade_mode) !== DEMO && !options.yes) {
      const message = `account ${account.login} is no demo account`;
      throw new BridgeError({ code: "REAL_ACCOUNT", hop: "client", message, hint: "--yes to trade on it" });
    }
    await strategy.recover();
    await client.subscribeTrades(options.terminal);
    const [state] = await client.subscribe(options.terminal, [options.symbol]);
    if (state.error && state.error.code !== "DEADLINE_EXCEEDED") throw new BridgeError(state.error);
    say("joined", { topic: state.topic, balance: account.balance });
    for await (const event of client.events()) {
      if (strategy.stopped !== null) break;
      if (event.kind === "tick") await strategy.tick(event);
      else if (event.kind === "trade" && event.what === "VERDICT_CORRECTED") {
        stop(`${event.record.command_id} was executed after all: a person has to look`);
      } else if (event.kind !== "trade") say(event.kind, { topic: event.topic });
    }
    say("stopped", { reason: strategy.stopped ?? "closed", placed: strategy.placed });
  } finally {
    client.close();
  }
}

process.stdout.on("error", (error) => process.exit(error.code === "EPIPE" ? 0 : 1));
try {
  await main();
} catch (error) {
  const usage = error instanceof UsageError || error.code?.startsWith?.("ERR_PARSE_ARGS");
  console.error(error instanceof BridgeError ? error.line : usage ? error.message : error);
  process.exitCode = error instanceof BridgeError ? (EXIT[error.code] ?? 1) : 2;
}
