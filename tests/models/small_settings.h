// Every choice a family's config offers, small enough to test: what registry-driven tests run over without knowing any
// family.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "models/registry.h"

namespace genzoo {

/// Makes settings small (no integer above 16) and decides what there is to choose: words, alternatives, switches.
/// Decision i is taken `picks[i]` places behind its default; those beyond `picks` stay at it.
class SmallSettings final : public Fields {
 public:
  explicit SmallSettings(std::vector<size_t> picks) : picks_(std::move(picks)) {}

  void require(bool holds, const char*, const std::string&) override { legal_ &= holds; }
  bool legal() const { return legal_; }
  const std::string& description() const { return description_; }

  /// The picks after these, in the order of an odometer; nothing after the last.
  std::optional<std::vector<size_t>> next() const {
    std::vector<size_t> picks = picks_;
    picks.resize(sizes_.size(), 0);
    while (!picks.empty() && picks.back() + 1 == sizes_[picks.size() - 1]) picks.pop_back();
    if (picks.empty()) return std::nullopt;
    ++picks.back();
    return picks;
  }

 protected:
  static constexpr int64_t kLargest = 16;

  bool changes_values() const override { return true; }
  void boolean(const char* key, bool& value, const char*) override {
    value = decide(2, value ? 1 : 0) == 1;
    describe(key, value ? "true" : "false");
  }
  void integer(const char*, int64_t& value, const char*, Range) override { value = std::min(value, kLargest); }
  void number(const char*, double&, const char*, Range) override {}
  void text(const char*, std::string&, const char*, TextForm) override {}
  void integers(const char*, std::vector<int64_t>& values, const char*, Range) override {
    for (auto& value : values) value = std::min(value, kLargest);
  }
  void word(const char* key, size_t& index, std::span<const char* const> names, const char*) override {
    index = decide(names.size(), index);
    describe(key, names[index]);
  }
  void section(const char*, const Nested& nested, const char*) override { nested(*this); }
  void optional_section(const char* key, bool& on, const Nested& nested, const char*) override {
    on = decide(2, on ? 1 : 0) == 1;
    describe(key, on ? "on" : "none");
    if (on) nested(*this);
  }
  void choice(const char* key, int current, const std::vector<Alternative>& alternatives, const char*) override {
    const Alternative& chosen = alternatives[decide(alternatives.size(), static_cast<size_t>(std::max(current, 0)))];
    chosen.select();
    describe(key, chosen.name);
    chosen.fields(*this);
  }

 private:
  size_t decide(size_t alternatives, size_t fallback) {
    const size_t pick = sizes_.size() < picks_.size() ? picks_[sizes_.size()] : 0;
    sizes_.push_back(alternatives);
    return (fallback + pick) % alternatives;
  }
  void describe(const std::string& key, const std::string& value) {
    description_ += (description_.empty() ? "" : ", ") + key + " " + value;
  }

  std::vector<size_t> picks_, sizes_;
  std::string description_;
  bool legal_ = true;
};

/// One way to choose.
struct SettingsVariant {
  Choice choice;
  std::string description;  ///< "likelihood gaussian, network mlp"
};

/// Every legal combination of a family's choices, the default one first. Of families with hundreds of them those in
/// which at most two choices are not the default: every two that could get into each other's way.
inline std::vector<SettingsVariant> variants_of(const ModelEntry& entry) {
  std::vector<SettingsVariant> variants, few;
  for (std::optional<std::vector<size_t>> picks{std::in_place}; picks;) {
    SmallSettings small(*picks);
    Choice choice{std::string(entry.name), entry.defaults()};
    choice.settings.fields(small);
    if (small.legal()) {
      variants.push_back({choice, small.description()});
      if (std::ranges::count_if(*picks, [](size_t pick) { return pick != 0; }) <= 2) few.push_back(variants.back());
    }
    picks = small.next();
  }
  constexpr size_t kMany = 100;
  return variants.size() > kMany ? few : variants;
}

/// The model, or nothing when such settings cannot model such data.
inline std::optional<AnyModel> model_if_fit(const Choice& choice, const DataSpec& data) {
  try {
    return make_model(choice, data, /*seed=*/0);
  } catch (const UsageError&) {
    return std::nullopt;
  }
}

}  // namespace genzoo
