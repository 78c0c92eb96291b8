#include "evaluation/report_numbers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace genzoo {
namespace {

constexpr const char* kNoBreak = "\u00a0";

/// The decimal exponent of the first significant digit.
int exponent_of(double value) { return static_cast<int>(std::floor(std::log10(std::abs(value)))); }

std::string fixed(double value, int decimals) {
  if (std::isnan(value)) return "not a number";
  if (std::isinf(value)) return value > 0 ? "infinite" : "minus infinite";
  if (value != 0 && (std::abs(value) >= 1e9 || std::abs(value) < 0.5 * std::pow(10.0, -decimals))) {
    return fmt::format("{:.2e}", value);
  }
  return fmt::format("{:.{}f}", value, decimals);
}

}  // namespace

int decimals_of(double value, std::optional<double> error) {
  constexpr int kMost = 6;
  const bool by_error = error && std::isfinite(*error) && *error > 0;
  const double leading = by_error ? *error : value;
  if (!std::isfinite(leading) || leading == 0) return 3;
  if (!by_error && leading == std::round(leading) && std::abs(leading) < 1e6) return 0;  // a count
  return std::clamp((by_error ? 1 : 3) - exponent_of(leading), 0, kMost);
}

std::string with_error(double value, std::optional<double> error, int decimals) {
  if (!error) return fixed(value, decimals);
  return fmt::format("{} ± {}", fixed(value, decimals), fixed(*error, decimals));
}

std::string with_error(double value, std::optional<double> error) {
  return with_error(value, error, decimals_of(value, error));
}

std::string grouped(int64_t number) {
  std::string digits = std::to_string(number);
  const size_t first = number < 0 ? 1 : 0;
  for (size_t place = digits.size(); place > first + 3; place -= 3) digits.insert(place - 3, 1, ',');
  return digits;
}

std::string brief(double value) {
  if (!std::isfinite(value)) return fixed(value, 0);
  if (value == 0) return "0";
  const double size = std::abs(value);
  if (size < 1e-3 || size >= 1e7) return fmt::format("{:.2e}", value);
  if (size >= 999.5) return grouped(std::llround(value));
  const double rounded = std::stod(fmt::format("{:.2e}", value));  // 0.99999 is 1.00, not 1.000
  return fmt::format("{:.{}f}", rounded, std::clamp(2 - exponent_of(rounded), 0, 5));
}

std::string with_prefix(double value, const std::string& unit) {
  constexpr const char* kPrefixes[] = {"", "k", "M", "G", "T", "P", "E", "Z"};
  if (!std::isfinite(value) || value < 0) return fmt::format("{}{}{}", brief(value), kNoBreak, unit);
  size_t prefix = 0;
  while (value >= 999.5 && prefix + 1 < std::size(kPrefixes)) {
    value /= 1000;
    ++prefix;
  }
  return fmt::format("{}{}{}{}", brief(value), kNoBreak, kPrefixes[prefix], unit);
}

std::string bytes_text(int64_t bytes) { return with_prefix(static_cast<double>(bytes), "B"); }

std::string duration_text(double seconds) {
  if (!std::isfinite(seconds) || seconds < 99.5) return fmt::format("{}{}s", brief(seconds), kNoBreak);
  const int64_t whole = std::llround(seconds);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

std::string p_text(double p) { return p < 1e-4 ? "< 0.0001" : fmt::format("{:.{}f}", p, p < 0.01 ? 4 : 3); }

}  // namespace genzoo
