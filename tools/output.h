#pragma once
// Standard output, every write checked.

#include <string_view>

#include "core/json.h"

namespace genzoo {

/// Whoever read standard output has gone away: there is nobody left to tell. Ends the program quietly.
struct OutputClosed {};

/// Writes to standard output. Throws OutputClosed, or RunError with the system's reason (a full disk).
void print(std::string_view text);

/// A JSON value and a newline. Bytes that are no UTF-8 are shown as the replacement character.
void print_json(const Json& json);

/// Writes out what is buffered; throws as print does. Call before the program ends.
void flush_output();

}  // namespace genzoo
