// Hashes and base64, written from FIPS 180-4, RFC 1321 and RFC 4648.
//
// They are on plain bytes, so that the self test can hold them against the published vectors
// without the language around them. Speed does not matter here, being readable does.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace mql::runtime {

using Bytes = std::vector<unsigned char>;

Bytes sha256(const unsigned char *data, std::size_t size);
Bytes sha1(const unsigned char *data, std::size_t size);
Bytes md5(const unsigned char *data, std::size_t size);

Bytes base64_encode(const unsigned char *data, std::size_t size);
// False for anything but canonical base64 with padding (RFC 4648 §3.3, §3.5): no line breaks.
bool base64_decode(const unsigned char *data, std::size_t size, Bytes &decoded);

}  // namespace mql::runtime
