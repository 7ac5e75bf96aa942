// The terminal's side of wire protocol version 1, as small as a generator can have it.
//
// SHA-256 (FIPS 180-4), HMAC (RFC 2104), the msgpack that the messages use, frames with
// sequence number and tag. Nothing of bridge/ is used, so this is a second implementation of
// docs/reference/wire-protocol.md: where it and the relay disagree, one of them is wrong.
#pragma once

#include "common.hpp"

#include <array>

namespace wire {

using Bytes = std::vector<uint8_t>;
using Key = std::array<uint8_t, 32>;

// --- SHA-256 and HMAC -------------------------------------------------------------------

class Sha256 {
  public:
    void update(const void* data, size_t size) {
        const uint8_t* at = static_cast<const uint8_t*>(data);
        total_ += size;
        if (held_ != 0) {
            const size_t take = std::min(size, sizeof block_ - held_);
            std::memcpy(block_ + held_, at, take);
            held_ += take;
            at += take;
            size -= take;
            if (held_ < sizeof block_) return;
            compress(block_);
            held_ = 0;
        }
        for (; size >= sizeof block_; at += sizeof block_, size -= sizeof block_) compress(at);
        std::memcpy(block_, at, size);
        held_ = size;
    }

    void finish(uint8_t out[32]) {
        const uint64_t bits = total_ * 8;
        block_[held_++] = 0x80;
        if (held_ > 56) {
            std::memset(block_ + held_, 0, sizeof block_ - held_);
            compress(block_);
            held_ = 0;
        }
        std::memset(block_ + held_, 0, 56 - held_);
        bench::put_be<uint64_t>(block_ + 56, bits);
        compress(block_);
        for (int i = 0; i < 8; ++i) bench::put_be<uint32_t>(out + 4 * i, h_[i]);
    }

  private:
    static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

    void compress(const uint8_t* block) {
        static constexpr uint32_t k[64] = {
            0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
            0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
            0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
            0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
            0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
            0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
            0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
            0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
            0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
            0xc67178f2};
        uint32_t w[64];
        for (int i = 0; i < 16; ++i) w[i] = bench::get_be<uint32_t>(block + 4 * i);
        for (int i = 16; i < 64; ++i) {
            const uint32_t a = w[i - 15], b = w[i - 2];
            w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
                   (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
        }
        uint32_t s[8];
        std::memcpy(s, h_, sizeof s);
        for (int i = 0; i < 64; ++i) {
            const uint32_t t1 = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) +
                                ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
            const uint32_t t2 = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) +
                                ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
            s[7] = s[6], s[6] = s[5], s[5] = s[4], s[4] = s[3] + t1;
            s[3] = s[2], s[2] = s[1], s[1] = s[0], s[0] = t1 + t2;
        }
        for (int i = 0; i < 8; ++i) h_[i] += s[i];
    }

    uint32_t h_[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint64_t total_ = 0;
    size_t held_ = 0;
    uint8_t block_[64];
};

// Both pads are hashed once a key: a tag then costs its own bytes and one more block.
class Hmac {
  public:
    explicit Hmac(const Key& key) {
        uint8_t pad[64];
        std::memset(pad, 0x36, sizeof pad);
        for (size_t i = 0; i < key.size(); ++i) pad[i] ^= key[i];
        inner_.update(pad, sizeof pad);
        for (auto& byte : pad) byte ^= 0x36 ^ 0x5c;
        outer_.update(pad, sizeof pad);
    }

    Key digest(const void* a, size_t a_size, const void* b = nullptr, size_t b_size = 0) const {
        Key out;
        Sha256 hash = inner_;
        hash.update(a, a_size);
        if (b_size != 0) hash.update(b, b_size);
        hash.finish(out.data());
        hash = outer_;
        hash.update(out.data(), out.size());
        hash.finish(out.data());
        return out;
    }

  private:
    Sha256 inner_, outer_;
};

inline bool same(const uint8_t* a, const uint8_t* b, size_t size) {
    uint8_t differs = 0;
    for (size_t i = 0; i < size; ++i) differs = uint8_t(differs | (a[i] ^ b[i]));
    return differs == 0;
}

// --- msgpack ----------------------------------------------------------------------------

class Writer {
  public:
    Bytes bytes;

    void array(size_t size) { head(0x90, 15, 0xdc, size); }
    void nil() { bytes.push_back(0xc0); }
    void boolean(bool value) { bytes.push_back(value ? 0xc3 : 0xc2); }

    void integer(int64_t value) {
        if (value >= 0 && value < 128) {
            bytes.push_back(uint8_t(value));
        } else {
            bytes.push_back(value >= 0 ? 0xcf : 0xd3);
            append_be<uint64_t>(uint64_t(value));
        }
    }

    void number(double value) {
        bytes.push_back(0xcb);
        bytes.resize(bytes.size() + 8);
        bench::put_double(&bytes[bytes.size() - 8], value);
    }

    void text(const std::string& value) {
        if (value.size() < 32) {
            bytes.push_back(uint8_t(0xa0 | value.size()));
        } else {
            bytes.push_back(0xda);
            append_be<uint16_t>(uint16_t(value.size()));
        }
        bytes.insert(bytes.end(), value.begin(), value.end());
    }

    void binary(const uint8_t* data, size_t size) {
        bytes.push_back(0xc5);
        append_be<uint16_t>(uint16_t(size));
        bytes.insert(bytes.end(), data, data + size);
    }

  private:
    void head(uint8_t small, size_t most, uint8_t large, size_t size) {
        if (size <= most) {
            bytes.push_back(uint8_t(small | size));
        } else {
            bytes.push_back(large);
            append_be<uint16_t>(uint16_t(size));
        }
    }

    template <typename T>
    void append_be(T value) {
        bytes.resize(bytes.size() + sizeof(T));
        bench::put_be<T>(&bytes[bytes.size() - sizeof(T)], value);
    }
};

class Reader {
  public:
    Reader(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}

    const uint8_t* at() const { return at_; }

    bool nil() {
        if (at_ >= end_ || *at_ != 0xc0) return false;
        ++at_;
        return true;
    }

    size_t array() {
        const uint8_t type = *take(1);
        if ((type & 0xf0) == 0x90) return type & 0x0f;
        if (type == 0xdc) return bench::get_be<uint16_t>(take(2));
        throw std::runtime_error("msgpack: not an array");
    }

    int64_t integer() {
        const uint8_t type = *take(1);
        if (type < 0x80) return type;
        if (type >= 0xe0) return int8_t(type);
        switch (type) {
            case 0xcc: return *take(1);
            case 0xcd: return bench::get_be<uint16_t>(take(2));
            case 0xce: return bench::get_be<uint32_t>(take(4));
            case 0xcf: return int64_t(bench::get_be<uint64_t>(take(8)));
            case 0xd0: return int8_t(*take(1));
            case 0xd1: return bench::get_be<int16_t>(take(2));
            case 0xd2: return bench::get_be<int32_t>(take(4));
            case 0xd3: return bench::get_be<int64_t>(take(8));
            default: throw std::runtime_error("msgpack: not an integer");
        }
    }

    std::string text() {
        const uint8_t type = *take(1);
        size_t size;
        if ((type & 0xe0) == 0xa0) size = type & 0x1f;
        else if (type == 0xd9 || type == 0xc4) size = *take(1);
        else if (type == 0xda || type == 0xc5) size = bench::get_be<uint16_t>(take(2));
        else throw std::runtime_error("msgpack: not a text");
        const uint8_t* from = take(size);
        return std::string(reinterpret_cast<const char*>(from), size);
    }

  private:
    const uint8_t* take(size_t size) {
        if (size_t(end_ - at_) < size) throw std::runtime_error("msgpack: cut");
        const uint8_t* from = at_;
        at_ += size;
        return from;
    }

    const uint8_t* at_;
    const uint8_t* end_;
};

// --- frames -----------------------------------------------------------------------------

constexpr size_t kHeaderSize = 16;
constexpr size_t kTagSize = 16;
constexpr size_t kOverhead = kHeaderSize + kTagSize;
constexpr size_t kRunHeaderSize = 40;
constexpr size_t kFrameMax = 65536;
constexpr size_t kMarketFrameMax = 8192;
constexpr size_t kMarketWindow = 131072;

enum Type : uint8_t {
    HELLO = 0x01,
    CHALLENGE = 0x02,
    PROOF = 0x03,
    WELCOME = 0x04,
    LOGOUT = 0x05,
    HEARTBEAT = 0x06,
    TEST_REQUEST = 0x07,
    ACK = 0x09,
    SUBSCRIBE = 0x10,
    UNSUBSCRIBE = 0x11,
    STREAM = 0x12,
    TICKS = 0x13,
    REQUEST = 0x20,
    PAGE = 0x21,
};

inline void write_header(uint8_t* at, size_t length, Type type, uint64_t seq) {
    bench::put_le<uint32_t>(at, uint32_t(length));
    at[4] = type;
    at[5] = 0;
    at[6] = 'M';
    at[7] = '5';
    bench::put_le<uint64_t>(at + 8, seq);
}

// The tag is the first half of the HMAC over everything before it.
inline void write_tag(uint8_t* frame, size_t length, const Hmac& key) {
    const Key digest = key.digest(frame, length - kTagSize);
    std::memcpy(frame + length - kTagSize, digest.data(), kTagSize);
}

// cursor: time_msc, ticks, crc. The relay keeps it and gives it back; it never reads it.
inline void write_run_header(uint8_t* at, uint32_t symbol_id, uint32_t length, uint64_t first_seq,
                             int64_t stamp_us) {
    bench::put_le<uint32_t>(at, symbol_id);
    bench::put_le<uint32_t>(at + 4, length);
    bench::put_le<uint64_t>(at + 8, first_seq);
    bench::put_le<int64_t>(at + 16, stamp_us);
    bench::put_le<int64_t>(at + 24, stamp_us);
    bench::put_le<uint32_t>(at + 32, 1);
    bench::put_le<uint32_t>(at + 36, 0);
}

}  // namespace wire
