// The functions of MQL5 that take arrays, structures or numbers of any type.
//
// They take whatever as_ref() takes: a dynamic array, a static one, or a parameter.
#pragma once

#include <climits>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <utility>

#include "language_array.hpp"
#include "language_base.hpp"
#include "language_object.hpp"
#include "language_string.hpp"

namespace mql {

namespace detail {

constexpr int INVALID_PARAMETER = 4003;
constexpr int INVALID_ARRAY = 4006;
constexpr int ARRAY_RESIZE_ERROR = 4007;
constexpr int ARRAY_BAD_SIZE = 4011;
constexpr int INCOMPATIBLE_ARRAYS = 5050;
constexpr int SMALL_ARRAY = 5052;
constexpr uint WHOLE = UINT_MAX;  // WHOLE_ARRAY as uint

inline bool fail(int error) {
    _LastError = error;
    return false;
}

template <class A>
using element_t = std::remove_const_t<
    std::remove_reference_t<decltype(*as_cref(std::declval<const A &>()).data())>>;

// Moves cells within one array, or copies them from another that may be the same.
template <class T>
void move_cells(T *to, const T *from, long long count) {
    if (count <= 0 || to == from) {
        return;
    }
    if constexpr (std::is_trivially_copyable_v<T>) {
        std::memmove(static_cast<void *>(to), static_cast<const void *>(from),
                     sizeof(T) * static_cast<std::size_t>(count));
    } else if (to < from) {
        for (long long index = 0; index < count; ++index) {
            to[index] = from[index];
        }
    } else {
        for (long long index = count; index-- > 0;) {
            to[index] = from[index];
        }
    }
}

template <class T>
void zero(T &variable) {
    if constexpr (std::is_array_v<T>) {
        for (auto &cell : variable) {
            zero(cell);
        }
    } else if constexpr (std::is_trivially_copyable_v<T>) {
        std::memset(static_cast<void *>(&variable), 0, sizeof(T));
    } else {
        static_assert(!std::is_base_of_v<mql_object, T>, "ZeroMemory of an object of a class");
        variable = T{};
    }
}

}  // namespace detail

// --- size -----------------------------------------------------------------------------------

template <class A>
inline int ArraySize(const A &array) {
    return as_cref(array).size();
}

template <class A>
inline int ArrayRange(const A &array, int rank_index) {
    if (rank_index != 0) {  // there are no arrays of more dimensions here
        detail::fail(detail::INVALID_PARAMETER);
        return 0;
    }
    return as_cref(array).size();
}

template <class A>
inline bool ArrayIsDynamic(const A &array) {
    return as_cref(array).is_dynamic();
}

template <class A>
inline int ArrayResize(A &&array, int new_size, int reserve_size = 0) {
    if (new_size < 0) {
        detail::fail(detail::INVALID_PARAMETER);
        return -1;
    }
    if (!as_ref(array).resize(new_size, reserve_size)) {
        detail::fail(detail::ARRAY_RESIZE_ERROR);
        return -1;
    }
    return new_size;
}

template <class A>
inline void ArrayFree(A &&array) {
    const auto cells = as_ref(array);
    if (cells.dynamic() != nullptr) {
        cells.dynamic()->release();
    }
}

// --- cells ----------------------------------------------------------------------------------

template <class A, class V>
inline int ArrayInitialize(A &&array, const V &value) {
    const auto cells = as_ref(array);
    using T = detail::element_t<A>;
    for (T &cell : cells) {
        cell = static_cast<T>(value);
    }
    return cells.size();
}

template <class A, class V>
inline void ArrayFill(A &&array, int start, int count, const V &value) {
    const auto cells = as_ref(array);
    using T = detail::element_t<A>;
    if (start < 0 || count < 0 || static_cast<long long>(start) + count > cells.size()) {
        detail::fail(detail::INVALID_PARAMETER);
        return;
    }
    for (int index = start; index < start + count; ++index) {
        cells.data()[index] = static_cast<T>(value);
    }
}

// The number of copied cells; 0 on error. A dynamic destination grows, a static one must do.
template <class A, class B>
inline int ArrayCopy(A &&dst_array, const B &src_array, int dst_start = 0, int src_start = 0,
                     int count = -1) {
    const auto to = as_ref(dst_array);
    const auto from = as_cref(src_array);
    using T = detail::element_t<A>;
    using S = detail::element_t<B>;
    static_assert(std::is_same_v<T, string> == std::is_same_v<S, string>,
                  "a string array can be copied into a string array only");
    static_assert(!std::is_base_of_v<mql_object, T>, "arrays of objects are not copied");
    if (dst_start < 0 || src_start < 0 || src_start > from.size()) {
        detail::fail(detail::SMALL_ARRAY);
        return 0;
    }
    const long long rest = static_cast<long long>(from.size()) - src_start;
    const long long cells = count < 0 || count > rest ? rest : count;
    if (cells == 0) {
        return 0;
    }
    if (dst_start + cells > to.size() && (!to.is_dynamic() || !to.resize(dst_start + cells))) {
        detail::fail(to.is_dynamic() ? detail::ARRAY_RESIZE_ERROR : detail::SMALL_ARRAY);
        return 0;
    }
    if constexpr (std::is_same_v<T, S>) {
        detail::move_cells(to.data() + dst_start, from.data() + src_start, cells);
    } else {
        for (long long index = 0; index < cells; ++index) {
            to.data()[dst_start + index] = static_cast<T>(from.data()[src_start + index]);
        }
    }
    return static_cast<int>(cells);
}

template <class A>
inline bool ArrayRemove(A &&array, uint start, uint count = detail::WHOLE) {
    const auto cells = as_ref(array);
    const long long size = cells.size();
    if (start >= size) {
        return detail::fail(detail::SMALL_ARRAY);
    }
    if (count == detail::WHOLE) {
        count = static_cast<uint>(size - start);
    } else if (static_cast<long long>(start) + count > size) {
        return detail::fail(detail::INVALID_PARAMETER);
    }
    detail::move_cells(cells.data() + start, cells.data() + start + count, size - start - count);
    // A static array keeps its size: the tail is there twice then.
    return !cells.is_dynamic() || cells.resize(size - count);
}

template <class A, class B>
inline bool ArrayInsert(A &&dst_array, const B &src_array, uint dst_start, uint src_start = 0,
                        uint count = detail::WHOLE) {
    const auto to = as_ref(dst_array);
    const auto from = as_cref(src_array);
    static_assert(std::is_same_v<detail::element_t<A>, detail::element_t<B>>,
                  "ArrayInsert takes arrays of one type");
    if (static_cast<const void *>(to.data()) == from.data() && to.data() != nullptr) {
        return detail::fail(detail::INVALID_ARRAY);
    }
    const long long size = to.size();
    if (from.size() == 0 || src_start >= static_cast<uint>(from.size()) ||
        dst_start > size - (to.is_dynamic() ? 0 : 1)) {
        return detail::fail(detail::SMALL_ARRAY);
    }
    const long long rest = from.size() - static_cast<long long>(src_start);
    if (count != detail::WHOLE && count > rest) {
        return detail::fail(detail::SMALL_ARRAY);
    }
    long long cells = count == detail::WHOLE ? rest : count;
    if (to.is_dynamic()) {
        if (!to.resize(size + cells)) {
            return detail::fail(detail::ARRAY_RESIZE_ERROR);
        }
    } else if (cells > size - dst_start) {
        cells = size - dst_start;
    }
    const long long shifted = to.size() - dst_start - cells;
    detail::move_cells(to.data() + dst_start + cells, to.data() + dst_start, shifted);
    detail::move_cells(to.data() + dst_start, from.data() + src_start, cells);
    return true;
}

template <class A>
inline bool ArrayReverse(A &&array, uint start = 0, uint count = detail::WHOLE) {
    const auto cells = as_ref(array);
    const long long size = cells.size();
    if (start >= size) {
        return detail::fail(detail::SMALL_ARRAY);
    }
    if (count != detail::WHOLE && static_cast<long long>(start) + count > size) {
        return detail::fail(detail::INVALID_PARAMETER);
    }
    long long left = start;
    long long right = (count == detail::WHOLE ? size : static_cast<long long>(start) + count) - 1;
    for (; left < right; ++left, --right) {
        std::swap(cells.data()[left], cells.data()[right]);
    }
    return true;
}

template <class A, class B>
inline bool ArraySwap(A &&array1, B &&array2) {
    const auto first = as_ref(array1);
    const auto second = as_ref(array2);
    static_assert(std::is_same_v<detail::element_t<A>, detail::element_t<B>>,
                  "ArraySwap takes arrays of one type");
    if (!first.is_dynamic() || !second.is_dynamic()) {
        return detail::fail(detail::INVALID_ARRAY);
    }
    first.dynamic()->swap(*second.dynamic());
    return true;
}

// -1, 0, 1; -2 when a start or the count is outside. Equal so far, the shorter array is less.
template <class A, class B>
inline int ArrayCompare(const A &array1, const B &array2, int start1 = 0, int start2 = 0,
                        int count = -1) {
    const auto first = as_cref(array1);
    const auto second = as_cref(array2);
    using T = detail::element_t<A>;
    static_assert(std::is_same_v<T, detail::element_t<B>>, "ArrayCompare takes arrays of one type");
    if (start1 < 0 || start2 < 0 || start1 > first.size() || start2 > second.size()) {
        return -2;
    }
    const int rest1 = first.size() - start1;
    const int rest2 = second.size() - start2;
    if (count >= 0 && (count > rest1 || count > rest2)) {
        return -2;
    }
    const int cells = count >= 0 ? count : rest1 < rest2 ? rest1 : rest2;
    for (int index = 0; index < cells; ++index) {
        const T &left = first.data()[start1 + index];
        const T &right = second.data()[start2 + index];
        if constexpr (std::is_class_v<T> && !std::is_same_v<T, string>) {
            static_assert(std::is_trivially_copyable_v<T>, "structures of simple types only");
            const int order = std::memcmp(&left, &right, sizeof(T));
            if (order != 0) {
                return order < 0 ? -1 : 1;
            }
        } else if (left != right) {
            return left < right ? -1 : 1;
        }
    }
    return count >= 0 || rest1 == rest2 ? 0 : rest1 < rest2 ? -1 : 1;
}

// --- memory ---------------------------------------------------------------------------------

template <class T>
inline void ZeroMemory(T &variable) {
    detail::zero(variable);
}
template <class T>
inline void ZeroMemory(darr<T> &array) {
    for (T &cell : as_ref(array)) {
        detail::zero(cell);
    }
}
template <class T>
inline void ZeroMemory(const aref<T> &array) {
    for (T &cell : array) {
        detail::zero(cell);
    }
}
template <class T>
inline void ZeroMemory(aref<T> &array) {
    ZeroMemory(static_cast<const aref<T> &>(array));
}

template <class T>
inline bool StructToCharArray(const T &struct_object, const aref<uchar> &char_array,
                              uint start_pos = 0) {
    static_assert(std::is_trivially_copyable_v<T>, "a structure of simple types");
    const long long end = static_cast<long long>(start_pos) + static_cast<long long>(sizeof(T));
    if (end > char_array.size() && !char_array.resize(end)) {
        return detail::fail(detail::ARRAY_RESIZE_ERROR);
    }
    std::memcpy(char_array.data() + start_pos, &struct_object, sizeof(T));
    return true;
}

template <class T>
inline bool CharArrayToStruct(T &struct_object, const caref<uchar> &char_array,
                              uint start_pos = 0) {
    static_assert(std::is_trivially_copyable_v<T>, "a structure of simple types");
    const long long end = static_cast<long long>(start_pos) + static_cast<long long>(sizeof(T));
    if (end > char_array.size()) {
        return detail::fail(detail::SMALL_ARRAY);
    }
    std::memcpy(static_cast<void *>(&struct_object), char_array.data() + start_pos, sizeof(T));
    return true;
}

// --- numbers --------------------------------------------------------------------------------

template <class A, class B>
inline std::common_type_t<A, B> MathMax(A value1, B value2) {
    using T = std::common_type_t<A, B>;
    return static_cast<T>(value1) < static_cast<T>(value2) ? static_cast<T>(value2)
                                                           : static_cast<T>(value1);
}
template <class A, class B>
inline std::common_type_t<A, B> MathMin(A value1, B value2) {
    using T = std::common_type_t<A, B>;
    return static_cast<T>(value2) < static_cast<T>(value1) ? static_cast<T>(value2)
                                                           : static_cast<T>(value1);
}
template <class T>
inline T MathAbs(T value) {
    static_assert(std::is_arithmetic_v<T>);
    return value < 0 ? static_cast<T>(-value) : value;
}

}  // namespace mql
