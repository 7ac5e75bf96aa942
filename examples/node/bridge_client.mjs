// A client of the bus protocol, version 1, written from docs/reference/bus-protocol.md alone.
// The numbers in comments are its sections.

import { randomBytes } from "node:crypto";
import { decode, encode } from "@msgpack/msgpack";
import { Dealer, Subscriber } from "zeromq";
import { Topic } from "./topic.mjs";

const BUS_VERSION = 1;
const SILENCE_MS = 3_000; // 8.3
const RETRY_MS = 100; // 8.4
const SYNC_EVERY_MS = 50; // 9
const PATIENCE_MS = 60_000; // a hole that the relay answers for but does not explain is a gap then
const TOPICS_MAX = 200; // in one snapshot; the limit is 256
const QUEUE_MAX = 50_000; // beyond it we stop reading: what ZeroMQ drops is healed later

const now = () => performance.now();
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/** A map or an array; an empty one for bytes that are neither. */
const unpacked = (bytes) => {
  try {
    return decode(bytes, { useBigInt64: true }) ?? [];
  } catch {
    return [];
  }
};
/** What a socket receives, until it is closed: then a receive under way may end with any error. */
async function* received(socket) {
  try {
    yield* socket;
  } catch (error) {
    if (!socket.closed) throw error;
  }
}
/** Numbers of 64 bits come as number or BigInt, by the form that msgpack chose. */
const big = (value) => BigInt(value);

/** An error reply, or `RELAY_UNREACHABLE` and `DEADLINE_EXCEEDED` of our own. */
export class BridgeError extends Error {
  constructor(error) {
    super(error.message);
    this.name = "BridgeError";
    this.code = error.code;
    this.hop = error.hop;
    this.field = error.field ?? "";
    this.hint = error.hint ?? "";
    this.retryAfterMs = Number(error.retry_after_ms ?? 0);
  }

  get line() {
    const field = this.field && `${this.field}: `;
    return `[${this.hop}] ${this.code}: ${field}${this.message}${this.hint && ` (${this.hint})`}`;
  }
}

/** 6: requests over one DEALER, any number of them at once. */
class Requests {
  // 6.5: nothing is kept for a relay that is not there; it would come when nobody waits for it.
  #socket = new Dealer({ linger: 0, immediate: true, sendTimeout: 1_000 });
  #waiting = new Map();
  #lastId = 0;
  #sent = Promise.resolve();

  constructor(endpoint) {
    this.endpoint = endpoint;
    this.#socket.connect(endpoint);
    this.done = this.#read();
  }

  async #read() {
    for await (const frames of received(this.#socket)) {
      const reply = unpacked(frames[frames.length - 1]);
      const waiting = this.#waiting.get(reply.id);
      if (!waiting) continue; // not ours, or its deadline has passed
      if (reply.ok) waiting.resolve(reply.result);
      else waiting.reject(new BridgeError(reply.error));
    }
  }

  /** Resolves with the result; rejects with a BridgeError by the deadline at the latest. */
  ask(method, params = {}, options = {}) {
    const { terminal, validForMs, clientId, clientOrderId, timeoutMs = 6_000 } = options;
    const id = String(++this.#lastId);
    const request = { id, method, params };
    if (terminal !== undefined) request.terminal = terminal;
    if (validForMs !== undefined) request.valid_for_ms = validForMs;
    if (clientId !== undefined) request.client_id = clientId;
    if (clientOrderId !== undefined) request.client_order_id = clientOrderId;
    const body = encode(request, { useBigInt64: true });
    return new Promise((resolve, reject) => {
      const message = `no reply from ${this.endpoint} to ${method} within ${timeoutMs} ms`;
      const timer = setTimeout(
        () => waiting.reject(new BridgeError({ code: "DEADLINE_EXCEEDED", hop: "relay", message })),
        timeoutMs,
      );
      const settle = (how) => (value) => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        how(value);
      };
      const waiting = { resolve: settle(resolve), reject: settle(reject) };
      this.#waiting.set(id, waiting);
      // A zeromq.js socket takes one send at a time.
      this.#sent = this.#sent
        .then(() => (this.#waiting.has(id) ? this.#socket.send(body) : undefined))
        .catch(() => {}); // not connected: the deadline tells
    });
  }

  close() {
    for (const waiting of [...this.#waiting.values()]) {
      waiting.reject(new BridgeError({ code: "CLOSED", hop: "client", message: "client closed" }));
    }
    this.#socket.close();
  }
}

export class BridgeClient {
  #requests;
  #subscriber = null;
  #topics = new Map();
  #queue = [];
  #wake = () => {};
  #room = () => {};
  #barriers = new Map();
  #relay = { epoch: 0n, seq: 0n, heard: 0 };
  #healing = new Set();
  #joining = null;
  #stale = false;
  #timer = null;
  #closed = false;
  stats = { received: 0, replayed: 0, gaps: 0, joins: 0 };

  /** 3: the request endpoint is all that a client is given. */
  static async connect(endpoint, { timeoutMs = 5_000 } = {}) {
    const client = new BridgeClient();
    client.#requests = new Requests(endpoint);
    try {
      client.info = await client.#requests.ask("ping", {}, { timeoutMs });
    } catch (error) {
      client.close();
      if (error.code !== "DEADLINE_EXCEEDED") throw error;
      throw new BridgeError({
        code: "RELAY_UNREACHABLE",
        hop: "relay",
        message: `nothing answers at ${endpoint}`,
        hint: "start it with 'bridge run'",
      });
    }
    if (client.info.bus_version !== BUS_VERSION) {
      client.close();
      const message = `the relay speaks version ${client.info.bus_version}, this client ${BUS_VERSION}`;
      throw new BridgeError({ code: "UNSUPPORTED", hop: "client", message });
    }
    return client;
  }

  ask(method, params, options) {
    return this.#requests.ask(method, params, options);
  }

  /**
   * 9: subscribe to ticks; resolves with the entries of the snapshot, which say for each
   * symbol whether it streams or why not.
   */
  async subscribe(alias, symbols) {
    const topics = symbols.map((symbol) => {
      const deliver = (body) => this.#put(tickOf(alias, symbol, body));
      return this.#add(`tick/${alias}/${symbol}`, deliver);
    });
    return this.#join(topics.map((topic) => topic.name));
  }

  /** 4.3: subscribe to what happens to an account and to its orders, from now on. */
  async subscribeTrades(alias) {
    const deliver = (body) => this.#put(tradeOf(alias, body));
    return this.#join([this.#add(`trade/${alias}`, deliver, { state: false }).name]);
  }

  /** Ticks, trades, gaps and the notices `stale`, `live` in order; ends when the client is closed. */
  async *events() {
    while (!this.#closed) {
      while (this.#queue.length > 0) {
        const items = this.#queue;
        this.#queue = [];
        this.#room();
        yield* items;
      }
      if (!this.#closed) await new Promise((resolve) => (this.#wake = resolve));
    }
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    this.#subscriber?.close();
    this.#requests.close();
    this.#wake();
    this.#room();
  }

  #add(name, deliver, { state = true } = {}) {
    if (this.#subscriber === null) {
      this.#subscriber = new Subscriber({ linger: 0, receiveHighWaterMark: 100_000 });
      this.#subscriber.connect(this.info.publish);
      this.#subscriber.subscribe("relay\0");
      this.#relay.heard = now();
      this.#read();
      this.#timer = setInterval(() => this.#watch(), 500);
    }
    const tell = (gap) => {
      this.stats.gaps += 1;
      this.#put({ kind: "gap", ...gap });
    };
    const topic = new Topic(name, deliver, tell);
    // The newest message of a state is the state; that of a history is an old story.
    topic.state = state;
    this.#topics.set(name, topic);
    this.#subscriber.subscribe(`${name}\0`);
    return topic;
  }

  #put(item) {
    this.#queue.push(item);
    this.#wake();
  }

  // --- 4: what is published -------------------------------------------------------------

  async #read() {
    for await (const [frame] of received(this.#subscriber)) {
      const end = frame.indexOf(0);
      if (end < 0) continue;
      const name = frame.toString("utf8", 0, end);
      const body = unpacked(frame.subarray(end + 1));
      if (!(body.length >= 2)) continue;
      const [epoch, seq] = [big(body[0]), big(body[1])];
      const topic = this.#topics.get(name);
      if (topic) {
        this.stats.received += 1;
        topic.receive(epoch, seq, body);
        this.#heal(topic);
      } else if (name === "relay") {
        this.#hear(epoch, seq, body[3]);
      } else if (name.startsWith("sync/")) {
        this.#barriers.get(name)?.();
      }
      while (this.#queue.length > QUEUE_MAX && !this.#closed) {
        this.#wake();
        await new Promise((resolve) => (this.#room = resolve));
      }
    }
  }

  #hear(epoch, seq, tails) {
    const relay = this.#relay;
    relay.heard = now();
    if (this.#stale) {
      this.#stale = false;
      this.#put({ kind: "live" });
    }
    const restarted = relay.epoch !== 0n && epoch > relay.epoch;
    const jumped = relay.epoch === epoch && seq > relay.seq + 1n;
    if (epoch >= relay.epoch) Object.assign(relay, { epoch, seq });
    for (const [name, tailEpoch, tailSeq] of tails) {
      const topic = this.#topics.get(name);
      if (topic) {
        topic.tail(big(tailEpoch), big(tailSeq));
        this.#heal(topic);
      }
    }
    if (restarted || jumped) this.#rejoin(); // 8.3, cases 3 and 1
  }

  // 8.3, case 2.
  #watch() {
    if (now() - this.#relay.heard < SILENCE_MS || this.#joining) return;
    if (!this.#stale) {
      this.#stale = true;
      this.#put({ kind: "stale" });
    }
    this.#rejoin();
  }

  // --- 9: joining -----------------------------------------------------------------------

  #rejoin() {
    if (this.#joining || this.#closed) return;
    this.#joining = this.#join([...this.#topics.keys()])
      .catch(() => {}) // no relay: #watch tries again
      .finally(() => (this.#joining = null));
  }

  async #join(names) {
    await this.#barrier();
    const all = ["relay", ...names];
    const states = [];
    for (let at = 0; at < all.length; at += TOPICS_MAX) {
      const asked = { topics: all.slice(at, at + TOPICS_MAX) };
      states.push(...(await this.ask("snapshot", asked)).topics);
    }
    // Each message since we subscribed is wanted: what the snapshot knows of has arrived then.
    if (names.some((name) => !this.#topics.get(name).joined)) await this.#barrier();
    const [relay, ...rest] = states;
    const epoch = big(relay.epoch);
    if (epoch > this.#relay.epoch) Object.assign(this.#relay, { epoch, seq: big(relay.seq) });
    for (const state of rest) {
      const topic = this.#topics.get(state.topic);
      const at = [big(state.epoch), big(state.seq)];
      if (topic.joined) topic.tail(...at);
      else topic.join(...at, topic.state ? state.body : null, state.body && big(state.body[1]));
      this.#heal(topic);
    }
    this.stats.joins += 1;
    this.#relay.heard = now();
    return rest;
  }

  async #barrier() {
    const nonce = randomBytes(12).toString("base64url");
    const name = `sync/${nonce}`;
    let passed = false;
    const arrived = new Promise((resolve) =>
      this.#barriers.set(name, () => resolve((passed = true))),
    );
    this.#subscriber.subscribe(`${name}\0`); // behind the topics
    const deadline = now() + 5_000;
    try {
      while (!passed) {
        if (this.#closed || now() > deadline) {
          const message = `no barrier came from ${this.info.publish}`;
          throw new BridgeError({ code: "DEADLINE_EXCEEDED", hop: "relay", message });
        }
        this.ask("sync", { nonce }, { timeoutMs: 1_000 }).catch(() => {});
        await Promise.race([arrived, sleep(SYNC_EVERY_MS)]);
      }
    } finally {
      this.#barriers.delete(name);
      if (!this.#closed) this.#subscriber.unsubscribe(`${name}\0`);
    }
  }

  // --- 8.4: healing ---------------------------------------------------------------------

  async #heal(topic) {
    if (!topic.behind || this.#healing.has(topic)) return;
    this.#healing.add(topic);
    let unexplained = 0; // ms for which the relay answered and said nothing of it
    try {
      while (topic.behind && !this.#closed) {
        const asked = topic.wanted();
        const before = topic.seq;
        const pause = await this.#replay(topic, asked);
        if (topic.seq !== before || topic.epoch !== asked.epoch) {
          unexplained = 0;
          continue;
        }
        if (pause === 0) unexplained += RETRY_MS;
        if (unexplained > PATIENCE_MS) {
          const reason = "the relay did not say what became of it";
          topic.lose(asked.epoch, asked.first, asked.last, reason);
        } else {
          await sleep(pause || RETRY_MS);
        }
      }
    } finally {
      this.#healing.delete(topic);
    }
  }

  /** Asks once and takes the answer; resolves with the ms to wait if there was none yet. */
  async #replay(topic, asked) {
    let reply;
    try {
      reply = await this.ask("replay", { topic: topic.name, ...asked });
      if (reply.messages.length === 0 && reply.missing.length > 0) {
        // Right after a restart of the relay "missing" means "not held now".
        const params = { topics: [topic.name], wait_ms: 0 };
        const [state] = (await this.ask("snapshot", params)).topics;
        if (state.oldest_seq === null && big(state.epoch) === asked.epoch) return RETRY_MS;
      }
    } catch (error) {
      return error.retryAfterMs || RETRY_MS;
    }
    const losses = reply.missing.map((range) => range.map(big));
    const lose = (before) => {
      while (losses.length > 0 && losses[0][0] < before) {
        topic.lose(asked.epoch, ...losses.shift(), "the relay does not hold it any more");
      }
    };
    for (const body of reply.messages) {
      const [epoch, seq] = [big(body[0]), big(body[1])];
      lose(seq);
      this.stats.replayed += 1;
      topic.receive(epoch, seq, body);
    }
    lose(2n ** 64n);
    return 0;
  }
}

function tickOf(terminal, symbol, body) {
  const [epoch, seq, timeMsc, bid, ask, last, volumeReal, flags, utcOffsetMin] = body;
  return {
    kind: "tick",
    terminal,
    symbol,
    epoch: big(epoch),
    seq: big(seq),
    time_msc: big(timeMsc),
    time_utc_msc: big(timeMsc) - BigInt(utcOffsetMin) * 60_000n,
    bid,
    ask,
    last,
    volume_real: volumeReal,
    flags: flags & 0xff,
    backlog: (flags & 256) !== 0,
    late: (flags & 512) !== 0,
  };
}

function tradeOf(terminal, [epoch, seq, timeUtcMsc, what, recovered, record]) {
  return {
    kind: "trade",
    terminal,
    epoch: big(epoch),
    seq: big(seq),
    time_utc_msc: big(timeUtcMsc),
    what,
    recovered,
    record,
  };
}
