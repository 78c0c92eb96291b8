#include <fmt/format.h>

#include "core/safetensors.h"
#include "tools/output.h"
#include "tools/trained_model.h"
#include "tools/verb.h"
#include "trainers/huggingface_folder.h"

namespace genzoo {
namespace {

void show(const LoadedModel& loaded, const std::string& out, size_t tensors, bool as_json) {
  const int64_t parameters = parameter_count(*loaded.model.module);
  if (!as_json) {
    print(fmt::format("{}: {} tensors, {} parameters ({})\n", out, tensors, parameters, describe_weights(loaded)));
    return;
  }
  Json json = describe_run(loaded);
  json.update({{"tensors", tensors}, {"parameters", parameters}, {"out", out}});
  print_json(json);
}

ExitCode run(const Arguments& arguments) {
  if (arguments.text("format") == "huggingface") {
    const LoadedModel loaded = load_run(arguments);
    export_huggingface(loaded, arguments.text("out"));
    show(loaded, arguments.text("out"), module_state(*loaded.model.module).size(), arguments.flag("json"));
    return ExitCode::done;
  }
  const auto out = output_path(arguments, {".safetensors"});
  const LoadedModel loaded = load_run(arguments);
  const NamedTensors state = module_state(*loaded.model.module);
  const char* weights = loaded.has_ema ? "ema" : "raw";
  write_safetensors(out, state,
                    {{"format", "pt"},  // what readers of weights from other tools ask for
                     {"model", loaded.model.family},
                     {"step", std::to_string(loaded.step)},
                     {"weights", weights}});
  show(loaded, out.string(), state.size(), arguments.flag("json"));
  return ExitCode::done;
}

}  // namespace

Verb export_verb() {
  return {"export",
          "writes a run's weights for other tools",
          "RUN",
          "safetensors: parameters and buffers by their names in the model, without optimizer and config.\n"
          "huggingface: a folder that `transformers` loads: config.json, model.safetensors and tokenizer.json.",
          with_run_options({
              {"out", Takes::text, "PATH", "the file, or the folder, to write", nullptr, true},
              {"format", Takes::word, "safetensors|huggingface", "of what is written", "safetensors"},
          }),
          run};
}

}  // namespace genzoo
