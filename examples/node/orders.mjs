// Orders (7, "Methods that trade"). Rule 1: an order keeps its identity whatever happens; after a
// lost reply it is asked for again under the same one, never under another. Rule 2: what is not
// known is UNKNOWN, and the answer to UNKNOWN is to find out, not to trade.

import { BridgeError } from "./bridge_client.mjs";

const ASK_AGAIN_MS = 2_000; // a reply that is later than this may be lost
const STATUS_EVERY_MS = 500;
const GRACE_MS = 1_000; // the relay's own answer at the deadline comes first
/** 7: what a client takes for known; any other outcome is UNKNOWN. */
const KNOWN = new Set(["DONE", "PARTIAL", "PLACED", "REJECTED", "DENIED"]);

const now = () => performance.now();
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const compact = (params) =>
  Object.fromEntries(Object.entries(params).filter(([, value]) => value !== undefined));

/** Whether it may have been executed, or not, and nobody can say yet. */
export const isUnknown = (result) => !KNOWN.has(result.outcome);
/** Whether something was traded. */
export const isExecuted = (result) => ["DONE", "PARTIAL"].includes(result.outcome);

export class Orders {
  #client;
  #clientId;
  #terminal;

  /** `clientId` must be the same after a restart: it is half of each order's identity. */
  constructor(client, { clientId, terminal }) {
    this.#client = client;
    this.#clientId = clientId;
    this.#terminal = terminal;
  }

  // Each method that trades takes the order's id and resolves with a result, also with UNKNOWN and
  // DENIED. It rejects with a BridgeError when nothing was sent.

  orderSend(id, params, options) {
    return this.#trade("order_send", id, params, options);
  }

  buy(id, symbol, volume, { validForMs, ...params } = {}) {
    const order = { action: "DEAL", type: "BUY", symbol, volume, ...params };
    return this.#trade("order_send", id, order, { validForMs });
  }

  sell(id, symbol, volume, { validForMs, ...params } = {}) {
    const order = { action: "DEAL", type: "SELL", symbol, volume, ...params };
    return this.#trade("order_send", id, order, { validForMs });
  }

  orderModify(id, order, changes, options) {
    return this.#trade("order_modify", id, { order, ...changes }, options);
  }

  positionModify(id, position, changes, options) {
    return this.#trade("position_modify", id, { position, ...changes }, options);
  }

  /** Without `volume` all that is open. */
  positionClose(id, position, { volume, deviation, comment, ...options } = {}) {
    return this.#trade("position_close", id, { position, volume, deviation, comment }, options);
  }

  positionCloseBy(id, position, positionBy, options) {
    return this.#trade("position_close_by", id, { position, position_by: positionBy }, options);
  }

  orderCancel(id, order, options) {
    return this.#trade("order_cancel", id, { order }, options);
  }

  closeAll(id, { symbol, magic, positions, orders, deviation, ...options } = {}) {
    const params = { symbol, magic, positions, orders, deviation };
    return this.#trade("close_all", id, params, options);
  }

  // These only read.

  orderCheck(params, options) {
    return this.#read("order_check", params, options);
  }

  /** Rejects with NOT_AVAILABLE when the relay has never heard of it. */
  orderStatus(id, options) {
    const params = { client_id: this.#clientId, client_order_id: id };
    return this.#client.ask("order_status", params, options);
  }

  async positions(selection = {}, options) {
    return (await this.#read("positions", selection, options)).positions;
  }

  async orders(selection = {}, options) {
    return (await this.#read("orders", selection, options)).orders;
  }

  async account(options) {
    return (await this.#read("account", {}, options)).account;
  }

  /**
   * Resolves with what became of an order as soon as that is known, however long it takes, and
   * with null when the relay never heard of it. `cancelled` ends the waiting.
   */
  async settled(id, cancelled = () => false) {
    while (!cancelled()) {
      try {
        const result = await this.orderStatus(id, { timeoutMs: 2_000 });
        if (!isUnknown(result)) return result;
      } catch (error) {
        if (error.code === "NOT_AVAILABLE") return null;
        if (error.code === "INVALID_REQUEST" || error.code === "CLOSED") throw error;
        // No relay at the moment: it knows more when it is back.
      }
      await sleep(STATUS_EVERY_MS);
    }
    throw new BridgeError({ code: "CLOSED", hop: "client", message: `${id} is still UNKNOWN` });
  }

  #read(method, params, options) {
    return this.#client.ask(method, compact(params), { ...options, terminal: this.#terminal });
  }

  async #trade(method, id, params, { validForMs = 5_000 } = {}) {
    const deadline = now() + validForMs;
    const options = { terminal: this.#terminal, clientId: this.#clientId, clientOrderId: id };
    let lost = null;
    for (let left = validForMs; left >= 1; left = deadline - now()) {
      // The last try waits for the relay's own answer at the deadline.
      const last = left <= ASK_AGAIN_MS;
      const timeoutMs = last ? left + GRACE_MS : ASK_AGAIN_MS;
      try {
        // What is left of the time: an order that was lost on the way must not be executed late.
        const valid = { validForMs: Math.max(1, Math.floor(left)), timeoutMs };
        return await this.#client.ask(method, compact(params), { ...options, ...valid });
      } catch (error) {
        // An error says of this question that nothing was sent for it; of an earlier one without
        // a reply it says nothing, and neither does a defect of the relay.
        if (error.code === "DEADLINE_EXCEEDED" || error.code === "CLOSED") {
          lost ??= error;
        } else if (lost === null && error.code !== "INTERNAL") {
          throw error;
        } else {
          lost ??= error;
          await sleep(error.retryAfterMs || 100);
        }
        if (error.code === "CLOSED") break;
      }
    }
    return {
      outcome: "UNKNOWN",
      final: false,
      reason: "",
      hop: lost?.hop ?? "relay",
      message: `${lost?.message ?? "no reply"}: it may have been executed`,
      hint: "ask order_status, or send it again under the same id",
      command_id: `${this.#clientId}/${id}`,
      client_order_id: id,
      replayed: false,
      children: [],
    };
  }
}
