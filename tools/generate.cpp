#include <fmt/format.h>

#include "core/error.h"
#include "evaluation/evaluate.h"
#include "tools/chat.h"
#include "tools/conversation.h"
#include "tools/output.h"
#include "tools/trained_model.h"
#include "tools/translation.h"
#include "tools/verb.h"
#include "trainers/text_generation.h"

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

/// Refuses options that mean nothing together.
void check(const Arguments& arguments) {
  check_chat_options(arguments);
  for (const char* other : {"temperature", "top-k", "top-p"}) {
    if (arguments.flag("greedy") && arguments.given(other)) {
      throw UsageError(fmt::format("generate: --greedy draws nothing, so --{} has no meaning; leave one out", other));
    }
  }
  if (arguments.given("draft-tokens") && !arguments.given("draft")) {
    throw UsageError("generate: --draft-tokens says how far a draft looks ahead, and there is none; give --draft RUN");
  }
  for (const char* other : {"prompt", "json", "n", "batch"}) {
    if (arguments.flag("interactive") && arguments.given(other)) {
      throw UsageError(fmt::format(
          "generate: --interactive answers each line that is typed, so --{} has no meaning; leave one out", other));
    }
  }
}

/// Continues each line of standard input. Text i is that of line i.
void converse(const LoadedModel& loaded, TextRequest request) {
  request.stream = [](size_t, std::string_view piece) { print_at_once(piece); };
  answer_lines([&](const std::string& text, uint64_t line) {
    request.prompts = {text};
    request.first = line;
    end_line(generate_texts(loaded.model, loaded.spec, request, loaded.device)[0], /*always=*/true);
  });
}

TextRequest request_of(const Arguments& arguments) {
  TextRequest request;
  GenerateOptions& options = request.options;
  options.tokens = arguments.integer("tokens");
  options.temperature = arguments.number("temperature");
  options.top_k = arguments.integer("top-k");
  options.top_p = arguments.number("top-p");
  options.greedy = arguments.flag("greedy");
  options.repetition_penalty = arguments.number("repetition-penalty");
  options.weight_type = parse_weight_type(arguments.text("weight-type"));
  if (arguments.given("prompt")) request.prompts = arguments.all("prompt");
  request.stops = arguments.all("stop");
  request.n = arguments.integer("n");
  request.batch = arguments.integer("batch");
  request.seed = static_cast<uint64_t>(arguments.integer("seed"));
  return request;
}

/// Texts, and whether they stand on standard output already.
struct Generated {
  std::vector<std::string> texts;
  bool shown = false;
};

Generated continuations(const Arguments& arguments, const LoadedModel& loaded, TextRequest request) {
  if (arguments.flag("interactive")) {
    converse(loaded, std::move(request));
    return {{}, /*shown=*/true};
  }
  // A single text is shown as it comes; of several the first could wait for the last of its batch.
  const bool streams = !arguments.flag("json") && request.prompts.size() == 1 && request.n == 1;
  if (streams) request.stream = [](size_t, std::string_view piece) { print_at_once(piece); };
  return {generate_texts(loaded.model, loaded.spec, request, loaded.device), streams};
}

/// What a model that continues texts makes, or nothing of a chat, which is shown already.
Generated generated_by_text(const Arguments& arguments, const LoadedModel& loaded, TextRequest request) {
  refuse_translation_options(arguments, loaded);
  if (!loaded.model.can.generate) refuse(loaded, "generates no text");
  SpeculationCounts counts;
  if (arguments.given("draft")) {
    request.options.draft = {load_draft(arguments, loaded).module, arguments.integer("draft-tokens"), &counts};
  }
  Generated generated{{}, /*shown=*/true};
  if (arguments.flag("chat")) {
    chat(arguments, loaded, request);
  } else {
    generated = continuations(arguments, loaded, std::move(request));
  }
  if (counts.passes > 0) {
    fmt::print(stderr, "the draft proposed {} tokens, {} were accepted; {} passes of the model gave {}\n",
               counts.proposed, counts.accepted, counts.passes, counts.passes + counts.accepted);
  }
  return generated;
}

ExitCode run(const Arguments& arguments) {
  check(arguments);
  const LoadedModel loaded = load_run(arguments);
  const TextRequest request = request_of(arguments);
  Generated generated;
  if (loaded.model.can.translate) {
    if (arguments.flag("chat")) {
      chat(arguments, loaded, request);
    } else {
      generated.texts = translations(arguments, loaded);
    }
  } else if (loaded.model.can.fill) {
    for (const char* other :
         {"interactive", "chat", "draft", "stop", "tokens", "repetition-penalty", "weight-type", "batch"}) {
      if (!arguments.given(other)) continue;
      throw UsageError(
          fmt::format("generate: --{} is for models that continue a text; {} fills it in where --prompt says "
                      "{}",
                      other, loaded.model.family, kMask));
    }
    generated.texts = fill_texts(loaded.model, loaded.spec, request, loaded.device);
  } else {
    generated = generated_by_text(arguments, loaded, request);
  }
  if (arguments.flag("json")) {
    print_json(generated.texts);
    return ExitCode::done;
  }
  for (size_t i = 0; i < generated.texts.size(); ++i) {
    const std::string& text = generated.texts[i];
    if (i > 0) print("---\n");
    if (!generated.shown) print(text);
    end_line(text, /*always=*/generated.texts.size() > 1);  // a single text elsewhere is the text to the byte
  }
  return ExitCode::done;
}

}  // namespace

Verb generate_verb() {
  const Range share{0, 1, true, false, "in (0, 1]"};
  return {"generate",
          "continues a text, fills it in, or makes a target text of a source",
          "RUN",
          "The text goes to standard output as it comes, and nothing else does. Several are separated by a line ---;\n"
          "with --json they are an array of strings. Text i depends on its prompt, the seed and i only. A model that\n"
          "fills in text does so where the prompt says [MASK]. A model of pairs makes of the source --prompt the "
          "likeliest\n"
          "target, token by token or with --beams, unless --n asks for draws.",
          with_run_options(with_chat_options(with_translation_options({
              {"prompt", Takes::any_times, "TEXT",
               "what the text begins with; without: the beginning of a line. May be given several times"},
              {"tokens", Takes::integer, "N", "how many to add", "256", false, positive},
              {"temperature", Takes::number, "T", "divides the logits: below 1 safer, above 1 wilder", "1", false,
               positive},
              {"top-k", Takes::integer, "K", "draw from the K likeliest tokens only; 0: all", "0", false, non_negative},
              {"top-p", Takes::number, "P", "draw from the fewest tokens of probability P in all", "1", false, share},
              {"repetition-penalty", Takes::number, "R",
               "makes tokens that stand in the text already less likely: above 1; Keskar et al. (2019) take 1.2", "1",
               false, positive},
              {"stop", Takes::any_times, "TEXT", "ends a text before it; may be given several times"},
              {"greedy", Takes::nothing, "", "always the likeliest token"},
              {"weight-type", Takes::word, "float32|bfloat16|int8",
               "type the weights are read in: int8 is fastest and rounds most", "float32"},
              {"draft", Takes::text, "RUN", "a smaller model of the same tokens that proposes some; same distribution"},
              {"draft-tokens", Takes::integer, "N", "how many it proposes at a time", "4", false, positive},
              {"seed", Takes::integer, "S", "of the draws", "0", false, non_negative},
              {"n", Takes::integer, "N", "how many texts of each prompt", "1", false, positive},
              {"batch", Takes::integer, "N",
               "texts continued together: faster, and rounded otherwise, so that rarely a draw differs", "1", false,
               positive},
              {"interactive", Takes::nothing, "", "continues each line of standard input as it is typed"},
          }))),
          run};
}

}  // namespace genzoo
