// CryptEncode and CryptDecode: hashes and base64. Ciphers and archives are not there; they answer
// with 0 and an error, as a method that MetaTrader does not know.
//
// Option `hash_empty`: "works" (default) or "error". What MetaTrader makes of a hash of nothing is
// not documented.
#include "library.hpp"
#include "library_digest.hpp"
#include "options.hpp"

namespace mql {
namespace {

// A dynamic array gets the size of the result, a static one has to be large enough.
int put(const runtime::Bytes &bytes, const aref<uchar> &result) {
    if (bytes.empty()) {
        runtime::fail(ERR_INVALID_PARAMETER);
        return 0;
    }
    if (!result.resize(static_cast<long long>(bytes.size()))) {
        runtime::fail(ERR_ARRAY_RESIZE_ERROR);
        return 0;
    }
    std::copy(bytes.begin(), bytes.end(), result.data());
    return static_cast<int>(bytes.size());
}

}  // namespace

int CryptEncode(ENUM_CRYPT_METHOD method, caref<uchar> data, caref<uchar>, aref<uchar> result) {
    const uchar *bytes = data.data();
    const auto size = static_cast<std::size_t>(data.size());
    if (size == 0 && runtime::option("hash_empty", "works") != "works") {
        runtime::fail(ERR_INVALID_PARAMETER);
        return 0;
    }
    switch (method) {
        case CRYPT_HASH_SHA256:
            return put(runtime::sha256(bytes, size), result);
        case CRYPT_HASH_SHA1:
            return put(runtime::sha1(bytes, size), result);
        case CRYPT_HASH_MD5:
            return put(runtime::md5(bytes, size), result);
        case CRYPT_BASE64:
            return put(runtime::base64_encode(bytes, size), result);
        default:
            runtime::fail(ERR_INVALID_PARAMETER);
            return 0;
    }
}

int CryptDecode(ENUM_CRYPT_METHOD method, caref<uchar> data, caref<uchar>, aref<uchar> result) {
    runtime::Bytes decoded;
    if (method != CRYPT_BASE64 ||
        !runtime::base64_decode(data.data(), static_cast<std::size_t>(data.size()), decoded)) {
        runtime::fail(ERR_INVALID_PARAMETER);
        return 0;
    }
    return put(decoded, result);
}

}  // namespace mql
