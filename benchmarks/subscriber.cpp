// A C subscriber: counts, checks that (epoch, seq) of each topic has no hole, takes latencies.
//
//   subscriber --endpoint tcp://127.0.0.1:5557 --alias bench --symbols 20
//
// Commands (stdin) and answers (stdout, one JSON document a line):
//   join timeout_ms=10000     wait until every topic has been heard of
//   expect round=1 count=800000 idle_ms=5000 [latency=1]
//                             says {"event":"expecting"}, receives `count` ticks of that round
//                             or gives up when nothing came for idle_ms, then reports
//   quit
//
// Ticks of another round (warm-up, stragglers) are checked for holes but not counted.
#include "common.hpp"

#include <string_view>

#include <zmq.h>

namespace {

using bench::Command;
using bench::say;

struct Topic {
    std::string name;
    bool heard = false;
    uint32_t epoch = 0;
    uint64_t seq = 0;
};

class Subscriber {
  public:
    Subscriber(const bench::Options& options)
        : context_(zmq_ctx_new()), socket_(zmq_socket(context_, ZMQ_SUB)) {
        const int zero = 0;
        // A subscriber that loses messages by itself would measure nothing of the publisher.
        zmq_setsockopt(socket_, ZMQ_RCVHWM, &zero, sizeof zero);
        zmq_setsockopt(socket_, ZMQ_LINGER, &zero, sizeof zero);
        const unsigned symbols = options.number("symbols", 20);
        const std::string alias = options.text("alias", "bench");
        for (unsigned i = 0; i < symbols; ++i) {
            const std::string prefix = bench::message_prefix(alias, i);
            zmq_setsockopt(socket_, ZMQ_SUBSCRIBE, prefix.data(), prefix.size());
            topics_.push_back(Topic{prefix, false, 0, 0});
        }
        index_.assign(4096, -1);
        for (size_t i = 0; i < topics_.size(); ++i) {
            size_t at = hash(topics_[i].name) & (index_.size() - 1);
            while (index_[at] >= 0) at = (at + 1) & (index_.size() - 1);
            index_[at] = int(i);
        }
        if (zmq_connect(socket_, options.text("endpoint").c_str()) != 0)
            throw std::runtime_error("cannot connect to " + options.text("endpoint"));
        zmq_msg_init(&message_);
        int major, minor, patch;
        zmq_version(&major, &minor, &patch);
        say("{\"event\":\"connected\",\"libzmq\":\"%d.%d.%d\"}", major, minor, patch);
    }

    ~Subscriber() {
        zmq_msg_close(&message_);
        zmq_close(socket_);
        zmq_ctx_term(context_);
    }

    void join(int timeout_ms) {
        const int64_t deadline = bench::now_us() + int64_t{timeout_ms} * 1000;
        set_timeout(100);
        while (heard_ < topics_.size() && bench::now_us() < deadline)
            if (receive()) take();
        say("{\"event\":\"joined\",\"topics\":%zu,\"of\":%zu}", heard_, topics_.size());
    }

    void expect(const Command& command) {
        const size_t count = command.number("count", 1);
        const uint32_t round = uint32_t(command.number("round", 1));
        const bool latency = command.number("latency", 0) != 0;
        set_timeout(int(command.number("idle_ms", 5'000)));
        holes_ = strange_ = 0;
        size_t received = 0;
        int64_t first_stamp = 0, last = 0;
        std::vector<int64_t> latencies;
        if (latency) latencies.reserve(count);
        say("{\"event\":\"expecting\"}");
        while (received < count && receive()) {
            const uint8_t* record = take();
            if (record == nullptr || bench::record_round(record) != round) continue;
            if (latency)
                latencies.push_back(bench::now_us() - bench::record_stamp(record));
            if (received++ == 0) first_stamp = bench::record_stamp(record);
        }
        last = bench::now_us();
        const int64_t p50 = bench::quantile(latencies, 0.50);
        const int64_t p99 = bench::quantile(latencies, 0.99);
        say("{\"event\":\"received\",\"received\":%zu,\"holes\":%zu,\"strange\":%zu,"
            "\"first_stamp_us\":%lld,\"last_us\":%lld,\"p50_us\":%lld,\"p99_us\":%lld}",
            received, holes_, strange_, (long long)first_stamp, (long long)last, (long long)p50,
            (long long)p99);
    }

  private:
    static size_t hash(std::string_view text) {
        uint64_t value = 14695981039346656037ULL;
        for (const char c : text) value = (value ^ uint8_t(c)) * 1099511628211ULL;
        return size_t(value ^ value >> 29);
    }

    void set_timeout(int ms) { zmq_setsockopt(socket_, ZMQ_RCVTIMEO, &ms, sizeof ms); }

    bool receive() { return zmq_msg_recv(&message_, socket_, 0) >= 0; }

    // Checks the message at hand; returns its record, or nullptr when it is no tick of ours.
    const uint8_t* take() {
        const char* data = static_cast<const char*>(zmq_msg_data(&message_));
        const size_t size = zmq_msg_size(&message_);
        Topic* topic =
            size > bench::kRecordSize ? find({data, size - bench::kRecordSize}) : nullptr;
        if (topic == nullptr) {
            ++strange_;
            return nullptr;
        }
        const uint8_t* record =
            reinterpret_cast<const uint8_t*>(data) + size - bench::kRecordSize;
        const uint32_t epoch = bench::record_epoch(record);
        const uint64_t seq = bench::record_seq(record);
        if (!topic->heard) {
            topic->heard = true;
            ++heard_;
        } else if (epoch != topic->epoch || seq != topic->seq + 1) {
            ++holes_;
        }
        topic->epoch = epoch;
        topic->seq = seq;
        return record;
    }

    Topic* find(std::string_view name) {
        for (size_t at = hash(name) & (index_.size() - 1); index_[at] >= 0;
             at = (at + 1) & (index_.size() - 1))
            if (topics_[size_t(index_[at])].name == name) return &topics_[size_t(index_[at])];
        return nullptr;
    }

    void* context_;
    void* socket_;
    zmq_msg_t message_;
    std::vector<Topic> topics_;
    std::vector<int> index_;
    size_t heard_ = 0, holes_ = 0, strange_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    try {
        Subscriber subscriber{bench::Options(argc, argv)};
        bench::Commands commands;
        Command command;
        while (commands.next(command, -1)) {
            if (command.verb == "join")
                subscriber.join(int(command.number("timeout_ms", 10'000)));
            else if (command.verb == "expect")
                subscriber.expect(command);
            else
                break;
        }
    } catch (const std::exception& error) {
        say("{\"event\":\"error\",\"text\":\"%s\"}", bench::json_text(error.what()).c_str());
        return 1;
    }
    return 0;
}
