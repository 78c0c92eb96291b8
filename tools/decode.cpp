#include <fmt/format.h>

#include "core/safetensors.h"
#include "evaluation/evaluate.h"
#include "tools/output.h"
#include "tools/trained_model.h"
#include "tools/verb.h"

namespace genzoo {
namespace {

ExitCode run(const Arguments& arguments) {
  const auto out = output_path(arguments, {".safetensors"});
  const LoadedModel loaded = load_run(arguments);
  const auto x = decode_latents(loaded, read_array(arguments.text("INPUT"), "z"));
  write_safetensors(out, {{"x", x}});
  if (arguments.flag("json")) {
    Json json = describe_run(loaded);
    json.update({{"examples", x.size(0)}, {"out", out.string()}});
    print_json(json);
  } else {
    print(fmt::format("{}: {} examples ({})\n", out.string(), x.size(0), describe_weights(loaded)));
  }
  return ExitCode::done;
}

}  // namespace

Verb decode_verb() {
  return {"decode",
          "maps latents to examples",
          "RUN INPUT",
          "INPUT: a .safetensors with the array `z` as encode writes it; --out holds the array `x` as stored: uint8 "
          "images\n"
          "(N, C, H, W) or float32 vectors (N, D). A decoder with a distribution gives its mean.",
          with_run_options({{"out", Takes::text, "FILE.safetensors", "the file to write", nullptr, true}}),
          run};
}

}  // namespace genzoo
