#include "core/config.h"

#include <algorithm>
#include <stdexcept>

namespace genzoo {
namespace {

/// Edits that turn a into b: letters inserted, deleted, replaced, or two neighbors swapped (optimal string alignment).
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

}  // namespace

void Fields::operator()(const char* key, Choice& value, std::span<const ChoiceRow> table, const char* doc) {
  Choice spare = value;
  std::vector<Alternative> alternatives;
  int current = -1;
  for (const ChoiceRow& row : table) {
    if (row.name == value.name) current = static_cast<int>(alternatives.size());
    alternatives.push_back({std::string(row.name), std::string(row.doc),
                            [&spare, &row] { spare = {std::string(row.name), row.defaults()}; },
                            [&spare](Fields& f) { spare.settings.fields(f); }});
  }
  if (current < 0 && !value.name.empty()) throw std::logic_error("no row '" + value.name + "' to choose for " + key);
  choice(key, current, alternatives, doc);
  if (changes_values()) value = std::move(spare);
}

std::string nearest_name(std::string_view got, std::span<const std::string> known) {
  // A suggestion that shares no letter with what was written is worse than none.
  size_t limit = std::min(1 + got.size() / 4, std::max<size_t>(got.size(), 1) - 1);
  std::string best;
  for (const std::string& name : known) {
    const size_t longer = std::max(name.size(), got.size());
    if (longer - std::min(name.size(), got.size()) > limit) continue;
    const size_t distance = edit_distance(got, name);
    if (distance < limit || (distance == limit && best.empty())) {
      best = name;
      limit = distance;
    }
  }
  return best;
}

std::string closest_name(std::string_view got, std::span<const std::string> known) {
  const auto abbreviated = std::ranges::find_if(known, [&](const std::string& name) { return name.starts_with(got); });
  if (abbreviated != known.end() && !got.empty()) return *abbreviated;
  return *std::ranges::min_element(known, {}, [&](const std::string& name) { return edit_distance(got, name); });
}

}  // namespace genzoo
