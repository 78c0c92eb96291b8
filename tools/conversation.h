#pragma once
// Text that is typed, line by line, and what is answered.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace genzoo {

/// Text to standard output at once.
void print_at_once(std::string_view piece);

/// Ends a text's line, on a terminal or always.
void end_line(std::string_view text, bool always);

/// Has each line of standard input, `line` counted from 0, answered and the answer printed, until it ends; on a
/// terminal it asks for them. A UsageError is told, and does not end it.
void answer_lines(const std::function<void(const std::string& text, uint64_t line)>& answer);

}  // namespace genzoo
