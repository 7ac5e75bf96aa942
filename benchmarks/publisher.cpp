// The reference of one hop: a C publisher that sends the same messages without any relay.
//
//   publisher --alias bench --symbols 20
//
// Binds to a free port of loopback. Commands (stdin) and answers (stdout, one JSON document
// a line): warm, flood round=1 count=800000, pace round=1 count=7000 rate=10000, quit; as the
// generator's.
#include "common.hpp"

#include <zmq.h>

namespace {

using bench::Command;
using bench::now_ns;
using bench::say;

class Publisher {
  public:
    Publisher(const bench::Options& options)
        : context_(zmq_ctx_new()), socket_(zmq_socket(context_, ZMQ_PUB)) {
        const int zero = 0;
        zmq_setsockopt(socket_, ZMQ_SNDHWM, &zero, sizeof zero);
        zmq_setsockopt(socket_, ZMQ_LINGER, &zero, sizeof zero);
        if (zmq_bind(socket_, "tcp://127.0.0.1:*") != 0)
            throw std::runtime_error("cannot bind to a free port");
        char endpoint[128];
        size_t size = sizeof endpoint;
        zmq_getsockopt(socket_, ZMQ_LAST_ENDPOINT, endpoint, &size);
        const unsigned symbols = options.number("symbols", 20);
        const std::string alias = options.text("alias", "bench");
        for (unsigned i = 0; i < symbols; ++i) {
            const std::string prefix = bench::message_prefix(alias, i);
            std::vector<uint8_t> message(prefix.begin(), prefix.end());
            message.resize(prefix.size() + bench::kRecordSize);
            messages_.push_back(std::move(message));
        }
        seqs_.assign(symbols, 0);
        say("{\"event\":\"bound\",\"endpoint\":\"%s\"}", endpoint);
    }

    ~Publisher() {
        zmq_close(socket_);
        zmq_ctx_term(context_);
    }

    void warm() {
        for (size_t i = 0; i < messages_.size(); ++i) send(i, 0, 0);
        say("{\"event\":\"warmed\"}");
    }

    void flood(const Command& command) {
        const size_t count = command.number("count", 800'000);
        const uint32_t round = uint32_t(command.number("round", 1));
        const int64_t first = bench::now_us();
        for (size_t i = 0; i < count; ++i) send(i % messages_.size(), first, round);
        say("{\"event\":\"sent\",\"sent\":%zu,\"first_us\":%lld,\"last_us\":%lld}", count,
            (long long)first, (long long)bench::now_us());
    }

    void pace(const Command& command) {
        const size_t count = command.number("count", 7'000);
        const uint32_t round = uint32_t(command.number("round", 1));
        bench::Pacer pacer(double(command.number("rate", 10'000)), count);
        int64_t first = 0, last = 0;
        for (size_t i = 0; i < count; ++i) {
            bench::sleep_until_ns(pacer.due_ns(i));
            last = now_ns();
            if (i == 0) first = last;
            send(i % messages_.size(), last / 1000, round);
            pacer.sent(i, last);
        }
        const std::string kept = pacer.report(first, last);
        say("{\"event\":\"sent\",\"sent\":%zu,\"first_us\":%lld,\"last_us\":%lld,%s}", count,
            (long long)first / 1000, (long long)last / 1000, kept.c_str());
    }

  private:
    void send(size_t index, int64_t stamp_us, uint32_t round) {
        std::vector<uint8_t>& message = messages_[index];
        bench::write_record(&message[message.size() - bench::kRecordSize], 1, ++seqs_[index],
                            stamp_us, round);
        if (zmq_send(socket_, message.data(), message.size(), 0) < 0)
            throw std::runtime_error(std::string("zmq_send: ") + zmq_strerror(zmq_errno()));
    }

    void* context_;
    void* socket_;
    std::vector<std::vector<uint8_t>> messages_;
    std::vector<uint64_t> seqs_;
};

}  // namespace

int main(int argc, char** argv) {
    try {
        bench::exact_timers();
        Publisher publisher{bench::Options(argc, argv)};
        bench::Commands commands;
        Command command;
        while (commands.next(command, -1)) {
            if (command.verb == "warm")
                publisher.warm();
            else if (command.verb == "flood")
                publisher.flood(command);
            else if (command.verb == "pace")
                publisher.pace(command);
            else
                break;
        }
    } catch (const std::exception& error) {
        say("{\"event\":\"error\",\"text\":\"%s\"}", bench::json_text(error.what()).c_str());
        return 1;
    }
    return 0;
}
