// An EA-like terminal that is never the bottleneck: dials the relay, logs on, streams ticks.
//
//   generator --host 127.0.0.1 --port 5555 --alias bench --key-file bench.key [--nagle 1]
//
// Commands (stdin) and answers (stdout, one JSON document a line):
//   streams n=20 timeout_ms=8000    wait until the relay has subscribed n symbols
//   warm                            one tick of round 0 on every stream
//   flood round=1 count=800000 batch=64 run=64
//                                   frames of `batch` ticks in runs of `run`, as fast as the
//                                   window of unacknowledged data lets them go. They are made
//                                   and tagged before the clock starts.
//   pace round=1 count=7000 rate=10000 [batch=1]
//                                   one frame a send at a steady rate, stamped and tagged
//                                   just before its send()
//   quit
#include "wire.hpp"

#include <deque>
#include <fstream>
#include <optional>
#include <utility>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/random.h>
#include <sys/socket.h>

namespace {

using bench::Command;
using bench::now_ns;
using bench::now_us;
using bench::say;
using wire::Bytes;

constexpr int64_t kReadAheadNs = 150'000;
constexpr int kStallMs = 10'000;

struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

wire::Key read_key(const std::string& path) {
    std::ifstream file(path);
    std::string text;
    file >> text;
    if (text.size() != 64 || text.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos)
        throw Failure("the key file does not hold 64 hexadecimal characters: " + path);
    wire::Key key;
    for (size_t i = 0; i < key.size(); ++i)
        key[i] = uint8_t(std::strtoul(text.substr(2 * i, 2).c_str(), nullptr, 16));
    return key;
}

struct Stream {
    uint32_t id;
    std::string symbol;
    uint32_t epoch;
    uint64_t next_seq;
    bool live;
};

class Terminal {
  public:
    Terminal(const bench::Options& options)
        : key_(read_key(options.text("key-file"))), alias_(options.text("alias", "bench")) {
        fd_ = socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(uint16_t(options.number("port", 5555)));
        inet_pton(AF_INET, options.text("host", "127.0.0.1").c_str(), &to.sin_addr);
        if (connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
            throw Failure("the relay does not listen on port " + options.text("port"));
        // The relay's p50 is the question here, not what Nagle adds to it; MetaTrader decides
        // this for the real EA, and --nagle 1 shows the difference.
        const int no_delay = options.number("nagle", 0) == 0;
        setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof no_delay);
    }

    ~Terminal() { close(fd_); }

    void log_on() {
        const Bytes hello = hello_body();
        send_frame(wire::HELLO, hello);
        const Bytes challenge = wait_for(wire::CHALLENGE);
        if (challenge.size() < 32) throw Failure("CHALLENGE is cut");
        const size_t fields = challenge.size() - 32;
        wire::Reader reader(challenge.data(), fields);
        reader.array();
        if (reader.integer() != 1) throw Failure("the relay does not speak version 1");

        // The transcript is what both sides said so far; proofs and session keys follow from
        // its hash, and the relay has to prove itself first.
        uint8_t length[4];
        bench::put_le<uint32_t>(length, uint32_t(hello.size()));
        wire::Sha256 hash;
        hash.update(length, sizeof length);
        hash.update(hello.data(), hello.size());
        hash.update(challenge.data(), fields);
        wire::Key transcript;
        hash.finish(transcript.data());
        const wire::Hmac key(key_);
        const auto derive = [&](const char* label) {
            return key.digest(label, std::strlen(label), transcript.data(), transcript.size());
        };
        if (!wire::same(derive("mt5-zmq-bridge wire 1 relay proof").data(), &challenge[fields], 32))
            throw Failure("the relay does not have this terminal's key");
        const wire::Key proof = derive("mt5-zmq-bridge wire 1 terminal proof");
        send_frame(wire::PROOF, Bytes(proof.begin(), proof.end()));
        send_key_.emplace(derive("mt5-zmq-bridge wire 1 terminal to relay"));
        receive_key_.emplace(derive("mt5-zmq-bridge wire 1 relay to terminal"));

        const Bytes welcome = wait_for(wire::WELCOME);
        wire::Reader fields_of(welcome.data(), welcome.size());
        fields_of.array();
        const std::string alias = fields_of.text();
        const std::string program = fields_of.text();
        heartbeat_us_ = fields_of.integer() * 1000;
        next_heartbeat_us_ = now_us();
        active_ = true;
        say("{\"event\":\"logged_on\",\"alias\":\"%s\",\"relay\":\"%s\"}",
            bench::json_text(alias).c_str(), bench::json_text(program).c_str());
        parse(false);
    }

    // Serves the session until a command comes.
    Command serve(bench::Commands& commands) {
        for (;;) {
            Command command;
            if (commands.waiting() && commands.next(command, 0)) return command;
            beat();
            pollfd fds[2] = {{fd_, POLLIN, 0}, {0, POLLIN, 0}};
            poll(fds, 2, int(std::max<int64_t>((next_heartbeat_us_ - now_us()) / 1000, 1)));
            if (fds[0].revents != 0) receive(0);
            if (fds[1].revents != 0 && commands.next(command, 0)) return command;
        }
    }

    void wait_for_streams(size_t wanted, int timeout_ms) {
        const int64_t deadline = now_us() + int64_t{timeout_ms} * 1000;
        while (live().size() < wanted && now_us() < deadline) {
            beat();
            receive(20);
        }
        say("{\"event\":\"streams\",\"count\":%zu,\"resumed\":%u}", live().size(), resumed_);
    }

    void warm() {
        for (Stream* stream : live()) send_now(*stream, 1, 0);
        say("{\"event\":\"warmed\"}");
    }

    void flood(const Command& command) {
        const size_t count = command.number("count", 800'000);
        const size_t batch = command.number("batch", 64);
        const size_t run = command.number("run", batch);
        const uint32_t round = uint32_t(command.number("round", 1));
        settle();
        flooding_ = true;
        const int64_t build_begin = now_us();
        std::vector<size_t> lengths;
        const Bytes frames = build(count, batch, run, round, lengths);
        const int64_t build_us = now_us() - build_begin;

        const int64_t first = now_us();
        size_t at = 0;
        for (const size_t length : lengths) {
            make_room(length);
            send_all(&frames[at], length);
            count_market(++send_seq_, length);
            at += length;
        }
        const int64_t last = now_us();
        next_heartbeat_us_ = last;
        flooding_ = false;
        for (const auto& [type, body] : std::exchange(held_back_, {})) send_frame(type, body);
        say("{\"event\":\"sent\",\"sent\":%zu,\"frames\":%zu,\"bytes\":%zu,\"first_us\":%lld,"
            "\"last_us\":%lld,\"build_us\":%lld,\"window_waits\":%zu}",
            count, lengths.size(), frames.size(), (long long)first, (long long)last,
            (long long)build_us, std::exchange(window_waits_, 0));
    }

    void pace(const Command& command) {
        const size_t count = command.number("count", 7'000);
        const size_t batch = command.number("batch", 1);
        const uint32_t round = uint32_t(command.number("round", 1));
        const size_t frames = (count + batch - 1) / batch;
        const auto streams = streams_or_fail();
        settle();
        bench::Pacer pacer(double(command.number("rate", 10'000)) / double(batch), frames);
        int64_t first = 0, last = 0;
        for (size_t i = 0; i < frames; ++i) {
            // ACKs are read in the time before a send is due, as the EA's pump would; close
            // to it nothing may delay the send.
            while (pacer.due_ns(i) - now_ns() > kReadAheadNs) {
                beat();
                receive_until(pacer.due_ns(i) - kReadAheadNs / 2);
            }
            make_room(batch * bench::kRecordSize + 128);
            bench::sleep_until_ns(pacer.due_ns(i));
            const size_t ticks = std::min(batch, count - i * batch);
            last = send_now(*streams[i % streams.size()], ticks, round);
            if (i == 0) first = last;
            pacer.sent(i, last);
            if (i % 16 == 0) {
                beat();
                receive(0);
            }
        }
        const std::string kept = pacer.report(first, last);
        say("{\"event\":\"sent\",\"sent\":%zu,\"frames\":%zu,\"first_us\":%lld,"
            "\"last_us\":%lld,%s}",
            count, frames, (long long)first / 1000, (long long)last / 1000, kept.c_str());
    }

    void log_out() {
        wire::Writer body;
        body.array(3);
        body.integer(0);
        body.text("the benchmark is over");
        body.integer(0);
        send_frame(wire::LOGOUT, body.bytes);
    }

  private:
    // --- session ------------------------------------------------------------------------

    Bytes hello_body() const {
        uint8_t random[48];
        if (getrandom(random, sizeof random, 0) != sizeof random)
            throw Failure("no randomness for the nonce");
        uint8_t incarnation[16] = {'b', 'e', 'n', 'c', 'h'};
        wire::Writer body;
        body.array(18);
        body.integer(1);  // version_min
        body.integer(1);  // version_max
        body.integer(1);  // capabilities: TICKS
        body.text(alias_);
        body.integer(90'000'001);  // login
        body.text("Benchmark-Demo");
        body.text("Benchmark");
        body.text("EUR");
        body.integer(100);  // leverage
        body.integer(3);    // role: BOTH
        body.integer(2);    // margin_mode: retail hedging
        body.integer(0);    // trade_mode: demo
        body.integer(5000);
        body.text("mt5-zmq-bridge generator");
        body.binary(incarnation, sizeof incarnation);
        body.integer(now_us());  // grows with every connection: the newest one wins
        body.integer(0);         // relay_epoch_seen
        body.binary(random, 32);
        return body.bytes;
    }

    Bytes wait_for(wire::Type wanted) {
        const int64_t deadline = now_us() + 5'000'000;
        while (now_us() < deadline) {
            receive(100, true);
            if (logon_type_ == wanted) {
                logon_type_ = 0;
                return std::exchange(logon_body_, {});
            }
        }
        throw Failure("no answer to the logon within 5 s");
    }

    void beat() {
        const int64_t now = now_us();
        if (!active_ || now < next_heartbeat_us_) return;
        next_heartbeat_us_ = now + heartbeat_us_;
        heartbeat(0);
    }

    void heartbeat(int64_t test_id) {
        const int64_t now = now_us();
        wire::Writer body;
        body.array(5);
        body.integer(now);
        body.integer(peer_time_us_);
        body.integer(peer_time_us_ != 0 ? now - peer_time_at_us_ : 0);
        body.integer(test_id);
        body.array(9);
        for (const int64_t value : {int64_t{31}, int64_t{0}, int64_t{10'000}, int64_t{0},
                                    int64_t{time(nullptr)} * 1000 + 7'200'000, int64_t{120},
                                    int64_t{250}, int64_t(streams_.size()), int64_t(in_flight_)})
            body.integer(value);
        send_frame(wire::HEARTBEAT, body.bytes);
    }

    void send_frame(wire::Type type, const Bytes& body) {
        Bytes frame(wire::kOverhead + body.size());
        wire::write_header(frame.data(), frame.size(), type, ++send_seq_);
        std::copy(body.begin(), body.end(), frame.begin() + wire::kHeaderSize);
        if (send_key_) wire::write_tag(frame.data(), frame.size(), *send_key_);
        send_all(frame.data(), frame.size());
    }

    void send_all(const uint8_t* data, size_t size) {
        while (size != 0) {
            const ssize_t sent = send(fd_, data, size, MSG_NOSIGNAL);
            if (sent < 0) throw Failure("the relay closed the connection while ticks were sent");
            data += sent;
            size -= size_t(sent);
        }
    }

    // Reads what is there, waiting up to timeout_ms for the first byte.
    bool receive(int timeout_ms, bool logon = false) {
        pollfd fd{fd_, POLLIN, 0};
        if (poll(&fd, 1, timeout_ms) <= 0) return false;
        read_socket(logon);
        return true;
    }

    void receive_until(int64_t at_ns) {
        const int64_t left = at_ns - now_ns();
        if (left <= 0) return;
        pollfd fd{fd_, POLLIN, 0};
        const timespec wait{time_t(left / 1'000'000'000), long(left % 1'000'000'000)};
        if (ppoll(&fd, 1, &wait, nullptr) > 0) read_socket(false);
    }

    void read_socket(bool logon) {
        const size_t held = received_.size();
        received_.resize(held + wire::kFrameMax);
        const ssize_t got = recv(fd_, &received_[held], wire::kFrameMax, 0);
        received_.resize(held + size_t(std::max<ssize_t>(got, 0)));
        if (got <= 0) throw Failure("the relay closed the connection");
        parse(logon);
    }

    void parse(bool logon) {
        size_t at = 0;
        while (received_.size() - at >= wire::kHeaderSize) {
            const size_t length = bench::get_le<uint32_t>(&received_[at]);
            if (length < wire::kOverhead || length > wire::kFrameMax)
                throw Failure("the relay sent a frame of a wrong length");
            if (received_.size() - at < length) break;
            take_frame(&received_[at], length);
            at += length;
            // The keys follow from this frame: what is behind it cannot be checked yet.
            if (logon && logon_type_ != 0) break;
        }
        received_.erase(received_.begin(), received_.begin() + long(at));
    }

    void take_frame(const uint8_t* frame, size_t length) {
        const uint64_t seq = bench::get_le<uint64_t>(frame + 8);
        if (frame[6] != 'M' || frame[7] != '5' || seq != ++receive_seq_)
            throw Failure("the relay sent a frame with a wrong magic or sequence number");
        const uint8_t type = frame[4];
        if (receive_key_) {
            const wire::Key tag = receive_key_->digest(frame, length - wire::kTagSize);
            if (!wire::same(tag.data(), frame + length - wire::kTagSize, wire::kTagSize))
                throw Failure("the relay sent a frame with a wrong tag");
        }
        const uint8_t* body = frame + wire::kHeaderSize;
        const size_t size = length - wire::kOverhead;
        if (type <= wire::WELCOME) {
            logon_type_ = type;
            logon_body_.assign(body, body + size);
            return;
        }
        wire::Reader reader(body, size);
        reader.array();
        take_message(type, reader);
    }

    void take_message(uint8_t type, wire::Reader& reader) {
        switch (type) {
            case wire::ACK: {
                const uint64_t seq = uint64_t(reader.integer());
                while (!unacked_.empty() && unacked_.front().first <= seq) {
                    in_flight_ -= unacked_.front().second;
                    unacked_.pop_front();
                }
                return;
            }
            case wire::HEARTBEAT:
                peer_time_us_ = reader.integer();
                peer_time_at_us_ = now_us();
                return;
            case wire::TEST_REQUEST:
                // In a flood the sequence numbers are taken already; ticks say as well as a
                // heartbeat that this side lives.
                if (!flooding_) heartbeat(reader.integer());
                return;
            case wire::SUBSCRIBE: return subscribe(reader);
            case wire::UNSUBSCRIBE: {
                const int64_t id = reader.integer();
                for (Stream& stream : streams_)
                    if (stream.id == id) stream.live = false;
                return;
            }
            case wire::REQUEST: return refuse_request(reader.integer());
            case wire::LOGOUT: {
                const long long code = reader.integer();
                throw Failure("the relay logged out: " + reader.text() + " (code " +
                              std::to_string(code) + ")");
            }
            default: return;  // nothing that a benchmark uses
        }
    }

    void answer(wire::Type type, Bytes body) {
        if (flooding_)
            held_back_.emplace_back(type, std::move(body));
        else
            send_frame(type, body);
    }

    void subscribe(wire::Reader& reader) {
        const int64_t request_id = reader.integer();
        reader.integer();  // kind
        Stream stream{uint32_t(streams_.size() + 1), reader.text(), 0, 1, true};
        reader.integer();  // timeframe
        stream.epoch = uint32_t(reader.integer());
        reader.integer();  // resume_max_age_s
        int continuity = 0;
        if (!reader.nil()) {
            // Nothing was lost on this side: go on behind what the relay has.
            reader.array();
            stream.epoch = uint32_t(reader.integer());
            stream.next_seq = uint64_t(reader.integer()) + 1;
            continuity = 1;
            ++resumed_;
        }
        wire::Writer body;
        body.array(9);
        body.integer(request_id);
        body.integer(0);
        body.text("");
        body.integer(stream.id);
        body.integer(stream.epoch);
        body.integer(int64_t(stream.next_seq));
        body.integer(continuity);
        body.integer(5);
        body.number(0.00001);
        streams_.push_back(stream);
        answer(wire::STREAM, body.bytes);
    }

    void refuse_request(int64_t request_id) {
        const uint8_t nil = 0xc0;
        wire::Writer body;
        body.array(7);
        body.integer(request_id);
        body.integer(0);
        body.boolean(true);
        body.integer(4);  // UNSUPPORTED
        body.text("the generator has only ticks");
        body.integer(0);
        body.binary(&nil, 1);
        answer(wire::PAGE, body.bytes);
    }

    // --- ticks --------------------------------------------------------------------------

    std::vector<Stream*> live() {
        std::vector<Stream*> streams;
        for (Stream& stream : streams_)
            if (stream.live) streams.push_back(&stream);
        return streams;
    }

    std::vector<Stream*> streams_or_fail() {
        auto streams = live();
        if (streams.empty()) throw Failure("the relay has not subscribed any symbol");
        return streams;
    }

    // The frames of a whole flood, with sequence numbers and tags, one behind the other. One
    // stream after the other has its turn, a run at a time.
    Bytes build(size_t count, size_t batch, size_t run, uint32_t round,
                std::vector<size_t>& lengths) {
        const auto streams = streams_or_fail();
        if (batch == 0 || run == 0) throw Failure("batch and run are at least 1");
        const size_t runs = (batch + run - 1) / run;
        const size_t most =
            wire::kOverhead + runs * wire::kRunHeaderSize + batch * bench::kRecordSize;
        if (most > wire::kMarketFrameMax) throw Failure("such a frame is larger than 8 KiB");
        Bytes frames(most * ((count + batch - 1) / batch));
        lengths.reserve((count + batch - 1) / batch);
        const int64_t stamp = now_us();
        uint64_t seq = send_seq_;
        size_t turn = 0, at = 0;
        for (size_t done = 0; done < count;) {
            const size_t begin = at;
            at += wire::kHeaderSize;
            for (size_t left = std::min(batch, count - done); left != 0;) {
                const size_t ticks = std::min(run, left);
                Stream& stream = *streams[turn++ % streams.size()];
                at += write_run(&frames[at], stream, ticks, stamp, round);
                left -= ticks;
                done += ticks;
            }
            at += wire::kTagSize;
            wire::write_header(&frames[begin], at - begin, wire::TICKS, ++seq);
            wire::write_tag(&frames[begin], at - begin, *send_key_);
            lengths.push_back(at - begin);
        }
        frames.resize(at);
        return frames;
    }

    static size_t write_run(uint8_t* at, Stream& stream, size_t ticks, int64_t stamp_us,
                            uint32_t round) {
        wire::write_run_header(at, stream.id, uint32_t(ticks), stream.next_seq, stamp_us);
        at += wire::kRunHeaderSize;
        for (size_t i = 0; i < ticks; ++i, at += bench::kRecordSize)
            bench::write_record(at, stream.epoch, stream.next_seq++, stamp_us, round);
        return wire::kRunHeaderSize + ticks * bench::kRecordSize;
    }

    // Stamps, tags and sends one frame; returns the stamp in nanoseconds.
    int64_t send_now(Stream& stream, size_t ticks, uint32_t round) {
        uint8_t frame[wire::kMarketFrameMax];
        const size_t length =
            wire::kOverhead + wire::kRunHeaderSize + ticks * bench::kRecordSize;
        if (length > sizeof frame) throw Failure("such a frame is larger than 8 KiB");
        const int64_t stamp = now_ns();
        // Round 0 is warm-up: its stamp stays zero, so that nobody takes it for a latency.
        write_run(frame + wire::kHeaderSize, stream, ticks, round != 0 ? stamp / 1000 : 0, round);
        wire::write_header(frame, length, wire::TICKS, ++send_seq_);
        wire::write_tag(frame, length, *send_key_);
        send_all(frame, length);
        count_market(send_seq_, length);
        return stamp;
    }

    void count_market(uint64_t seq, size_t length) {
        unacked_.emplace_back(seq, length);
        in_flight_ += length;
    }

    // Waits for ACKs until `length` more bytes fit the window.
    void make_room(size_t length) {
        if (in_flight_ + length <= wire::kMarketWindow) return;
        ++window_waits_;
        while (in_flight_ + length > wire::kMarketWindow)
            if (!receive(kStallMs)) throw Failure("the relay acknowledged nothing for 10 s");
    }

    // Everything of before is acknowledged and answered, so that a round begins from rest.
    void settle() {
        const int64_t deadline = now_us() + 2'000'000;
        while (!unacked_.empty() && now_us() < deadline) receive(20);
        window_waits_ = 0;
    }

    wire::Key key_;
    std::string alias_;
    int fd_ = -1;
    bool active_ = false;
    bool flooding_ = false;
    std::optional<wire::Hmac> send_key_, receive_key_;
    uint64_t send_seq_ = 0, receive_seq_ = 0;
    uint8_t logon_type_ = 0;
    Bytes logon_body_, received_;
    int64_t heartbeat_us_ = 1'000'000, next_heartbeat_us_ = 0;
    int64_t peer_time_us_ = 0, peer_time_at_us_ = 0;
    std::deque<Stream> streams_;
    unsigned resumed_ = 0;
    std::deque<std::pair<uint64_t, size_t>> unacked_;
    std::vector<std::pair<wire::Type, Bytes>> held_back_;
    size_t in_flight_ = 0, window_waits_ = 0;
};

void self_test() {
    // RFC 4231, test case 2 has a short key; this class takes only 32 bytes, zeros behind a
    // shorter key change nothing in HMAC.
    wire::Key key{};
    std::memcpy(key.data(), "Jefe", 4);
    const char* data = "what do ya want for nothing?";
    const wire::Key digest = wire::Hmac(key).digest(data, std::strlen(data));
    static constexpr uint8_t expected[8] = {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e};
    if (!wire::same(digest.data(), expected, sizeof expected))
        throw Failure("HMAC-SHA256 does not give the vector of RFC 4231");
}

}  // namespace

int main(int argc, char** argv) {
    try {
        self_test();
        bench::exact_timers();
        Terminal terminal{bench::Options(argc, argv)};
        terminal.log_on();
        bench::Commands commands;
        for (;;) {
            const Command command = terminal.serve(commands);
            if (command.verb == "streams")
                terminal.wait_for_streams(command.number("n", 1),
                                          int(command.number("timeout_ms", 8'000)));
            else if (command.verb == "warm")
                terminal.warm();
            else if (command.verb == "flood")
                terminal.flood(command);
            else if (command.verb == "pace")
                terminal.pace(command);
            else
                break;
        }
        terminal.log_out();
    } catch (const std::exception& error) {
        say("{\"event\":\"error\",\"text\":\"%s\"}", bench::json_text(error.what()).c_str());
        return 1;
    }
    return 0;
}
