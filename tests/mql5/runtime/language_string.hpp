// mql::string: UTF-16 units and whether it is NULL, which is not the same as "".
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace mql {

class string {
  public:
    string() noexcept = default;  // NULL, as a string that nothing was assigned to
    string(const char *utf8);     // nullptr is NULL
    string(const char16_t *units, std::size_t size) : units_(units, size), null_(false) {}
    explicit string(std::u16string units) : units_(std::move(units)), null_(false) {}

    // Bytes that are no UTF-8 become U+FFFD.
    static string from_utf8(std::string_view utf8);
    // A surrogate without its other half becomes U+FFFD.
    std::string utf8() const;

    bool is_null() const noexcept { return null_; }
    bool empty() const noexcept { return units_.empty(); }
    std::size_t size() const noexcept { return units_.size(); }
    char16_t operator[](std::size_t index) const noexcept { return units_[index]; }
    const std::u16string &units() const noexcept { return units_; }
    // For functions that write into a string: from now on it is not NULL.
    std::u16string &change() noexcept {
        null_ = false;
        return units_;
    }

    string &operator+=(const string &other) {
        // NULL + NULL stays NULL: nothing was added to nothing.
        null_ = null_ && other.null_;
        units_ += other.units_;
        return *this;
    }

    friend string operator+(const string &left, const string &right) {
        string sum;
        sum.null_ = left.null_ && right.null_;
        sum.units_.reserve(left.size() + right.size());
        sum.units_ += left.units_;
        sum.units_ += right.units_;
        return sum;
    }

    friend bool operator==(const string &left, const string &right) noexcept {
        return left.null_ == right.null_ && left.units_ == right.units_;
    }
    friend bool operator!=(const string &left, const string &right) noexcept {
        return !(left == right);
    }
    // NULL comes before everything that is not NULL.
    friend bool operator<(const string &left, const string &right) noexcept {
        return left.null_ != right.null_ ? left.null_ : left.units_ < right.units_;
    }
    friend bool operator>(const string &left, const string &right) noexcept {
        return right < left;
    }
    friend bool operator<=(const string &left, const string &right) noexcept {
        return !(right < left);
    }
    friend bool operator>=(const string &left, const string &right) noexcept {
        return !(left < right);
    }

  private:
    std::u16string units_;
    bool null_ = true;
};

// "text" of the source is written u"text"_s by the code generator.
inline string operator""_s(const char16_t *units, std::size_t size) { return string(units, size); }

}  // namespace mql
