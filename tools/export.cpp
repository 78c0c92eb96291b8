#include <fmt/format.h>

#include "core/safetensors.h"
#include "tools/output.h"
#include "tools/trained_model.h"
#include "tools/verb.h"

namespace genzoo {
namespace {

ExitCode run(const Arguments& arguments) {
  const auto out = output_path(arguments, {".safetensors"});
  const LoadedModel loaded = load_run(arguments);
  const NamedTensors state = module_state(*loaded.model.module);
  const char* weights = loaded.has_ema ? "ema" : "raw";
  write_safetensors(out, state,
                    {{"format", "pt"},  // what readers of weights from other tools ask for
                     {"model", loaded.model.family},
                     {"step", std::to_string(loaded.step)},
                     {"weights", weights}});
  if (arguments.flag("json")) {
    Json json = describe_run(loaded);
    json.update(
        {{"tensors", state.size()}, {"parameters", parameter_count(*loaded.model.module)}, {"out", out.string()}});
    print_json(json);
  } else {
    print(fmt::format("{}: {} tensors, {} parameters ({})\n", out.string(), state.size(),
                      parameter_count(*loaded.model.module), describe_weights(loaded)));
  }
  return ExitCode::done;
}

}  // namespace

Verb export_verb() {
  return {"export",
          "writes a run's weights for other tools",
          "RUN",
          "safetensors: parameters and buffers by their names in the model, without optimizer and config.",
          with_run_options({
              {"out", Takes::text, "PATH", "the file to write", nullptr, true},
              {"format", Takes::word, "safetensors", "of the file", "safetensors"},
          }),
          run};
}

}  // namespace genzoo
