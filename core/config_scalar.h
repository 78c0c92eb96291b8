#pragma once
// Scalars of a config: how they are read, and how they are written so that reading gives the same. Private to the
// config reader.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/config.h"

namespace genzoo {

/// What a scalar's text was understood as; without a value, what it should have been.
template <class T>
struct ParsedScalar {
  std::optional<T> value;
  std::string wanted;  ///< "an integer"; completes "must be ..."
  std::string advice;  ///< "write 1000", or empty
};

/// Decimal integers of 64 bits. Not `1e3`, nor `010`, which is eight to some readers of YAML and ten to others.
ParsedScalar<int64_t> parse_integer(std::string_view text);

/// Finite decimal numbers.
ParsedScalar<double> parse_number(std::string_view text);

/// `true` and `false`.
ParsedScalar<bool> parse_boolean(std::string_view text);

/// The shortest text that reads back as exactly this number. It has a point, so that any reader of YAML takes it for a
/// floating-point number: 1.0, 0.001, 1.0e-05. Throws std::logic_error when it is not finite.
std::string written_number(double value);

/// Text as a YAML scalar, in quotes only where a reader would take it for something else without them.
std::string written_text(const std::string& value);

/// Text as a part of a one-line message: control characters as `?`, cut to about `longest` bytes.
std::string clipped(std::string_view text, size_t longest = 40);

/// What a range asks for: "positive", "at least 1 and below 10"; empty if it allows every number.
std::string describe_range(const Range& range);

/// "a, b, c"
std::string joined(std::span<const std::string> names);

}  // namespace genzoo
