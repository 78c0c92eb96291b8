#pragma once
// The command line of a verb: a table of options, and what was given of it. Boost.Program_options is named in
// arguments.cpp only.

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.h"

namespace genzoo {

/// What an option takes.
enum class Takes {
  nothing,   ///< a flag
  text,      ///< anything
  word,      ///< one of the words in `value`, "newest|best"
  integer,   ///< within `range`
  number,    ///< within `range`
  any_times  ///< text, and may be given again
};

/// One option of a verb.
struct Option {
  const char* name;  ///< without its dashes
  Takes takes;
  const char* value;  ///< what stands for its value in help: "N"; of a word: its choices
  const char* doc;
  const char* fallback = nullptr;  ///< taken when it is not given, as it would be typed
  bool required = false;
  Range range = any_number;
};

/// What a verb was given. Types and ranges are checked already, so the accessors cannot fail on what a person typed; a
/// name that the verb's table has not is the programmer's mistake, std::logic_error.
class Arguments final {
 public:
  bool given(const std::string& name) const { return given_.contains(name); }  ///< typed, not by fallback
  bool has(const std::string& name) const { return !all(name).empty(); }       ///< typed or by fallback
  bool flag(const std::string& name) const { return given(name); }
  const std::string& text(const std::string& name) const;
  int64_t integer(const std::string& name) const;
  double number(const std::string& name) const;
  const std::vector<std::string>& all(const std::string& name) const;
  const std::string& command_line() const { return command_line_; }  ///< as a shell would read it back

 private:
  friend class ArgumentParser;
  std::map<std::string, std::vector<std::string>> values_;  ///< of options and positionals, fallbacks included
  std::map<std::string, bool> given_;
  std::string command_line_;
};

/// Reads what follows the verb. `positionals`: "RUN INPUT", an optional one as "[DIR]", a last one that takes one or
/// more words as "RUN...", any number as "[RUN...]". Throws UsageError naming the verb, the mistake, and the nearest
/// option or what is missing.
Arguments parse_arguments(const std::string& verb, const std::string& positionals, std::span<const Option> options,
                          const std::vector<std::string>& words);

/// Options with their documentation, one a line, for help.
std::string describe_options(std::span<const Option> options);

/// The words of a text, split at `separator`; none are empty.
std::vector<std::string> split_words(std::string_view text, char separator);

}  // namespace genzoo
