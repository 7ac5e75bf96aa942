// Arrays: darr owns, aref and caref are parameters, at() checks every index.
//
// Static arrays of MQL5 are plain C arrays, so that structures and unions have MQL5's layout.
#pragma once

#include <climits>
#include <cstdlib>
#include <initializer_list>
#include <new>
#include <type_traits>
#include <utility>

#include "language_base.hpp"

namespace mql {

// A dynamic array: `T name[]`.
template <class T>
class darr {
  public:
    darr() noexcept = default;
    darr(std::initializer_list<T> values) {
        resize(static_cast<long long>(values.size()));
        int index = 0;
        for (const T &value : values) {
            data_[index++] = value;
        }
    }
    darr(const darr &other) { *this = other; }
    darr(darr &&other) noexcept { swap(other); }
    darr &operator=(const darr &other) {
        if (this != &other) {
            resize(0);
            resize(other.size_);
            for (int index = 0; index < size_; ++index) {
                data_[index] = other.data_[index];
            }
        }
        return *this;
    }
    darr &operator=(darr &&other) noexcept {
        swap(other);
        return *this;
    }
    ~darr() { release(); }

    int size() const noexcept { return size_; }
    int capacity() const noexcept { return capacity_; }
    T *data() noexcept { return data_; }
    const T *data() const noexcept { return data_; }

    void swap(darr &other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(capacity_, other.capacity_);
    }

    // As ArrayResize: memory is only allocated anew when the reserve is used up; then there is
    // room for exactly `size + reserve`. Cells that come in are constructed but have no value.
    bool resize(long long size, long long reserve = 0) {
        if (size < 0 || size > INT_MAX) {
            return false;
        }
        if (size > capacity_ && !grow(size, reserve < 0 ? 0 : reserve)) {
            return false;
        }
        for (int index = size_ - 1; index >= size; --index) {
            data_[index].~T();
        }
        if (size > size_) {
            poison(static_cast<void *>(data_ + size_), sizeof(T) * (size - size_));
        }
        if constexpr (!std::is_trivially_default_constructible_v<T>) {
            for (int index = size_; index < size; ++index) {
                new (static_cast<void *>(data_ + index)) T;
            }
        }
        size_ = static_cast<int>(size);
        return true;
    }

    void release() noexcept {
        for (int index = size_ - 1; index >= 0; --index) {
            data_[index].~T();
        }
        std::free(static_cast<void *>(data_));
        data_ = nullptr;
        size_ = 0;
        capacity_ = 0;
    }

  private:
    bool grow(long long size, long long reserve) {
        long long capacity = size + reserve;
        if (capacity > INT_MAX) {
            capacity = size;
        }
        T *data;
        if constexpr (std::is_trivially_copyable_v<T>) {
            data = static_cast<T *>(std::realloc(static_cast<void *>(data_),
                                                 sizeof(T) * static_cast<std::size_t>(capacity)));
            if (data == nullptr) {
                return false;
            }
        } else {
            data = static_cast<T *>(std::malloc(sizeof(T) * static_cast<std::size_t>(capacity)));
            if (data == nullptr) {
                return false;
            }
            for (int index = 0; index < size_; ++index) {
                new (static_cast<void *>(data + index)) T(std::move(data_[index]));
                data_[index].~T();
            }
            std::free(static_cast<void *>(data_));
        }
        data_ = data;
        capacity_ = static_cast<int>(capacity);
        return true;
    }

    T *data_ = nullptr;
    int size_ = 0;
    int capacity_ = 0;
};

// A parameter `T &name[]`: a dynamic or a static array of the caller.
template <class T>
class aref {
  public:
    aref(darr<T> &array) noexcept : dynamic_(&array) {}
    template <std::size_t N>
    aref(T (&array)[N]) noexcept : data_(array), size_(static_cast<int>(N)) {}

    bool is_dynamic() const noexcept { return dynamic_ != nullptr; }
    int size() const noexcept { return dynamic_ != nullptr ? dynamic_->size() : size_; }
    T *data() const noexcept { return dynamic_ != nullptr ? dynamic_->data() : data_; }
    T *begin() const noexcept { return data(); }
    T *end() const noexcept { return data() + size(); }
    darr<T> *dynamic() const noexcept { return dynamic_; }

    // As ArrayResize: a static array keeps its size, which only a smaller one fits.
    bool resize(long long size, long long reserve = 0) const {
        return dynamic_ != nullptr ? dynamic_->resize(size, reserve) : size >= 0 && size <= size_;
    }

  private:
    darr<T> *dynamic_ = nullptr;
    T *data_ = nullptr;
    int size_ = 0;
};

// A parameter `const T &name[]`.
template <class T>
class caref {
  public:
    caref(const darr<T> &array) noexcept : dynamic_(&array) {}
    caref(const aref<T> &array) noexcept
        : dynamic_(array.dynamic()), data_(array.dynamic() != nullptr ? nullptr : array.data()),
          size_(array.dynamic() != nullptr ? 0 : array.size()) {}
    template <std::size_t N>
    caref(const T (&array)[N]) noexcept : data_(array), size_(static_cast<int>(N)) {}

    bool is_dynamic() const noexcept { return dynamic_ != nullptr; }
    int size() const noexcept { return dynamic_ != nullptr ? dynamic_->size() : size_; }
    const T *data() const noexcept { return dynamic_ != nullptr ? dynamic_->data() : data_; }
    const T *begin() const noexcept { return data(); }
    const T *end() const noexcept { return data() + size(); }

  private:
    const darr<T> *dynamic_ = nullptr;
    const T *data_ = nullptr;
    int size_ = 0;
};

// Whatever array it is, as a parameter: for templates, which would not convert by themselves.
template <class T>
aref<T> as_ref(darr<T> &array) {
    return aref<T>(array);
}
template <class T, std::size_t N>
aref<T> as_ref(T (&array)[N]) {
    return aref<T>(array);
}
template <class T>
aref<T> as_ref(const aref<T> &array) {
    return array;
}
template <class T>
caref<T> as_cref(const darr<T> &array) {
    return caref<T>(array);
}
template <class T, std::size_t N>
caref<T> as_cref(const T (&array)[N]) {
    return caref<T>(array);
}
template <class T>
caref<T> as_cref(const aref<T> &array) {
    return caref<T>(array);
}
template <class T>
caref<T> as_cref(const caref<T> &array) {
    return array;
}

[[noreturn]] void out_of_range(long long index, long long size, const char *file, int line);

namespace detail {
// A negative index is a huge unsigned one.
inline void check_index(long long index, long long size, const char *file, int line) {
    if (__builtin_expect(static_cast<unsigned long long>(index) >=
                             static_cast<unsigned long long>(size),
                         0)) {
        out_of_range(index, size, file, line);
    }
}
}  // namespace detail

template <class T>
inline T &at(darr<T> &array, long long index, MQL_PLACE) {
    detail::check_index(index, array.size(), file, line);
    return array.data()[index];
}
template <class T>
inline const T &at(const darr<T> &array, long long index, MQL_PLACE) {
    detail::check_index(index, array.size(), file, line);
    return array.data()[index];
}
template <class T>
inline T &at(const aref<T> &array, long long index, MQL_PLACE) {
    detail::check_index(index, array.size(), file, line);
    return array.data()[index];
}
template <class T>
inline const T &at(const caref<T> &array, long long index, MQL_PLACE) {
    detail::check_index(index, array.size(), file, line);
    return array.data()[index];
}
template <class T, std::size_t N>
inline T &at(T (&array)[N], long long index, MQL_PLACE) {
    detail::check_index(index, static_cast<long long>(N), file, line);
    return array[index];
}

}  // namespace mql
