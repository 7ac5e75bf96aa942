// The library's templates, and what its files share.
//
// Everything else is declared by the generated api.hpp. A translated program includes this file.
//
// Defined here: FileReadArray FileWriteArray FileReadStruct FileWriteStruct FileLoad FileSave
// FileWrite DatabasePrepare DatabaseBind DatabaseBindArray DatabaseColumnBlob StringConcatenate
// ArraySort ArrayBsearch ArrayMaximum ArrayMinimum.
// Missing on purpose: DatabaseReadBind (it needs to know the fields of a structure).
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "api.hpp"

namespace mql {

namespace runtime {

// Sets _LastError; success never touches it.
inline bool fail(int error) {
    _LastError = error;
    return false;
}
// For functions of which 0 is no error.
inline bool done(int error) { return error == 0 || fail(error); }

// Text as bytes of a code page and back. Only UTF-8 is the same on every computer: with any other
// code page, text that is not ASCII ends the program.
std::string bytes_of(const string &text, uint codepage);
string text_of(std::string_view bytes, uint codepage);

// Reads or writes that many bytes of a binary file; returns how many it were.
std::size_t file_read_bytes(int handle, void *bytes, std::size_t size);
std::size_t file_write_bytes(int handle, const void *bytes, std::size_t size);
// Of string arrays: a text file line by line.
bool file_is_text(int handle);
// What is left in a binary file behind its position.
std::size_t file_rest(int handle);
uint file_write_line(int handle, const std::vector<string> &fields);

bool database_bind(int request, int index, long long value);
bool database_bind(int request, int index, double value);
bool database_bind(int request, int index, const string &value);
bool database_bind(int request, int index, const void *bytes, std::size_t size);
int database_prepare(int database, const string &sql);
bool database_blob(int request, int column, std::vector<uchar> &bytes);

// The bounds of `count` elements from `start`; false when they are not all in the array.
inline bool part_of(int size, int start, int count, int &from, int &to) {
    if (start < 0 || start > size || (count >= 0 && count > size - start)) {
        return false;
    }
    from = start;
    to = count < 0 ? size : start + count;
    return true;
}

}  // namespace runtime

// --- files -------------------------------------------------------------------------------------

template <class A>
uint FileWriteArray(int file_handle, const A &array, int start = 0, int count = WHOLE_ARRAY) {
    const auto cells = as_cref(array);
    using T = std::remove_const_t<std::remove_reference_t<decltype(*cells.data())>>;
    int from = 0;
    int to = 0;
    if (!runtime::part_of(cells.size(), start, count, from, to)) {
        runtime::fail(ERR_INVALID_PARAMETER);
        return 0;
    }
    if constexpr (std::is_same_v<T, string>) {
        if (!runtime::file_is_text(file_handle)) {
            runtime::fail(ERR_FILE_NOTTXT);
            return 0;
        }
        for (int i = from; i < to; ++i) {
            if (runtime::file_write_line(file_handle, {cells.data()[i]}) == 0) {
                return static_cast<uint>(i - from);
            }
        }
        return static_cast<uint>(to - from);
    } else {
        static_assert(std::is_trivially_copyable_v<T>, "an array of objects in a file");
        const std::size_t size = sizeof(T) * static_cast<std::size_t>(to - from);
        const std::size_t wrote =
            runtime::file_write_bytes(file_handle, cells.data() + from, size);
        return static_cast<uint>(wrote / sizeof(T));
    }
}

// WHOLE_ARRAY is everything that is left in the file; a dynamic array grows to take it.
template <class A>
uint FileReadArray(int file_handle, A &array, int start = 0, int count = WHOLE_ARRAY) {
    const auto cells = as_ref(array);
    using T = std::remove_reference_t<decltype(*cells.data())>;
    static_assert(std::is_trivially_copyable_v<T>, "an array of objects from a file");
    if (start < 0 || count < WHOLE_ARRAY) {
        runtime::fail(ERR_INVALID_PARAMETER);
        return 0;
    }
    std::size_t wanted = runtime::file_rest(file_handle) / sizeof(T);
    if (count != WHOLE_ARRAY) {
        wanted = std::min(wanted, static_cast<std::size_t>(count));
    }
    const auto needed = static_cast<long long>(start) + static_cast<long long>(wanted);
    if (needed > cells.size() && !cells.resize(needed)) {
        wanted = start < cells.size() ? static_cast<std::size_t>(cells.size() - start) : 0;
    }
    if (wanted == 0) {
        // Says what is wrong with the handle, if anything is.
        runtime::file_read_bytes(file_handle, nullptr, 0);
        return 0;
    }
    const std::size_t got =
        runtime::file_read_bytes(file_handle, cells.data() + start, sizeof(T) * wanted);
    return static_cast<uint>(got / sizeof(T));
}

template <class T>
uint FileWriteStruct(int file_handle, const T &struct_object, int size = -1) {
    static_assert(std::is_trivially_copyable_v<T>, "a structure with objects in a file");
    const std::size_t whole = sizeof(T);
    const std::size_t wanted = size < 0 ? whole : std::min(whole, static_cast<std::size_t>(size));
    return static_cast<uint>(runtime::file_write_bytes(file_handle, &struct_object, wanted));
}

template <class T>
uint FileReadStruct(int file_handle, T &struct_object, int size = -1) {
    static_assert(std::is_trivially_copyable_v<T>, "a structure with objects from a file");
    const std::size_t whole = sizeof(T);
    const std::size_t wanted = size < 0 ? whole : std::min(whole, static_cast<std::size_t>(size));
    return static_cast<uint>(runtime::file_read_bytes(file_handle, &struct_object, wanted));
}

template <class A>
bool FileSave(const string &file_name, const A &buffer, int common_flag = 0) {
    const int handle = FileOpen(file_name, FILE_WRITE | FILE_BIN | common_flag);
    if (handle == INVALID_HANDLE) {
        return false;
    }
    const auto cells = as_cref(buffer);
    const uint wrote = FileWriteArray(handle, buffer);
    FileClose(handle);
    return wrote == static_cast<uint>(cells.size());
}

template <class A>
long long FileLoad(const string &file_name, A &buffer, int common_flag = 0) {
    const int handle = FileOpen(file_name, FILE_READ | FILE_BIN | common_flag);
    if (handle == INVALID_HANDLE) {
        return -1;
    }
    const uint read = FileReadArray(handle, buffer);
    FileClose(handle);
    return read;
}

template <class... T>
uint FileWrite(int file_handle, const T &...values) {
    static_assert(sizeof...(T) <= 63);
    return runtime::file_write_line(file_handle, {text(values)...});
}

// --- arrays ------------------------------------------------------------------------------------

template <class A>
bool ArraySort(A &&array) {
    const auto cells = as_ref(array);
    std::sort(cells.begin(), cells.end());
    return true;
}

// The index of an equal cell of a sorted array, or of the nearest one; -1 for an empty array.
template <class A, class V>
int ArrayBsearch(const A &array, const V &value) {
    const auto cells = as_cref(array);
    if (cells.size() == 0) {
        runtime::fail(ERR_ZEROSIZE_ARRAY);
        return -1;
    }
    const auto *found = std::lower_bound(cells.begin(), cells.end(), value);
    if (found == cells.end()) {
        return cells.size() - 1;
    }
    const auto index = static_cast<int>(found - cells.begin());
    const bool has_nearer = index > 0 && *found != value && value - found[-1] <= *found - value;
    return has_nearer ? index - 1 : index;
}

namespace runtime {
// The first of the best cells; `better` decides.
template <class A, class Better>
int best_cell(const A &array, int start, int count, const Better &better) {
    const auto cells = as_cref(array);
    int from = 0;
    int to = 0;
    if (!part_of(cells.size(), start, count, from, to) || from == to) {
        fail(ERR_INVALID_PARAMETER);
        return -1;
    }
    int best = from;
    for (int i = from + 1; i < to; ++i) {
        best = better(cells.data()[i], cells.data()[best]) ? i : best;
    }
    return best;
}
}  // namespace runtime

template <class A>
int ArrayMaximum(const A &array, int start = 0, int count = WHOLE_ARRAY) {
    return runtime::best_cell(array, start, count, std::greater<>());
}

template <class A>
int ArrayMinimum(const A &array, int start = 0, int count = WHOLE_ARRAY) {
    return runtime::best_cell(array, start, count, std::less<>());
}

template <class... T>
int StringConcatenate(string &string_var, const T &...values) {
    static_assert(sizeof...(T) >= 1 && sizeof...(T) <= 63);
    string_var = concatenated(values...);
    return static_cast<int>(string_var.size());
}

// --- database ----------------------------------------------------------------------------------

template <class T>
bool DatabaseBind(int request, int index, const T &value) {
    if constexpr (std::is_convertible_v<T, string> && !std::is_arithmetic_v<T>) {
        return runtime::database_bind(request, index, string(value));
    } else if constexpr (std::is_floating_point_v<T>) {
        return runtime::database_bind(request, index, static_cast<double>(value));
    } else {
        static_assert(std::is_integral_v<T>, "MQL5 binds simple types and strings, no enums");
        return runtime::database_bind(request, index, static_cast<long long>(value));
    }
}

template <class A>
bool DatabaseBindArray(int request, int index, const A &array) {
    const auto cells = as_cref(array);
    using T = std::remove_const_t<std::remove_reference_t<decltype(*cells.data())>>;
    static_assert(std::is_trivially_copyable_v<T>, "an array of objects in a database");
    return runtime::database_bind(request, index, cells.data(),
                                  sizeof(T) * static_cast<std::size_t>(cells.size()));
}

template <class... T>
int DatabasePrepare(int database, const string &sql, const T &...values) {
    const int request = runtime::database_prepare(database, sql);
    if (request == INVALID_HANDLE) {
        return INVALID_HANDLE;
    }
    [[maybe_unused]] int index = 0;
    const bool bound = (true && ... && DatabaseBind(request, index++, values));
    if (!bound) {
        DatabaseFinalize(request);
        runtime::fail(ERR_DATABASE_BIND_PARAMETERS);
        return INVALID_HANDLE;
    }
    return request;
}

// A dynamic array gets the size of the field; a static one has to be large enough.
template <class A>
bool DatabaseColumnBlob(int request, int column, A &data) {
    const auto cells = as_ref(data);
    using T = std::remove_reference_t<decltype(*cells.data())>;
    static_assert(std::is_trivially_copyable_v<T>, "an array of objects from a database");
    std::vector<uchar> bytes;
    if (!runtime::database_blob(request, column, bytes)) {
        return false;
    }
    if (bytes.size() % sizeof(T) != 0) {
        return runtime::fail(ERR_INVALID_ARRAY);
    }
    if (!cells.resize(static_cast<long long>(bytes.size() / sizeof(T)))) {
        return runtime::fail(ERR_ARRAY_RESIZE_ERROR);
    }
    if (!bytes.empty()) {
        std::memcpy(static_cast<void *>(cells.data()), bytes.data(), bytes.size());
    }
    return true;
}

}  // namespace mql
