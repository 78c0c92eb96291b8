#include <fmt/format.h>
#include <unistd.h>

#include "core/error.h"
#include "evaluation/evaluate.h"
#include "tools/output.h"
#include "tools/trained_model.h"
#include "tools/verb.h"
#include "trainers/samples.h"

namespace genzoo {
namespace {

/// The model of the run --draft, whose tokens are those of the run it is a draft for.
AnyModel load_draft(const Arguments& arguments, const LoadedModel& loaded) {
  const LoadedModel draft =
      load_model(arguments.text("draft"), Which::newest, Weights::ema_if_any, arguments.text("device"));
  if (!draft.model.can.generate) {
    refuse(draft, "generates no text", "for --draft give the run of a smaller transformer of the same data");
  }
  if (draft.spec.tokenizer != loaded.spec.tokenizer) {
    throw UsageError(
        fmt::format("--draft {}: its tokens are those of {} ({}), wanted those of {} ({}): the same "
                    "tokenizer; train a smaller transformer with the data of {}",
                    draft.path.string(), draft.spec.dataset, draft.spec.describe(), loaded.spec.dataset,
                    loaded.spec.describe(), loaded.path.string()));
  }
  return draft.model;
}

ExitCode run(const Arguments& arguments) {
  for (const char* other : {"temperature", "top-k", "top-p"}) {
    if (arguments.flag("greedy") && arguments.given(other)) {
      throw UsageError(fmt::format("generate: --greedy draws nothing, so --{} has no meaning; leave one out", other));
    }
  }
  if (arguments.given("draft-tokens") && !arguments.given("draft")) {
    throw UsageError("generate: --draft-tokens says how far a draft looks ahead, and there is none; give --draft RUN");
  }
  const LoadedModel loaded = load_run(arguments);
  if (!loaded.model.can.generate) refuse(loaded, "generates no text");
  GenerateOptions options;
  options.tokens = arguments.integer("tokens");
  options.temperature = arguments.number("temperature");
  options.top_k = arguments.integer("top-k");
  options.top_p = arguments.number("top-p");
  options.greedy = arguments.flag("greedy");
  options.weight_type = parse_weight_type(arguments.text("weight-type"));
  SpeculationCounts counts;
  if (arguments.given("draft")) {
    options.draft = {load_draft(arguments, loaded).module, arguments.integer("draft-tokens"), &counts};
  }
  const auto texts =
      generate_texts(loaded.model, loaded.spec, arguments.text("prompt"), arguments.integer("n"), options,
                     static_cast<uint64_t>(arguments.integer("seed")), Purpose::sample, loaded.device);
  if (counts.passes > 0) {
    fmt::print(stderr, "the draft proposed {} tokens, {} were accepted; {} passes of the model gave {}\n",
               counts.proposed, counts.accepted, counts.passes, counts.passes + counts.accepted);
  }
  if (arguments.flag("json")) {
    print_json(texts);
    return ExitCode::done;
  }
  for (size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) print("---\n");
    print(texts[i]);
    // On a terminal and between texts a line is ended; a single text elsewhere is the text to the byte.
    const bool line = texts.size() > 1 || isatty(STDOUT_FILENO) == 1;
    if (line && (texts[i].empty() || texts[i].back() != '\n')) print("\n");
  }
  return ExitCode::done;
}

}  // namespace

Verb generate_verb() {
  const Range share{0, 1, true, false, "in (0, 1]"};
  return {
      "generate",
      "continues a text",
      "RUN",
      "The text goes to standard output and nothing else does. Several are separated by a line ---; with --json they\n"
      "are an array of strings. Text i depends on the seed and i only.",
      with_run_options({
          {"prompt", Takes::text, "TEXT", "what the text begins with; without: the beginning of a line", ""},
          {"tokens", Takes::integer, "N", "how many to add", "256", false, positive},
          {"temperature", Takes::number, "T", "divides the logits: below 1 safer, above 1 wilder", "1", false,
           positive},
          {"top-k", Takes::integer, "K", "draw from the K likeliest tokens only; 0: all", "0", false, non_negative},
          {"top-p", Takes::number, "P", "draw from the fewest tokens of probability P in all", "1", false, share},
          {"greedy", Takes::nothing, "", "always the likeliest token"},
          {"weight-type", Takes::word, "float32|bfloat16|int8",
           "type the weights are read in: int8 is fastest and rounds most", "float32"},
          {"draft", Takes::text, "RUN", "a smaller model of the same tokens that proposes some; same distribution"},
          {"draft-tokens", Takes::integer, "N", "how many it proposes at a time", "4", false, positive},
          {"seed", Takes::integer, "S", "of the draws", "0", false, non_negative},
          {"n", Takes::integer, "N", "how many texts", "1", false, positive},
      }),
      run};
}

}  // namespace genzoo
