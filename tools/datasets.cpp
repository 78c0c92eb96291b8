#include <fmt/ranges.h>

#include <algorithm>

#include "core/failure.h"
#include "data/dataset.h"
#include "tools/catalog.h"
#include "tools/table.h"
#include "tools/verb.h"

namespace genzoo {
namespace {

constexpr const char* kKindNames[] = {"images", "vectors", "tokens", "pairs", "documents"};

/// What is known of a data set with its default settings.
struct Facts {
  bool there = false;
  std::string what;               ///< its examples; when it is not there: what to do
  std::optional<double> entropy;  ///< nats; of text: per token
};

Facts facts_of(const DatasetEntry& entry) {
  Facts facts{.there = true, .what = "made by the program", .entropy = entry.entropy(entry.defaults())};
  if (facts.entropy) return facts;  // only what is made here is known so well; it need not be made to say so
  try {
    const Dataset dataset = entry.open(entry.defaults(), DataPlaces::from_environment());
    facts.what = fmt::format("{}; {} train, {} validation, {} test", dataset.spec.describe(),
                             dataset.count(Split::train), dataset.count(Split::validation), dataset.count(Split::test));
  } catch (const std::exception&) {
    facts.there = false;
    facts.what = describe_failure(std::current_exception()).message;
  }
  return facts;
}

const char* kind_of(const DatasetEntry& entry) { return kKindNames[static_cast<size_t>(entry.kind)]; }

std::string entropy_text(const DatasetEntry& entry, const Facts& facts) {
  if (!facts.entropy) return "";
  return fmt::format("{:.6f} nats{}", *facts.entropy, entry.kind == DataKind::tokens ? "/token" : "");
}

Json to_json(const DatasetEntry& entry) {
  const Facts facts = facts_of(entry);
  return {{"name", entry.name},
          {"kind", kind_of(entry)},
          {"doc", entry.doc},
          {"source", entry.source},
          {"entropy", facts.entropy ? Json(*facts.entropy) : Json()},
          {"found", facts.there},
          {"detail", facts.what},
          {"keys", keys_to_json(entry.defaults())}};
}

std::string describe_all() {
  Table table;
  table.add({"data set", "kind", "here", "entropy", "what it is"});
  for (const DatasetEntry& entry : datasets()) {
    const Facts facts = facts_of(entry);
    table.add({std::string(entry.name), kind_of(entry), facts.there ? "yes" : "no", entropy_text(entry, facts),
               std::string(entry.doc)});
  }
  return table.text() + "\n`genzoo datasets NAME` shows its keys, and of one that is not here what to do about it.\n";
}

std::string describe(const DatasetEntry& entry) {
  const Facts facts = facts_of(entry);
  Table table;
  table.add({"kind", kind_of(entry)});
  table.add({"source", std::string(entry.source)});
  table.add({facts.there ? "here" : "not here", facts.what});
  if (facts.entropy) table.add({"entropy", entropy_text(entry, facts)});
  return fmt::format("{}: {}\n\n{}\n{}", entry.name, entry.doc, table.text(), describe_keys(entry.defaults()));
}

ExitCode run(const Arguments& arguments) {
  return show_catalog<DatasetEntry>("datasets", {datasets(), describe_all, describe, to_json}, arguments);
}

}  // namespace

Verb datasets_verb() {
  return {
      "datasets",
      "the data sets, or one with all its keys",
      "[NAME]",
      "Entropies are those of the data themselves: no model can need fewer nats. (Of vectors: differential entropy.)",
      {{"json", Takes::nothing, "", "print JSON"}},
      run};
}

}  // namespace genzoo
