#include "tools/translation.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "tools/conversation.h"
#include "trainers/translations.h"

namespace genzoo {
namespace {

std::vector<Option> translation_options() {
  return {
      {"beams", Takes::integer, "N", "of a model of pairs: translations looked at side by side; 1: greedy", "1", false,
       positive},
      {"length-penalty", Takes::number, "A",
       "with --beams: translations are ranked by log p / length^A; 0 prefers short ones", "1", false, non_negative},
  };
}

}  // namespace

std::vector<Option> with_translation_options(std::vector<Option> own) {
  const std::vector<Option> more = translation_options();
  own.insert(own.end(), more.begin(), more.end());
  return own;
}

TranslateOptions translate_options(const Arguments& arguments, const LoadedModel& loaded) {
  for (const char* other : {"temperature", "top-k", "top-p", "repetition-penalty", "stop", "batch", "weight-type",
                            "draft", "draft-tokens"}) {
    if (!arguments.given(other)) continue;
    throw UsageError(
        fmt::format("generate: --{} is for models that continue a text; {} makes a target of a source, by --greedy{} "
                    "--beams N{}",
                    other, loaded.model.family, arguments.flag("chat") ? " or" : ",",
                    arguments.flag("chat") ? "" : " or --n N draws"));
  }
  if (arguments.flag("greedy") && (arguments.given("n") || arguments.given("beams"))) {
    throw UsageError(
        fmt::format("generate: --greedy takes the likeliest token always, so --{} has no meaning; leave "
                    "one out",
                    arguments.given("n") ? "n" : "beams"));
  }
  if (arguments.given("length-penalty") && !arguments.given("beams")) {
    throw UsageError("generate: --length-penalty ranks translations that are looked at side by side; give --beams N");
  }
  TranslateOptions options;
  if (arguments.given("tokens")) options.tokens = arguments.integer("tokens");
  options.beams = arguments.integer("beams");
  options.length_penalty = arguments.number("length-penalty");
  options.draw = arguments.given("n");
  return options;
}

std::vector<std::string> translations(const Arguments& arguments, const LoadedModel& loaded) {
  const TranslateOptions options = translate_options(arguments, loaded);
  const std::vector<std::string> prompts = arguments.all("prompt");
  if (!arguments.flag("interactive") && (prompts.empty() || std::ranges::count(prompts, "") > 0)) {
    throw UsageError(fmt::format(
        "generate: {} makes a target text of a source, and there is none; give --prompt SOURCE", loaded.model.family));
  }
  const auto of = [&](const std::string& source) {
    return translate_text(loaded.model, loaded.spec, source, arguments.integer("n"), options,
                          static_cast<uint64_t>(arguments.integer("seed")), loaded.device);
  };
  if (arguments.flag("interactive")) {
    answer_lines([&](const std::string& line, uint64_t) {
      const std::string target = of(line).front();
      print_at_once(target);
      end_line(target, /*always=*/true);
    });
    return {};
  }
  std::vector<std::string> all;
  for (const std::string& source : prompts) {
    for (std::string& target : of(source)) all.push_back(std::move(target));
  }
  return all;
}

void refuse_translation_options(const Arguments& arguments, const LoadedModel& loaded) {
  for (const Option& option : translation_options()) {
    if (!arguments.given(option.name)) continue;
    throw UsageError(fmt::format("generate: --{} is for models of pairs, such as encoder-decoders; {} continues a text",
                                 option.name, loaded.model.family));
  }
}

}  // namespace genzoo
