#pragma once
// Numbers as people read them.

#include <cstdint>
#include <optional>
#include <string>

namespace genzoo {

/// Digits after the point that show two significant ones of an error; without an error, four of the value, of a
/// whole number none. 0 ... 6.
int decimals_of(double value, std::optional<double> error);

/// "3.339 ± 0.012"; "3.339" without an error; "not a number" and "infinite" said as words.
std::string with_error(double value, std::optional<double> error, int decimals);
std::string with_error(double value, std::optional<double> error);

std::string grouped(int64_t number);  ///< "1,234,567"
std::string brief(double value);      ///< three significant digits: "0.0123", "1,230", "4.56e-08"
std::string with_prefix(double value, const std::string& unit);  ///< "1.23 TFLOP"
std::string bytes_text(int64_t bytes);                           ///< "512 MB"
std::string duration_text(double seconds);                       ///< "59.8 s", "5 min 20 s", "2 h 4 min"
std::string p_text(double p);                                    ///< "0.031", "< 0.0001"

}  // namespace genzoo
