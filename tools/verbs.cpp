// The table of verbs, and what help says of them.
#include <fmt/format.h>

#include <algorithm>

#include "tools/table.h"
#include "tools/verb.h"

namespace genzoo {

std::span<const Verb> verbs() {
  static const std::vector<Verb> table = {
      train_verb(),    sample_verb(), interpolate_verb(), reconstruct_verb(), generate_verb(), score_verb(),
      classify_verb(), encode_verb(), decode_verb(),      evaluate_verb(),    inspect_verb(),  compare_verb(),
      bench_verb(),    models_verb(), datasets_verb(),    config_verb(),      fetch_verb(),    tokenizer_verb(),
      export_verb(),   import_verb(), list_verb(),
  };
  return table;
}

const Verb& find_verb(const std::string& name) {
  const auto found = std::ranges::find_if(verbs(), [&](const Verb& verb) { return name == verb.name; });
  if (found != verbs().end()) return *found;
  std::vector<std::string> known{"help"};
  for (const Verb& verb : verbs()) known.emplace_back(verb.name);
  const std::string near = nearest_name(name, known);
  throw UsageError(fmt::format("no verb '{}'; {} `genzoo help` lists them", name,
                               near.empty() ? fmt::format("the nearest is '{}';", closest_name(name, known))
                                            : fmt::format("did you mean '{}'?", near)));
}

std::string describe_program() {
  Table table;
  for (const Verb& verb : verbs()) table.add({fmt::format("  {} {}", verb.name, verb.positionals), verb.summary});
  table.add({"  help [VERB]", "this list, or all about one verb"});
  return "genzoo: a zoo of generative models\n\nusage: genzoo VERB ...\n\n" + table.text() +
         "\nRUN is a run folder, such as runs/vae_fashion_mnist, or one checkpoint file.\n"
         "genzoo --version tells the versions; GENZOO_DATA names a folder of data sets.\n";
}

std::string describe_verb(const Verb& verb) {
  const std::string positionals = *verb.positionals ? fmt::format(" {}", verb.positionals) : "";
  std::string text = fmt::format("genzoo {}: {}\n\nusage: genzoo {}{}{}\n", verb.name, verb.summary, verb.name,
                                 positionals, verb.options.empty() ? "" : " [OPTION ...]");
  if (*verb.text) text += fmt::format("\n{}\n", verb.text);
  if (!verb.options.empty()) text += "\noptions:\n" + describe_options(verb.options);
  return text;
}

}  // namespace genzoo
