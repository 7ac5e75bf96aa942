// The reference of one hop: a C publisher that sends the same messages without any relay.
//
//   publisher --alias bench --symbols 20 [--hop 1]
//
// With --hop 1 the messages first go over TCP to a child process, which publishes them: the
// way of a tick through a relay, without anything that a relay does. What is between this and
// one hop is the price of the way, what is between this and the relay is the relay's own.
//
// Binds to a free port of loopback. Commands (stdin) and answers (stdout, one JSON document
// a line): warm, flood round=1 count=800000, pace round=1 count=7000 rate=10000, quit; as the
// generator's.
#include "common.hpp"

#include <csignal>
#include <optional>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <zmq.h>

namespace {

using bench::Command;
using bench::now_ns;
using bench::say;

class PubSocket {
  public:
    PubSocket() : context_(zmq_ctx_new()), socket_(zmq_socket(context_, ZMQ_PUB)) {
        const int zero = 0;
        zmq_setsockopt(socket_, ZMQ_SNDHWM, &zero, sizeof zero);
        zmq_setsockopt(socket_, ZMQ_LINGER, &zero, sizeof zero);
        if (zmq_bind(socket_, "tcp://127.0.0.1:*") != 0)
            throw std::runtime_error("cannot bind to a free port");
        char endpoint[128];
        size_t size = sizeof endpoint;
        zmq_getsockopt(socket_, ZMQ_LAST_ENDPOINT, endpoint, &size);
        say("{\"event\":\"bound\",\"endpoint\":\"%s\"}", endpoint);
    }

    ~PubSocket() {
        zmq_close(socket_);
        zmq_ctx_term(context_);
    }

    void send(const uint8_t* data, size_t size) {
        if (zmq_send(socket_, data, size, 0) < 0)
            throw std::runtime_error(std::string("zmq_send: ") + zmq_strerror(zmq_errno()));
    }

  private:
    void* context_;
    void* socket_;
};

// Publishes what comes over TCP; every message has the same size.
void forward(int listener, size_t message_size) {
    PubSocket publisher;
    const int fd = accept(listener, nullptr, nullptr);
    std::vector<uint8_t> buffer(262'144);
    size_t held = 0;
    for (;;) {
        const ssize_t got = recv(fd, &buffer[held], buffer.size() - held, 0);
        if (got <= 0) return;
        held += size_t(got);
        size_t at = 0;
        for (; held - at >= message_size; at += message_size)
            publisher.send(&buffer[at], message_size);
        std::memmove(buffer.data(), &buffer[at], held - at);
        held -= at;
    }
}

// Starts the child before this process has any thread; returns the connection to it.
int start_forwarder(size_t message_size) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 ||
        listen(listener, 1) != 0 ||
        getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size) != 0)
        throw std::runtime_error("cannot listen on a free port");
    const pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        forward(listener, message_size);
        std::_Exit(0);
    }
    close(listener);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (child < 0 || connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0)
        throw std::runtime_error("cannot reach the child process");
    return fd;
}

class Publisher {
  public:
    Publisher(const bench::Options& options) {
        const unsigned symbols = options.number("symbols", 20);
        const std::string alias = options.text("alias", "bench");
        for (unsigned i = 0; i < symbols; ++i) {
            const std::string prefix = bench::message_prefix(alias, i);
            std::vector<uint8_t> message(prefix.begin(), prefix.end());
            message.resize(prefix.size() + bench::kRecordSize);
            messages_.push_back(std::move(message));
        }
        seqs_.assign(symbols, 0);
        if (options.number("hop", 0) != 0)
            connection_ = start_forwarder(messages_.at(0).size());
        else
            socket_.emplace();
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
        if (socket_)
            socket_->send(message.data(), message.size());
        else if (::send(connection_, message.data(), message.size(), MSG_NOSIGNAL) !=
                 ssize_t(message.size()))
            throw std::runtime_error("the child process is gone");
    }

    std::optional<PubSocket> socket_;
    int connection_ = -1;
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
