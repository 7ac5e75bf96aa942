#include "library_digest.hpp"

#include <array>
#include <cmath>
#include <cstdint>

// Every frame is hashed: without an optimiser that is a large part of what a program does.
#pragma GCC optimize("O2")

namespace mql::runtime {
namespace {

constexpr std::size_t BLOCK = 64;

std::uint32_t rotate_left(std::uint32_t word, unsigned by) {
    return word << by | word >> (32 - by);
}

std::uint32_t rotate_right(std::uint32_t word, unsigned by) {
    return word >> by | word << (32 - by);
}

// The message with its padding: a one bit, zeros, and the length in bits in 8 bytes. The SHA
// family writes the length with the high byte first (FIPS 180-4 §5.1.1), MD5 with the low byte
// first (RFC 1321 §3.2).
Bytes padded(const unsigned char *data, std::size_t size, bool high_byte_first) {
    Bytes message(data, data + size);
    message.push_back(0x80);
    while (message.size() % BLOCK != BLOCK - 8) {
        message.push_back(0);
    }
    const std::uint64_t bits = static_cast<std::uint64_t>(size) * 8;
    for (unsigned i = 0; i < 8; ++i) {
        const unsigned shift = 8 * (high_byte_first ? 7 - i : i);
        message.push_back(static_cast<unsigned char>(bits >> shift));
    }
    return message;
}

std::uint32_t read_word(const unsigned char *bytes, bool high_byte_first) {
    std::uint32_t word = 0;
    for (unsigned i = 0; i < 4; ++i) {
        word |= static_cast<std::uint32_t>(bytes[i]) << (8 * (high_byte_first ? 3 - i : i));
    }
    return word;
}

template <std::size_t N>
Bytes written(const std::array<std::uint32_t, N> &words, bool high_byte_first) {
    Bytes bytes;
    for (const std::uint32_t word : words) {
        for (unsigned i = 0; i < 4; ++i) {
            const unsigned shift = 8 * (high_byte_first ? 3 - i : i);
            bytes.push_back(static_cast<unsigned char>(word >> shift));
        }
    }
    return bytes;
}

// The constants of SHA-256 are the first 32 bits of the fractions of square and cube roots of
// primes (FIPS 180-4 §4.2.2, §5.3.3). Found by whole-number search, so nothing is rounded.
std::uint32_t root_fraction(unsigned prime, unsigned degree) {
    __extension__ using Wide = unsigned __int128;
    std::uint64_t root = 0;  // floor(prime^(1/degree) * 2^32)
    for (unsigned bit = 36; bit-- > 0;) {
        const std::uint64_t trial = root | std::uint64_t{1} << bit;
        // Compares trial^degree with prime * 2^(32 degree), by division where it is too large.
        const Wide square = static_cast<Wide>(trial) * trial;
        const bool fits = degree == 2 ? square <= static_cast<Wide>(prime) << 64
                                      : square <= (static_cast<Wide>(prime) << 96) / trial;
        if (fits) {
            root = trial;
        }
    }
    return static_cast<std::uint32_t>(root);
}

struct Sha256Constants {
    std::array<std::uint32_t, 8> start;
    std::array<std::uint32_t, 64> round;
};

const Sha256Constants &sha256_constants() {
    static const Sha256Constants constants = [] {
        Sha256Constants made{};
        unsigned found = 0;
        for (unsigned number = 2; found < made.round.size(); ++number) {
            bool prime = true;
            for (unsigned divisor = 2; divisor * divisor <= number; ++divisor) {
                prime = prime && number % divisor != 0;
            }
            if (!prime) {
                continue;
            }
            if (found < made.start.size()) {
                made.start[found] = root_fraction(number, 2);
            }
            made.round[found++] = root_fraction(number, 3);
        }
        return made;
    }();
    return constants;
}

}  // namespace

Bytes sha256(const unsigned char *data, std::size_t size) {
    const Sha256Constants &constants = sha256_constants();
    std::array<std::uint32_t, 8> state = constants.start;
    const Bytes message = padded(data, size, true);
    for (std::size_t at = 0; at < message.size(); at += BLOCK) {
        std::array<std::uint32_t, 64> w{};
        for (std::size_t t = 0; t < 16; ++t) {
            w[t] = read_word(message.data() + at + 4 * t, true);
        }
        for (std::size_t t = 16; t < 64; ++t) {
            const std::uint32_t s0 =
                rotate_right(w[t - 15], 7) ^ rotate_right(w[t - 15], 18) ^ w[t - 15] >> 3;
            const std::uint32_t s1 =
                rotate_right(w[t - 2], 17) ^ rotate_right(w[t - 2], 19) ^ w[t - 2] >> 10;
            w[t] = s1 + w[t - 7] + s0 + w[t - 16];
        }
        auto [a, b, c, d, e, f, g, h] = state;
        for (std::size_t t = 0; t < 64; ++t) {
            const std::uint32_t sum1 =
                rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
            const std::uint32_t choice = (e & f) ^ (~e & g);
            const std::uint32_t t1 = h + sum1 + choice + constants.round[t] + w[t];
            const std::uint32_t sum0 =
                rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
            const std::uint32_t majority = (a & b) ^ (a & c) ^ (b & c);
            h = g;
            g = f;
            f = e;
            e = d + t1;
            d = c;
            c = b;
            b = a;
            a = t1 + sum0 + majority;
        }
        const std::array<std::uint32_t, 8> round{a, b, c, d, e, f, g, h};
        for (std::size_t i = 0; i < state.size(); ++i) {
            state[i] += round[i];
        }
    }
    return written(state, true);
}

Bytes sha1(const unsigned char *data, std::size_t size) {
    std::array<std::uint32_t, 5> state{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476,
                                       0xc3d2e1f0};
    const Bytes message = padded(data, size, true);
    for (std::size_t at = 0; at < message.size(); at += BLOCK) {
        std::array<std::uint32_t, 80> w{};
        for (std::size_t t = 0; t < 16; ++t) {
            w[t] = read_word(message.data() + at + 4 * t, true);
        }
        for (std::size_t t = 16; t < 80; ++t) {
            w[t] = rotate_left(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
        }
        auto [a, b, c, d, e] = state;
        for (std::size_t t = 0; t < 80; ++t) {
            std::uint32_t mixed;
            std::uint32_t constant;
            if (t < 20) {
                mixed = (b & c) ^ (~b & d);
                constant = 0x5a827999;
            } else if (t < 40) {
                mixed = b ^ c ^ d;
                constant = 0x6ed9eba1;
            } else if (t < 60) {
                mixed = (b & c) ^ (b & d) ^ (c & d);
                constant = 0x8f1bbcdc;
            } else {
                mixed = b ^ c ^ d;
                constant = 0xca62c1d6;
            }
            const std::uint32_t next = rotate_left(a, 5) + mixed + e + constant + w[t];
            e = d;
            d = c;
            c = rotate_left(b, 30);
            b = a;
            a = next;
        }
        const std::array<std::uint32_t, 5> round{a, b, c, d, e};
        for (std::size_t i = 0; i < state.size(); ++i) {
            state[i] += round[i];
        }
    }
    return written(state, true);
}

Bytes md5(const unsigned char *data, std::size_t size) {
    // Shifts of the four rounds (RFC 1321 §3.4).
    static constexpr unsigned SHIFT[4][4] = {
        {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    std::array<std::uint32_t, 4> state{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    const Bytes message = padded(data, size, false);
    for (std::size_t at = 0; at < message.size(); at += BLOCK) {
        std::array<std::uint32_t, 16> x{};
        for (std::size_t k = 0; k < 16; ++k) {
            x[k] = read_word(message.data() + at + 4 * k, false);
        }
        auto [a, b, c, d] = state;
        for (unsigned i = 0; i < 64; ++i) {
            std::uint32_t mixed;
            unsigned k;
            switch (i / 16) {
                case 0:
                    mixed = (b & c) | (~b & d);
                    k = i;
                    break;
                case 1:
                    mixed = (b & d) | (c & ~d);
                    k = (5 * i + 1) % 16;
                    break;
                case 2:
                    mixed = b ^ c ^ d;
                    k = (3 * i + 5) % 16;
                    break;
                default:
                    mixed = c ^ (b | ~d);
                    k = 7 * i % 16;
                    break;
            }
            // The table of RFC 1321 §3.4: the whole part of 2^32 |sin(i+1)|.
            const auto constant =
                static_cast<std::uint32_t>(4294967296.0 * std::fabs(std::sin(i + 1.0)));
            const std::uint32_t next =
                b + rotate_left(a + mixed + x[k] + constant, SHIFT[i / 16][i % 4]);
            a = d;
            d = c;
            c = b;
            b = next;
        }
        state[0] += a;
        state[1] += b;
        state[2] += c;
        state[3] += d;
    }
    return written(state, false);
}

namespace {
constexpr char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// The value of a character, 64 for one that is none.
unsigned base64_value(unsigned char character) {
    for (unsigned value = 0; value < 64; ++value) {
        if (static_cast<unsigned char>(ALPHABET[value]) == character) {
            return value;
        }
    }
    return 64;
}
}  // namespace

Bytes base64_encode(const unsigned char *data, std::size_t size) {
    Bytes text;
    for (std::size_t at = 0; at < size; at += 3) {
        std::uint32_t group = static_cast<std::uint32_t>(data[at]) << 16;
        group |= at + 1 < size ? static_cast<std::uint32_t>(data[at + 1]) << 8 : 0;
        group |= at + 2 < size ? data[at + 2] : 0;
        const std::size_t characters = size - at >= 3 ? 4 : size - at + 1;
        for (std::size_t i = 0; i < 4; ++i) {
            const char character = ALPHABET[group >> (18 - 6 * i) & 63];
            text.push_back(static_cast<unsigned char>(i < characters ? character : '='));
        }
    }
    return text;
}

bool base64_decode(const unsigned char *data, std::size_t size, Bytes &decoded) {
    decoded.clear();
    if (size % 4 != 0) {
        return false;
    }
    for (std::size_t at = 0; at < size; at += 4) {
        const bool last = at + 4 == size;
        std::size_t padding = 0;
        if (last && data[at + 3] == '=') {
            padding = data[at + 2] == '=' ? 2 : 1;
        }
        std::uint32_t group = 0;
        for (std::size_t i = 0; i < 4; ++i) {
            const unsigned value = i < 4 - padding ? base64_value(data[at + i]) : 0;
            if (value == 64) {
                return false;
            }
            group = group << 6 | value;
        }
        // Bits below the last byte must be zero, else two texts would mean the same bytes.
        if ((padding == 1 && (group & 0xff) != 0) || (padding == 2 && (group & 0xffff) != 0)) {
            return false;
        }
        for (std::size_t i = 0; i < 3 - padding; ++i) {
            decoded.push_back(static_cast<unsigned char>(group >> (16 - 8 * i)));
        }
    }
    return true;
}

}  // namespace mql::runtime
