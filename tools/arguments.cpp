#include "tools/arguments.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <charconv>
#include <cmath>
#include <stdexcept>

#include "core/error.h"
#include "tools/table.h"

namespace genzoo {
namespace {

namespace po = boost::program_options;

constexpr const char* kPositionals = "positionals";  // Boost's name for all that is no option
constexpr std::string_view kSeveral = "...";         // ends the name of a positional that takes all that follow

template <class T>
bool parse_whole(const std::string& text, T& value) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end;
}

bool inside(double value, const Range& range) {
  const bool above = range.min_open ? value > range.min : value >= range.min;
  const bool below = range.max_open ? value < range.max : value <= range.max;
  return std::isfinite(value) && above && below;
}

/// What is wrong with a value, as what was wanted instead; empty if nothing is.
std::string wanted_instead(const Option& option, const std::string& value) {
  const std::string range = option.range.words;
  if (option.takes == Takes::integer) {
    int64_t number = 0;
    if (!parse_whole(value, number)) return "an integer";
    if (!inside(static_cast<double>(number), option.range)) return "an integer that is " + range;
  } else if (option.takes == Takes::number) {
    double number = 0;
    if (!parse_whole(value, number) || !std::isfinite(number)) return "a number";
    if (!inside(number, option.range)) return "a number that is " + range;
  } else if (option.takes == Takes::word) {
    const auto choices = split_words(option.value, '|');
    if (std::ranges::find(choices, value) == choices.end()) return fmt::format("{}", fmt::join(choices, " or "));
  }
  return "";
}

std::string quote_for_shell(const std::string& word) {
  const auto plain = [](unsigned char c) {
    return std::isalnum(c) || std::string_view("-_./=:,+@%").find(c) != std::string_view::npos;
  };
  if (!word.empty() && std::ranges::all_of(word, plain)) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

po::options_description declare(std::span<const Option> options) {
  po::options_description declared;
  for (const Option& option : options) {
    if (option.takes == Takes::nothing) {
      declared.add_options()(option.name, po::bool_switch());
    } else if (option.takes == Takes::any_times) {
      declared.add_options()(option.name, po::value<std::vector<std::string>>()->composing());
    } else {
      declared.add_options()(option.name, po::value<std::string>());
    }
  }
  declared.add_options()(kPositionals, po::value<std::vector<std::string>>());
  return declared;
}

}  // namespace

const std::vector<std::string>& Arguments::all(const std::string& name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) throw std::logic_error("tools: no argument is declared by the name " + name);
  return found->second;
}

const std::string& Arguments::text(const std::string& name) const {
  const auto& values = all(name);
  if (values.empty()) throw std::logic_error("tools: argument " + name + " was not given and has no fallback");
  return values.back();
}

int64_t Arguments::integer(const std::string& name) const {
  int64_t value = 0;
  if (!parse_whole(text(name), value)) throw std::logic_error("tools: argument " + name + " is no integer");
  return value;
}

double Arguments::number(const std::string& name) const {
  double value = 0;
  if (!parse_whole(text(name), value)) throw std::logic_error("tools: argument " + name + " is no number");
  return value;
}

/// One reading of one verb's words.
class ArgumentParser final {
 public:
  ArgumentParser(const std::string& verb, const std::string& positionals, std::span<const Option> options)
      : verb_(verb), positionals_(split_words(positionals, ' ')), options_(options) {}

  Arguments parse(const std::vector<std::string>& words) {
    // What follows a lone -- is no option, whatever it looks like.
    const auto end_of_options = std::ranges::find(words, "--");
    std::vector<std::string> loose = take_options({words.begin(), end_of_options});
    for (const auto& word : loose) {
      if (word.size() > 1 && word[0] == '-') refuse_unknown(word);
    }
    if (end_of_options != words.end()) loose.insert(loose.end(), end_of_options + 1, words.end());
    take_positionals(loose);
    require_all();
    arguments_.command_line_ = "genzoo " + verb_;
    for (const auto& word : words) arguments_.command_line_ += " " + quote_for_shell(word);
    return std::move(arguments_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    const char* pause = what.ends_with('?') ? " " : "; ";
    throw UsageError(fmt::format("{}: {}{}`genzoo {} --help` tells more", verb_, what, pause, verb_));
  }

  [[noreturn]] void refuse_unknown(const std::string& word) const {
    const std::string typed = word.substr(0, word.find('='));
    const std::string name = typed.substr(std::min(typed.find_first_not_of('-'), typed.size()));
    std::vector<std::string> known;
    for (const Option& option : options_) known.emplace_back(option.name);
    if (known.empty()) refuse(fmt::format("no option {}; it takes none", typed));
    const std::string near = nearest_name(name, known);
    refuse(near.empty() ? fmt::format("no option {}; the nearest is --{}", typed, closest_name(name, known))
                        : fmt::format("no option {}; did you mean --{}?", typed, near));
  }

  /// Reads the options; returns the words that are none.
  std::vector<std::string> take_options(const std::vector<std::string>& words) {
    const auto declared = declare(options_);
    po::positional_options_description all_else;
    all_else.add(kPositionals, -1);
    po::variables_map map;
    try {
      using namespace po::command_line_style;  // no guessing of shortened names
      po::store(po::command_line_parser(words)
                    .options(declared)
                    .positional(all_else)
                    .style(allow_long | long_allow_adjacent | long_allow_next)
                    .run(),
                map);
    } catch (const po::unknown_option& error) {
      refuse_unknown(typed_name(words, error.get_option_name()));
    } catch (const po::multiple_occurrences& error) {
      refuse(fmt::format("{} is given twice", error.get_option_name()));
    } catch (const po::error_with_option_name& error) {
      refuse_value(error.get_option_name());
    } catch (const po::error& error) {
      refuse(error.what());
    }
    for (const Option& option : options_) keep(option, map[option.name]);
    return map.count(kPositionals) ? map[kPositionals].as<std::vector<std::string>>() : std::vector<std::string>{};
  }

  /// The option's name as it was typed, without its value.
  static std::string typed_name(const std::vector<std::string>& words, const std::string& boosts) {
    const std::string bare = boosts.substr(std::min(boosts.find_first_not_of('-'), boosts.size()));
    for (const auto& word : words) {
      const std::string name = word.substr(0, word.find('='));
      if (name == "--" + bare) return name;
    }
    return "--" + bare;
  }

  [[noreturn]] void refuse_value(const std::string& boosts) const {
    const std::string bare = boosts.substr(std::min(boosts.find_first_not_of('-'), boosts.size()));
    const auto option = std::ranges::find(options_, bare, &Option::name);
    if (option == options_.end()) refuse_unknown(boosts);
    if (option->takes == Takes::nothing) refuse(fmt::format("--{} takes no value", bare));
    refuse(fmt::format("--{} wants a value: {}", bare, option->value));
  }

  void keep(const Option& option, const po::variable_value& typed) {
    auto& values = arguments_.values_[option.name];
    if (option.takes == Takes::nothing) {
      if (typed.as<bool>()) arguments_.given_[option.name] = true;
      return;
    }
    if (!typed.empty()) {
      arguments_.given_[option.name] = true;
      values = option.takes == Takes::any_times ? typed.as<std::vector<std::string>>()
                                                : std::vector<std::string>{typed.as<std::string>()};
    } else if (option.fallback) {
      values = {option.fallback};
    }
    // An empty path is a shell variable that was not set. Where nothing is a value, it is the fallback.
    if (option.takes == Takes::text && arguments_.given_.contains(option.name) && values[0].empty() &&
        !(option.fallback && !*option.fallback)) {
      refuse(fmt::format("--{}: got nothing, wanted {}", option.name, option.value));
    }
    for (const auto& value : values) {
      const std::string wanted = wanted_instead(option, value);
      if (!wanted.empty()) refuse(fmt::format("--{}: got '{}', wanted {}", option.name, value, wanted));
    }
  }

  void take_positionals(const std::vector<std::string>& loose) {
    size_t next = 0;
    for (const auto& pattern : positionals_) {
      const bool optional = pattern.front() == '[';
      std::string name = optional ? pattern.substr(1, pattern.size() - 2) : pattern;
      const bool several = name.ends_with(kSeveral);
      if (several) name.resize(name.size() - kSeveral.size());
      auto& values = arguments_.values_[name];
      if (next < loose.size()) {
        const auto begin = loose.begin() + static_cast<std::ptrdiff_t>(next);
        values = {begin, several ? loose.end() : begin + 1};
        next += values.size();
        arguments_.given_[name] = true;
      } else if (!optional) {
        refuse(fmt::format("{} is missing, wanted: genzoo {} {}", name, verb_, fmt::join(positionals_, " ")));
      }
    }
    if (next < loose.size()) {
      refuse(fmt::format("'{}' is one argument too many, wanted: genzoo {} {}", loose[next], verb_,
                         fmt::join(positionals_, " ")));
    }
  }

  void require_all() const {
    for (const Option& option : options_) {
      if (option.required && !arguments_.has(option.name)) {
        refuse(fmt::format("--{} {} is missing: {}", option.name, option.value, option.doc));
      }
    }
  }

  std::string verb_;
  std::vector<std::string> positionals_;
  std::span<const Option> options_;
  Arguments arguments_;
};

Arguments parse_arguments(const std::string& verb, const std::string& positionals, std::span<const Option> options,
                          const std::vector<std::string>& words) {
  return ArgumentParser(verb, positionals, options).parse(words);
}

std::string describe_options(std::span<const Option> options) {
  Table table;
  for (const Option& option : options) {
    const std::string value = option.takes == Takes::nothing ? "" : fmt::format(" {}", option.value);
    const std::string fallback = option.fallback ? fmt::format(" [{}]", option.fallback) : "";
    const std::string again = option.takes == Takes::any_times ? "; may be given again" : "";
    table.add({fmt::format("  --{}{}", option.name, value),
               fmt::format("{}{}{}{}", option.doc, again, fallback, option.required ? " (required)" : "")});
  }
  return table.text();
}

std::vector<std::string> split_words(std::string_view text, char separator) {
  std::vector<std::string> words;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    if (end > begin) words.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

}  // namespace genzoo
