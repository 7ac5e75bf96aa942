// Math*: the C library's functions under MQL5's names.
#include <cmath>

#include "library.hpp"

namespace mql {
namespace {

// The generator of Microsoft's C library, which a terminal on Windows is likely to use: 15 bits.
std::uint32_t random_state = 1;

}  // namespace

double MathAbs(double value) { return std::fabs(value); }
double MathArccos(double value) { return std::acos(value); }
double MathArcsin(double value) { return std::asin(value); }
double MathArctan(double value) { return std::atan(value); }
double MathArctan2(double y, double x) { return std::atan2(y, x); }
double MathCeil(double value) { return std::ceil(value); }
double MathCos(double value) { return std::cos(value); }
double MathExp(double value) { return std::exp(value); }
double MathFloor(double value) { return std::floor(value); }
double MathLog(double value) { return std::log(value); }
double MathLog10(double value) { return std::log10(value); }
double MathMod(double value, double value2) { return std::fmod(value, value2); }
double MathPow(double base, double exponent) { return std::pow(base, exponent); }
double MathRound(double value) { return std::round(value); }
double MathSin(double value) { return std::sin(value); }
double MathSqrt(double value) { return std::sqrt(value); }
double MathTan(double value) { return std::tan(value); }

bool MathIsValidNumber(double number) { return std::isfinite(number); }

int MathRand() {
    random_state = random_state * 214013 + 2531011;
    return static_cast<int>(random_state >> 16 & 0x7fff);
}

void MathSrand(int seed) { random_state = static_cast<std::uint32_t>(seed); }

ushort MathSwap(ushort value) { return __builtin_bswap16(value); }
uint MathSwap(uint value) { return __builtin_bswap32(value); }
ulong_ MathSwap(ulong_ value) { return __builtin_bswap64(value); }

}  // namespace mql
