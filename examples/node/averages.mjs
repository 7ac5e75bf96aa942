// Two moving averages of bars made from ticks. No sockets, no clock: the same ticks give the same
// signals, so a strategy that is started anew gives the same orders the same names.

/** Closes of bars of `barMs`, by the trade server's clock. */
export class Bars {
  #barMs;
  #bar = null;
  #close = 0;

  constructor(barMs) {
    this.#barMs = BigInt(barMs);
  }

  /** Takes a tick; returns {bar, close} when it ends a bar, else null. */
  add(tick) {
    const bar = tick.time_msc / this.#barMs;
    const ended = this.#bar !== null && bar > this.#bar ? { bar: this.#bar, close: this.#close } : null;
    // A tick that is late belongs to a bar that has ended: it changes nothing.
    if (this.#bar === null || bar >= this.#bar) {
      this.#bar = bar;
      this.#close = (tick.bid + tick.ask) / 2;
    }
    return ended;
  }
}

/** Tells when the fast average crosses the slow one. */
export class Crossing {
  #fast;
  #slow;
  #closes = [];
  #above = null;

  constructor(fast, slow) {
    this.#fast = fast;
    this.#slow = slow;
  }

  /** Takes a close; returns "BUY" or "SELL" when the averages crossed with it, else null. */
  add(close) {
    this.#closes.push(close);
    if (this.#closes.length > this.#slow) this.#closes.shift();
    if (this.#closes.length < this.#slow) return null;
    const mean = (count) => this.#closes.slice(-count).reduce((sum, next) => sum + next, 0) / count;
    const [fast, slow] = [mean(this.#fast), mean(this.#slow)];
    if (fast === slow) return null;
    const before = this.#above;
    this.#above = fast > slow;
    if (before === null || before === this.#above) return null;
    return this.#above ? "BUY" : "SELL";
  }
}
