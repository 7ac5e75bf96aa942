// One topic, as section 8 of docs/reference/bus-protocol.md has it. No sockets, no clock.
//
// `seq` is the number delivered last, `top` the highest that is known to exist. Whatever
// arrives, every number is delivered once and in order, or lies in a gap that is told.

/** Messages that are kept behind a hole; further ones are asked for again. */
const KEPT_MAX = 100_000;

export class Topic {
  /** `deliver(body)` and `tell(gap)` are called in the order of the topic's numbers. */
  constructor(name, deliver, tell) {
    this.name = name;
    this.deliver = deliver;
    this.tell = tell;
    this.joined = false;
    this.epoch = null;
    this.seq = 0n;
    this.top = 0n;
    this.kept = new Map(); // seq -> body: behind a hole
    this.early = []; // [epoch, seq, body]: before the snapshot
    this.fresh = false; // nothing of this epoch was delivered, nothing promises its beginning
  }

  get behind() {
    return this.joined && this.epoch !== null && this.seq < this.top;
  }

  /** What to replay next: up to the first message that is kept already. */
  wanted() {
    return { epoch: this.epoch, first: this.seq + 1n, last: this.#until(this.top) };
  }

  /** 8.1: a message, published or replayed. */
  receive(epoch, seq, body) {
    if (!this.joined) {
      if (this.early.length < KEPT_MAX) this.early.push([epoch, seq, body]);
      else this.early[KEPT_MAX - 1] = [epoch, seq, null]; // it exists: the rest is replayed
      return;
    }
    if (!this.#turnTo(epoch) || seq <= this.seq) return;
    if (seq > this.top) this.top = seq;
    if (seq === this.seq + 1n) {
      this.#deliver(seq, body);
      this.#drain();
    } else if (this.kept.size < KEPT_MAX) {
      this.kept.set(seq, body);
    }
  }

  /** 8.2: the topic's newest message has these numbers, as `relay` or a snapshot told. */
  tail(epoch, seq) {
    if (this.joined && seq > 0n && this.#turnTo(epoch) && seq > this.top) this.top = seq;
  }

  /** 9, step 7: the snapshot of the first join; `bodySeq` is the number in its body. */
  join(epoch, seq, body, bodySeq) {
    this.joined = true;
    const early = this.early;
    this.early = [];
    if (early.length > 0) {
      // Published since we subscribed: begin there, and drop nothing that was received.
      this.epoch = early[0][0];
      this.seq = this.top = early[0][1] - 1n;
    } else if (epoch > 0n) {
      this.epoch = epoch;
      this.seq = this.top = seq;
      if (body !== null && bodySeq === seq) this.deliver(body);
      else if (body !== null) this.seq = seq - 1n; // the newest is not held yet: have it replayed
    }
    for (const [e, s, b] of early) {
      if (b === null) this.tail(e, s);
      else this.receive(e, s, b);
    }
    this.tail(epoch, seq);
  }

  /** 8.4, step 4: the relay does not hold these and never will again. */
  lose(epoch, first, last, reason) {
    if (epoch !== this.epoch || first > this.seq + 1n || last <= this.seq) return;
    const end = this.#until(last);
    if (!this.fresh) {
      this.tell({ topic: this.name, epoch, first: this.seq + 1n, last: end, reason });
    }
    this.seq = end;
    this.#drain();
  }

  #until(last) {
    for (const seq of this.kept.keys()) if (seq <= last) last = seq - 1n;
    return last;
  }

  // 8.1, case 4. Returns false for an epoch that is over.
  #turnTo(epoch) {
    if (epoch === this.epoch) return true;
    if (this.epoch !== null) {
      if (epoch < this.epoch) return false;
      const reason = "the stream began anew";
      if (!this.fresh) {
        this.tell({ topic: this.name, epoch: this.epoch, first: this.seq + 1n, last: null, reason });
      }
    }
    this.epoch = epoch;
    this.seq = this.top = 0n;
    this.kept.clear();
    this.fresh = true;
    return true;
  }

  #deliver(seq, body) {
    this.seq = seq;
    this.fresh = false;
    this.deliver(body);
  }

  #drain() {
    for (let body; (body = this.kept.get(this.seq + 1n)) !== undefined; ) {
      this.kept.delete(this.seq + 1n);
      this.#deliver(this.seq + 1n, body);
    }
  }
}
