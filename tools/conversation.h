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

/// Answers each line of standard input, `line` counted from 0, until it ends; on a terminal it asks for them. What an
/// answer has printed of itself already it leaves out of what it returns. A UsageError is told, and does not end it.
void answer_lines(const std::function<std::string(const std::string& text, uint64_t line)>& answer);

}  // namespace genzoo
