#include <fmt/ranges.h>

#include "core/error.h"
#include "tools/output.h"
#include "tools/verb.h"
#include "trainers/huggingface_folder.h"

namespace genzoo {
namespace {

ExitCode run(const Arguments& arguments) {
  const RunFolder run(arguments.text("run"));
  import_huggingface(arguments.text("FOLDER"), run, arguments.command_line());
  const RunSummary summary = summarize_run(run.path());
  if (arguments.flag("json")) {
    print_json(summary.to_json());
  } else {
    print(fmt::format("{}: {}, a run like any other: generate, score, export, and train.init_from\n",
                      run.path().string(), summary.model));
  }
  return ExitCode::done;
}

}  // namespace

Verb import_verb() {
  static const std::string text = fmt::format(
      "FOLDER has config.json, model.safetensors (or shards and their index) and the tokenizer's files. Known model\n"
      "types: {}.",
      fmt::join(huggingface_types(), ", "));
  return {"import",
          "makes a run of weights from `transformers`",
          "FOLDER",
          text.c_str(),
          {
              {"run", Takes::text, "RUN", "the run folder to make", nullptr, true},
              {"json", Takes::nothing, "", "prints what `list --json` prints of the run"},
          },
          run};
}

}  // namespace genzoo
