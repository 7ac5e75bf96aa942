// Socket*: real TCP sockets behind MQL5's semantics.
//
// Where MetaTrader's behaviour is documented, this is it. Where it is not, the option
// `socket_mode` (a list) chooses, and a program must live with every choice:
//
//   readable_speculative_1     SocketIsReadable on an empty buffer says 1: the first time, and
//                              now and then later
//   close_readable_0           the peer closed: SocketIsReadable says 0 and no error (default)
//   close_readable_0_5273      ... 0, error 5273, the connection is dropped
//   close_readable_1_read_minus_1  ... 1; the read after it fails
//   connected_probes           SocketIsConnected is false as soon as the peer closed (default:
//                              true until an operation failed)
//   timeout_5273_open          a read timed out: -1, error 5273, still connected (default)
//   timeout_dropped            ... -1, error 5273, dropped
//   timeout_no_error           ... -1, no error, still connected
//   reads_wait_full            SocketRead waits for all that was asked for (default: for some)
//   short_reads, short_writes  less than possible is read or written, by `socket_seed`; after some
//                              of those writes the socket is not writable, once
//   send_minus_1_after_part    SocketSend fails with a part delivered: with the probability
//                              `send_failure_probability`, or after `send_failure_bytes` in all
//   send_blocks                nothing is sent: SocketSend takes its whole timeout
//   send_crawls                SocketSend sends one byte, and takes nearly its whole timeout
//   writable_always            SocketIsWritable says so even where SocketSend blocks
//   stale_tail                 the array is not shrunk, and what is behind the data is poison
//   connect_blocks             SocketConnect takes its whole timeout and fails
//   allow_list_4014, allow_list_5272  the address is not on the allow list
//   localhost_is_ipv6          "localhost" is ::1
#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <fcntl.h>
#include <map>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <random>
#include <string>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "api.hpp"
#include "clock.hpp"
#include "link.hpp"
#include "options.hpp"
#include "terminal.hpp"

namespace mql {

namespace {

using namespace runtime;

constexpr std::size_t SOCKETS_MAX = 128;
constexpr unsigned DEFAULT_READ_TIMEOUT_MS = 120'000;
constexpr unsigned TLS_PORT = 443;
constexpr double FULL_AFTER_SHORT_WRITE = 0.25;

constexpr int NOT_ALLOWED = 4014;
constexpr int INVALID_ARGUMENT = 4003;
constexpr int INVALID_SOCKET = 5270;
constexpr int TOO_MANY_SOCKETS = 5271;
constexpr int CANNOT_CONNECT = 5272;
constexpr int IO_ERROR = 5273;
constexpr int HANDSHAKE_FAILED = 5274;
constexpr int NO_CERTIFICATE = 5275;

struct Socket {
    int fd = -1;  // -1: not connected
    bool used = false;
    bool asked = false;  // whether SocketIsReadable has seen an empty buffer
    bool full = false;  // whether SocketIsWritable says no, once
    unsigned send_timeout_ms = 0;  // 0: none
    unsigned receive_timeout_ms = 0;
    long long bytes_sent = 0;
};

std::map<int, Socket> sockets;

bool mode(const char *name) { return option_has("socket_mode", name); }

std::mt19937_64 &numbers() {
    static std::mt19937_64 generator(
        static_cast<unsigned long long>(option_integer("socket_seed", 1)));
    return generator;
}

// A number from 1 to `most`. Not std::uniform_int_distribution: libraries differ in it.
std::size_t some_of(std::size_t most) { return 1 + numbers()() % most; }

bool happens(double probability) {
    return static_cast<double>(numbers()() >> 11) * 0x1p-53 < probability;
}

int fail(int error) {
    _LastError = error;
    return -1;
}

Socket *find(int handle) {
    if (is_tester() || is_indicator()) {
        fail(NOT_ALLOWED);
        return nullptr;
    }
    const auto found = sockets.find(handle);
    if (found == sockets.end()) {
        fail(INVALID_SOCKET);
        return nullptr;
    }
    return &found->second;
}

void record(int handle, const char *what, const unsigned char *data = nullptr,
            std::size_t size = 0) {
    static std::FILE *file = nullptr;
    const std::string path = option("record");
    if (path.empty()) {
        return;
    }
    if (file == nullptr) {
        file = std::fopen(path.c_str(), "ae");
        if (file == nullptr) {
            return;
        }
    }
    std::fprintf(file, "{\"us\":%lld,\"socket\":%d,\"what\":\"%s\",\"hex\":\"", clock_us(), handle,
                 what);
    for (std::size_t i = 0; i < size; ++i) {
        std::fprintf(file, "%02x", data[i]);
    }
    std::fputs("\"}\n", file);
    std::fflush(file);
}

// An error "discontinues" the connection; the handle stays until SocketClose.
void drop(int handle, Socket &socket) {
    if (socket.fd >= 0) {
        close(socket.fd);
        socket.fd = -1;
        record(handle, "dropped");
    }
}

int drop_with_error(int handle, Socket &socket) {
    drop(handle, socket);
    return fail(IO_ERROR);
}

long long deadline_us(unsigned timeout_ms) {
    return timeout_ms == 0 ? NEVER_US : clock_us() + timeout_ms * 1000LL;
}

bool is_allowed(const std::string &server) {
    if (option("allowed_hosts", "*") == "*") {
        return !mode("allow_list_4014") && !mode("allow_list_5272");
    }
    return option_has("allowed_hosts", server.c_str());
}

void pass_time_until(long long until_us) {
    while (clock_us() < until_us) {
        wait_until(until_us, Why::SOCKET);
    }
}

// What the system does to connect; -1 when there is no such address.
int begin_to_connect(const std::string &server, unsigned port, bool &under_way) {
    // With a virtual clock: bytes on a UNIX socket are there at once, those on loopback
    // only nearly always.
    const std::string path = option("unix_socket");
    if (!path.empty()) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::snprintf(address.sun_path, sizeof address.sun_path, "%s", path.c_str());
        const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        const int error =
            ::connect(fd, reinterpret_cast<const sockaddr *>(&address), sizeof address);
        if (error != 0) {
            close(fd);
            return -1;
        }
        under_way = false;
        return fd;
    }
    addrinfo hints{};
    hints.ai_family = server == "localhost" && mode("localhost_is_ipv6") ? AF_INET6 : AF_INET;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo *found = nullptr;
    if (getaddrinfo(server.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) {
        return -1;
    }
    const int fd =
        ::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    const int error = ::connect(fd, found->ai_addr, found->ai_addrlen);
    under_way = error != 0 && errno == EINPROGRESS;
    freeaddrinfo(found);
    if (error != 0 && !under_way) {
        close(fd);
        return -1;
    }
    return fd;
}

bool is_connected_to_itself(int fd) {
    sockaddr_in here{};
    sockaddr_in there{};
    socklen_t size = sizeof here;
    if (getsockname(fd, reinterpret_cast<sockaddr *>(&here), &size) != 0 ||
        here.sin_family != AF_INET) {
        return false;
    }
    size = sizeof there;
    getpeername(fd, reinterpret_cast<sockaddr *>(&there), &size);
    return here.sin_port == there.sin_port && here.sin_addr.s_addr == there.sin_addr.s_addr;
}

bool finish_connecting(int fd, bool under_way, long long until_us) {
    while (under_way) {
        if (wait_until(until_us, Why::SOCKET, fd, POLLOUT)) {
            break;
        }
        if (clock_us() >= until_us) {
            return false;
        }
    }
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    // A free port of this machine may connect to itself, which Windows never does.
    return error == 0 && !is_connected_to_itself(fd);
}

// What lies in the system's buffer: bytes, 0 for none, -1 when the peer closed, -2 for an error.
long long available(int fd) {
    int size = 0;
    if (ioctl(fd, FIONREAD, &size) == 0 && size > 0) {
        return size;
    }
    unsigned char byte;
    const ssize_t peeked = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (peeked > 0) {
        return peeked;
    }
    if (peeked == 0) {
        return -1;
    }
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -2;
}

int read_timed_out(int handle, Socket &socket) {
    if (mode("timeout_dropped")) {
        return drop_with_error(handle, socket);
    }
    return mode("timeout_no_error") ? -1 : fail(IO_ERROR);
}

// Gives `size` bytes to the program: the array gets what its declaration allows.
void hand_over(const aref<uchar> &buffer, const std::vector<uchar> &data) {
    const long long size = static_cast<long long>(data.size());
    if (mode("stale_tail")) {
        if (buffer.is_dynamic()) {
            buffer.resize(std::max<long long>(buffer.size(), size + 16));
        }
        std::fill(buffer.begin() + size, buffer.end(), static_cast<uchar>(0xDD));
    } else if (buffer.is_dynamic()) {
        buffer.resize(size);
    }
    std::copy(data.begin(), data.end(), buffer.begin());
}

// Sends some of the bytes; -1 and errno as send().
ssize_t send_some(const Socket &socket, const uchar *data, std::size_t size) {
    return send(socket.fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool fails_here(const Socket &socket) {
    if (!mode("send_minus_1_after_part")) {
        return false;
    }
    const long long bytes = option_integer("send_failure_bytes", -1);
    if (bytes >= 0) {
        return socket.bytes_sent >= bytes;
    }
    return happens(option_number("send_failure_probability", 0.01));
}

// How much of `size` is to be sent before the failure that a mode asks for.
std::size_t part_before_failure(const Socket &socket, std::size_t size) {
    const long long bytes = option_integer("send_failure_bytes", -1);
    if (bytes >= 0) {
        const long long beyond = socket.bytes_sent - bytes;
        return size - std::min<std::size_t>(size, static_cast<std::size_t>(beyond));
    }
    return some_of(size) - 1;
}

int tls_is_missing(int handle) {
    if (find(handle) == nullptr) {
        return -1;
    }
    return fail(HANDSHAKE_FAILED);
}

}  // namespace

int SocketCreate(uint flags) {
    static_cast<void>(flags);
    if (is_tester() || is_indicator()) {
        return fail(NOT_ALLOWED);
    }
    if (sockets.size() >= SOCKETS_MAX) {
        return fail(TOO_MANY_SOCKETS);
    }
    int handle = 1;
    while (sockets.count(handle) != 0) {
        ++handle;
    }
    sockets[handle] = Socket{};
    return handle;
}

bool SocketClose(const int socket) {
    Socket *found = find(socket);
    if (found == nullptr) {
        return false;
    }
    if (found->fd >= 0) {
        close(found->fd);
        record(socket, "closed");
    }
    sockets.erase(socket);
    return true;
}

bool SocketConnect(int socket, const string &server, uint port, uint timeout_receive_ms) {
    Socket *found = find(socket);
    if (found == nullptr) {
        return false;
    }
    const std::string host = server.utf8();
    if (!is_allowed(host)) {
        fail(mode("allow_list_5272") ? CANNOT_CONNECT : NOT_ALLOWED);
        return false;
    }
    // Whether a handle can be used again is not documented: here it cannot.
    if (found->used || port == 0 || port > 65'535) {
        fail(CANNOT_CONNECT);
        return false;
    }
    found->used = true;
    const long long until_us = deadline_us(timeout_receive_ms);
    bool under_way = false;
    int fd = -1;
    if (mode("connect_blocks")) {
        pass_time_until(until_us);
    } else {
        fd = begin_to_connect(host, port, under_way);
    }
    if (fd < 0) {
        fail(CANNOT_CONNECT);
        return false;
    }
    if (!finish_connecting(fd, under_way, until_us)) {
        close(fd);
        fail(CANNOT_CONNECT);
        return false;
    }
    if (port == TLS_PORT) {
        // There the terminal begins TLS by itself, and no relay speaks it.
        close(fd);
        fail(HANDSHAKE_FAILED);
        return false;
    }
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const int buffer = static_cast<int>(option_integer("socket_send_buffer", 0));
    if (buffer > 0) {
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    }
    found->fd = fd;
    record(socket, "connected");
    return true;
}

bool SocketIsConnected(const int socket) {
    const Socket *found = find(socket);
    if (found == nullptr || found->fd < 0) {
        return false;
    }
    return !mode("connected_probes") || available(found->fd) >= 0;
}

uint SocketIsReadable(const int socket) {
    Socket *found = find(socket);
    if (found == nullptr) {
        return 0;
    }
    if (found->fd < 0) {
        fail(IO_ERROR);
        return 0;
    }
    const long long size = available(found->fd);
    if (size > 0) {
        return static_cast<uint>(size);
    }
    if (size == 0) {
        const bool speculates =
            mode("readable_speculative_1") && (!found->asked || happens(0.05));
        found->asked = true;
        return speculates ? 1 : 0;
    }
    if (size == -1) {
        if (mode("close_readable_1_read_minus_1")) {
            return 1;
        }
        if (!mode("close_readable_0_5273")) {
            return 0;
        }
    }
    drop_with_error(socket, *found);
    return 0;
}

bool SocketIsWritable(const int socket) {
    Socket *found = find(socket);
    if (found == nullptr) {
        return false;
    }
    if (found->fd < 0) {
        fail(IO_ERROR);
        return false;
    }
    pollfd one{found->fd, POLLOUT, 0};
    poll(&one, 1, 0);
    if (one.revents & (POLLERR | POLLNVAL)) {
        drop_with_error(socket, *found);
        return false;
    }
    if (mode("writable_always")) {
        return true;
    }
    if (std::exchange(found->full, false)) {
        return false;
    }
    return (one.revents & POLLOUT) != 0 && !mode("send_blocks");
}

bool SocketTimeouts(int socket, uint timeout_send_ms, uint timeout_receive_ms) {
    Socket *found = find(socket);
    if (found == nullptr) {
        return false;
    }
    found->send_timeout_ms = timeout_send_ms;
    found->receive_timeout_ms = timeout_receive_ms;
    return true;
}

int SocketRead(int socket, aref<uchar> buffer, uint buffer_maxlen, uint timeout_ms) {
    Socket *found = find(socket);
    if (found == nullptr) {
        return -1;
    }
    if (buffer_maxlen == 0 || buffer_maxlen > static_cast<uint>(INT_MAX)) {
        return fail(INVALID_ARGUMENT);
    }
    if (found->fd < 0) {
        return fail(IO_ERROR);
    }
    std::size_t most = buffer_maxlen;
    if (!buffer.is_dynamic()) {
        most = std::min<std::size_t>(most, static_cast<std::size_t>(buffer.size()));
    }
    uint limit_ms = timeout_ms == 0 ? DEFAULT_READ_TIMEOUT_MS : timeout_ms;
    if (found->receive_timeout_ms != 0) {
        limit_ms = std::min(limit_ms, found->receive_timeout_ms);
    }
    const long long until_us = deadline_us(limit_ms);
    if (mode("short_reads")) {
        most = some_of(most);
    }
    std::vector<uchar> data;
    for (;;) {
        const long long there = available(found->fd);
        if (there > 0) {
            const std::size_t size =
                std::min(most - data.size(), static_cast<std::size_t>(there));
            const std::size_t had = data.size();
            data.resize(had + size);
            const ssize_t received = recv(found->fd, data.data() + had, size, MSG_DONTWAIT);
            data.resize(had + static_cast<std::size_t>(std::max<ssize_t>(received, 0)));
            if (data.size() == most || (!data.empty() && !mode("reads_wait_full"))) {
                break;
            }
            continue;
        }
        if (there < 0) {
            if (!data.empty()) {
                break;
            }
            return drop_with_error(socket, *found);
        }
        if (clock_us() >= until_us) {
            if (!data.empty()) {
                break;
            }
            return read_timed_out(socket, *found);
        }
        wait_until(until_us, Why::SOCKET, found->fd, POLLIN);
    }
    record(socket, "received", data.data(), data.size());
    hand_over(buffer, data);
    return static_cast<int>(data.size());
}

int SocketSend(int socket, caref<uchar> buffer, uint buffer_len) {
    Socket *found = find(socket);
    if (found == nullptr) {
        return -1;
    }
    if (buffer_len == 0 || buffer_len > static_cast<uint>(buffer.size())) {
        return fail(INVALID_ARGUMENT);
    }
    if (found->fd < 0) {
        return fail(IO_ERROR);
    }
    const long long until_us = deadline_us(found->send_timeout_ms);
    std::size_t size = buffer_len;
    if (mode("send_blocks")) {
        pass_time_until(until_us);
        return drop_with_error(socket, *found);
    }
    if (mode("send_crawls")) {
        pass_time_until(until_us - found->send_timeout_ms * 100LL);
        size = 1;
    }
    if (mode("short_writes")) {
        size = some_of(size);
        found->full = size < buffer_len && happens(FULL_AFTER_SHORT_WRITE);
    }
    found->bytes_sent += static_cast<long long>(size);
    const bool fails = fails_here(*found);
    if (fails) {
        size = part_before_failure(*found, size);
    }
    std::size_t at = 0;
    while (at < size) {
        const ssize_t sent = send_some(*found, buffer.data() + at, size - at);
        if (sent >= 0) {
            record(socket, "sent", buffer.data() + at, static_cast<std::size_t>(sent));
            at += static_cast<std::size_t>(sent);
        } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
            return drop_with_error(socket, *found);
        } else if (clock_us() >= until_us) {
            // A part may be on its way: nobody can tell how much of it.
            return drop_with_error(socket, *found);
        } else {
            wait_until(until_us, Why::SOCKET, found->fd, POLLOUT);
        }
    }
    return fails ? drop_with_error(socket, *found) : static_cast<int>(size);
}

bool SocketTlsHandshake(int socket, const string &host) {
    static_cast<void>(host);
    tls_is_missing(socket);
    return false;
}

bool SocketTlsCertificate(int socket, string &subject, string &issuer, string &serial,
                          string &thumbprint, datetime &expiration) {
    static_cast<void>(subject);
    static_cast<void>(issuer);
    static_cast<void>(serial);
    static_cast<void>(thumbprint);
    static_cast<void>(expiration);
    if (find(socket) != nullptr) {
        fail(NO_CERTIFICATE);
    }
    return false;
}

int SocketTlsRead(int socket, aref<uchar> buffer, uint buffer_maxlen) {
    static_cast<void>(buffer);
    static_cast<void>(buffer_maxlen);
    return tls_is_missing(socket);
}

int SocketTlsReadAvailable(int socket, aref<uchar> buffer, const uint buffer_maxlen) {
    static_cast<void>(buffer);
    static_cast<void>(buffer_maxlen);
    return tls_is_missing(socket);
}

int SocketTlsSend(int socket, caref<uchar> buffer, uint buffer_len) {
    static_cast<void>(buffer);
    static_cast<void>(buffer_len);
    return tls_is_missing(socket);
}

}  // namespace mql
