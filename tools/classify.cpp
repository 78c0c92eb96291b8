#include <fmt/format.h>

#include <cstdio>

#include "core/error.h"
#include "core/file.h"
#include "evaluation/evaluate.h"
#include "evaluation/measured_classification.h"
#include "tools/output.h"
#include "tools/trained_model.h"
#include "tools/verb.h"

namespace genzoo {
namespace {

/// What is to be classified: texts, or where there are none an array of images.
struct Request {
  std::vector<std::string> texts;
  std::string where;  ///< before a text's number, in errors
  std::filesystem::path array;
};

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::vector<std::string> lines;
  std::string text = read_file(path);
  if (!text.empty() && text.back() != '\n') text += '\n';
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    lines.push_back(text.substr(begin, end - begin));
    if (lines.back().ends_with('\r')) lines.back().pop_back();
    begin = end + 1;
  }
  if (lines.empty()) throw UsageError(fmt::format("--in {}: the file is empty; wanted a text a line", path.string()));
  return lines;
}

Request request_of(const Arguments& arguments) {
  if (arguments.given("prompt") == arguments.given("in")) {
    throw UsageError(fmt::format("classify: {}; give --prompt TEXT, as often as there are texts, or --in FILE",
                                 arguments.given("in") ? "--prompt and --in together" : "nothing to classify"));
  }
  if (arguments.given("prompt")) return {arguments.all("prompt"), "--prompt, text ", {}};
  const std::filesystem::path in = arguments.text("in");
  if (in.extension() == ".safetensors") return {{}, "", in};
  return {lines_of(in), in.string() + ":", {}};
}

ExitCode run(const Arguments& arguments) {
  const Request request = request_of(arguments);
  const LoadedModel loaded = load_run(arguments);
  const std::vector<Classified> all = request.array.empty() ? classify_texts(loaded, request.texts, request.where)
                                                            : classify_examples(loaded, read_array(request.array, "x"));
  const auto labels = class_labels(loaded.spec);
  Json json = describe_run(loaded);
  for (size_t i = 0; i < all.size(); ++i) {
    const std::string text = request.texts.empty() ? "" : request.texts[i];
    if (all[i].cut) {
      fmt::print(stderr, "{}{}: longer than any text it was trained with, so cut to {} tokens\n", request.where, i + 1,
                 loaded.spec.shape[0]);
    }
    if (arguments.flag("json")) {
      Json one = all[i].to_json(labels);
      if (!text.empty()) one["text"] = text;
      json["examples"].push_back(std::move(one));
    } else {
      print(fmt::format("{}\t{:.4f}{}{}\n", all[i].label, all[i].probability, text.empty() ? "" : "\t", text));
    }
  }
  if (arguments.flag("json")) print_json(json);
  return ExitCode::done;
}

}  // namespace

Verb classify_verb() {
  return {
      "classify",
      "tells the class of texts or images",
      "RUN",
      "A line for each: the likeliest label, its probability, and the text, with tabs between them; with --json the\n"
      "probabilities of all labels. Each example is taken alone.",
      with_run_options({
          {"prompt", Takes::any_times, "TEXT", "a text"},
          {"in", Takes::text, "FILE",
           "a text file, a text a line, or a .safetensors with the array `x` of uint8 images (N, C, H, W)"},
      }),
      run};
}

}  // namespace genzoo
