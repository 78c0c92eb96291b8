// The protocol and the notes of a comparison in plain words.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "evaluation/report_numbers.h"
#include "evaluation/report_tables.h"

namespace genzoo {
namespace {

struct KnownKey {
  const char* key;
  const char* what;
};

/// In the order in which they are told.
constexpr KnownKey kKeys[] = {{"data", "data"},
                              {"data_spec", "an example"},
                              {"trained_on", "training examples"},
                              {"split", "evaluated on the split"},
                              {"evaluated_on", "evaluated examples"},
                              {"budget", "budget of a training"},
                              {"seeds", "training seeds"},
                              {"decided", "decided before measuring"},
                              {"samples", "samples of a model"},
                              {"feature_spaces", "feature spaces"},
                              {"k", "importance-weighted draws, where a likelihood needs them"},
                              {"genzoo", "genzoo"},
                              {"git_commit", "commit"},
                              {"libtorch", "LibTorch"},
                              {"versions", "versions"},
                              {"build", "build"},
                              {"machine", "machine"},
                              {"device", "device"},
                              {"threads", "threads"},
                              {"command_line", "command line"}};

std::string with_spaces(std::string name) {
  std::ranges::replace(name, '_', ' ');
  return name;
}

std::string in_words(const Json& value) {
  if (value.is_null()) return "none";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_number_integer()) return grouped(value.get<int64_t>());
  if (value.is_number()) return brief(value.get<double>());
  std::vector<std::string> parts;
  for (const auto& [key, member] : value.items()) {
    parts.push_back(value.is_array() ? in_words(member) : fmt::format("{} {}", with_spaces(key), in_words(member)));
  }
  return parts.empty() ? "none" : fmt::format("{}", fmt::join(parts, ", "));
}

/// "steps of a: 1,200", "samples: 5,000"; steps of 0 are those of the config.
std::vector<std::string> decisions_in_words(const Json& decided) {
  constexpr std::string_view kSteps = "steps of ";
  std::vector<std::string> lines;
  for (const auto& [key, value] : decided.items()) {
    const bool own = key.starts_with(kSteps) && value.is_number_integer() && value.get<int64_t>() == 0;
    lines.push_back(fmt::format("{}: {}", key, own ? "its config's" : in_words(value)));
  }
  return lines;
}

ProtocolEntry entry_of(const std::string& key, const std::string& what, const Json& value) {
  if (key == "decided" && value.is_object()) return {what, decisions_in_words(value)};
  const bool texts = value.is_array() && value.size() > 1 && value.front().is_string();
  if (!texts) return {what, {in_words(value)}};
  ProtocolEntry entry{what, {}};
  for (const Json& item : value) entry.lines.push_back(in_words(item));
  return entry;
}

/// Whether a note tells already why a metric is missing: "a has no likelihood: ...".
bool is_told(const std::vector<std::string>& notes, const std::string& name) {
  const std::string none = "has no " + name;
  return std::ranges::any_of(notes, [&](const std::string& note) { return note.find(none) != std::string::npos; });
}

}  // namespace

std::vector<ProtocolEntry> protocol_in_words(const Comparison& comparison) {
  std::vector<ProtocolEntry> entries;
  const Json& protocol = comparison.protocol;
  if (!protocol.is_object()) return entries;
  const auto add = [&](const std::string& key, const std::string& what, const Json& value) {
    ProtocolEntry entry = entry_of(key, what, value);
    if (!entry.lines.empty()) entries.push_back(std::move(entry));
  };
  for (const KnownKey& known : kKeys) {
    if (const auto found = protocol.find(known.key); found != protocol.end()) add(known.key, known.what, *found);
  }
  for (const auto& [key, value] : protocol.items()) {
    const auto same = [&](const KnownKey& known) { return key == known.key; };
    if (std::ranges::none_of(kKeys, same)) add(key, with_spaces(key), value);
  }
  return entries;
}

std::vector<std::string> notes_of(const ComparedModel& model) {
  std::vector<std::string> notes = model.notes;
  for (const ComparedRun& run : model.runs) {
    notes.insert(notes.end(), run.evaluation.notes.begin(), run.evaluation.notes.end());
  }
  for (const ComparedRun& run : model.runs) {
    for (const auto& [name, why] : run.evaluation.missing) {
      if (!is_told(notes, name)) notes.push_back(fmt::format("{}: {}", with_spaces(name), why));
    }
  }
  std::vector<std::string> once;
  for (const std::string& note : notes) {
    if (!std::ranges::count(once, note)) once.push_back(note);
  }
  return once;
}

}  // namespace genzoo
