#include "tools/conversation.h"

#include <fmt/format.h>
#include <unistd.h>

#include <iostream>

#include "core/error.h"
#include "tools/output.h"

namespace genzoo {

void print_at_once(std::string_view piece) {
  print(piece);
  flush_output();
}

void end_line(std::string_view text, bool always) {
  if ((always || isatty(STDOUT_FILENO) == 1) && !text.ends_with('\n')) print_at_once("\n");
}

void answer_lines(const std::function<void(const std::string& text, uint64_t line)>& answer) {
  const bool asks = isatty(STDIN_FILENO) == 1;
  for (uint64_t line = 0;; ++line) {
    if (asks) fmt::print(stderr, "> ");
    std::string text;
    if (!std::getline(std::cin, text)) return;
    if (text.empty()) continue;
    try {
      answer(text, line);
    } catch (const UsageError& error) {  // a character that has no token is no reason to end
      fmt::print(stderr, "genzoo: {}\n", error.what());
    }
  }
}

}  // namespace genzoo
