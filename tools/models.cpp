#include <fmt/ranges.h>

#include <algorithm>

#include "models/registry.h"
#include "tools/catalog.h"
#include "tools/table.h"
#include "tools/verb.h"

namespace genzoo {
namespace {

/// Data of each kind, small, on which a model shows what it can do.
const std::vector<std::pair<const char*, DataSpec>>& kinds_of_data() {
  static const auto kinds = [] {
    DataSpec images, vectors, tokens, pairs, documents;
    images.kind = DataKind::images;
    images.shape = {1, 28, 28};
    images.levels = 256;
    vectors.kind = DataKind::vectors;
    vectors.shape = {2};
    tokens.kind = DataKind::tokens;
    tokens.vocabulary = 64;
    tokens.token_unit = "char";
    pairs.kind = DataKind::pairs;
    pairs.shape = {8, 8};
    pairs.vocabulary = 64;
    pairs.end_token = 63;
    pairs.token_unit = "char";
    documents = pairs;
    documents.kind = DataKind::documents;
    documents.shape = {8};
    documents.classes = 2;
    documents.class_names = {"a", "b"};
    return std::vector<std::pair<const char*, DataSpec>>{
        {"images", images}, {"vectors", vectors}, {"tokens", tokens}, {"pairs", pairs}, {"documents", documents}};
  }();
  return kinds;
}

/// What a family does with one kind of data under its default settings.
struct Trial {
  std::string kind;
  std::vector<std::string> abilities;  ///< empty when it does not take such data
  std::string refusal;                 ///< then: why
};

std::vector<Trial> try_all(const ModelEntry& entry) {
  std::vector<Trial> trials;
  for (const auto& [kind, spec] : kinds_of_data()) {
    try {
      const Choice choice{std::string(entry.name), entry.defaults()};
      trials.push_back({kind, make_model(choice, spec, /*seed=*/0).can.names(), ""});
    } catch (const UsageError& error) {
      trials.push_back({kind, {}, error.what()});
    }
  }
  return trials;
}

Json to_json(const ModelEntry& entry) {
  Json abilities = Json::object();
  for (const Trial& trial : try_all(entry)) {
    if (!trial.abilities.empty()) abilities[trial.kind] = trial.abilities;
  }
  return {{"name", entry.name},
          {"doc", entry.doc},
          {"paper", entry.paper},
          {"abilities", abilities},
          {"keys", keys_to_json(entry.defaults())}};
}

std::string describe_all() {
  Table table;
  table.add({"model", "data", "can", "paper"});
  for (const ModelEntry& entry : models()) {
    std::vector<std::string> kinds, abilities;
    for (const Trial& trial : try_all(entry)) {
      if (trial.abilities.empty()) continue;
      kinds.push_back(trial.kind);
      for (const auto& ability : trial.abilities) {
        const std::string name = ability.substr(0, ability.find(' '));  // the kind of likelihood depends on the data
        if (std::ranges::find(abilities, name) == abilities.end()) abilities.push_back(name);
      }
    }
    table.add({std::string(entry.name), fmt::format("{}", fmt::join(kinds, ", ")),
               fmt::format("{}", fmt::join(abilities, ", ")), std::string(entry.paper)});
  }
  return table.text() +
         "\ndata: what it takes with its default settings. `genzoo models NAME` shows these and the rest.\n";
}

std::string describe(const ModelEntry& entry) {
  std::string text = fmt::format("{}: {}\n{}\n\nwith its default settings:\n", entry.name, entry.doc, entry.paper);
  Table abilities;
  for (const Trial& trial : try_all(entry)) {
    abilities.add({"  " + trial.kind, trial.abilities.empty() ? "no: " + trial.refusal
                                                              : fmt::format("{}", fmt::join(trial.abilities, ", "))});
  }
  return text + abilities.text() + "\n" + describe_keys(entry.defaults());
}

ExitCode run(const Arguments& arguments) {
  return show_catalog<ModelEntry>("models", {models(), describe_all, describe, to_json}, arguments);
}

}  // namespace

Verb models_verb() {
  return {"models", "the families of models, or one with all its keys", "[NAME]",
          "",       {{"json", Takes::nothing, "", "print JSON"}},       run};
}

}  // namespace genzoo
