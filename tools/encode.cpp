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
  const auto z = encode_examples(loaded, read_array(arguments.text("INPUT"), "x"));
  write_safetensors(out, {{"z", z}});
  if (arguments.flag("json")) {
    Json json = describe_run(loaded);
    json.update({{"examples", z.size(0)}, {"out", out.string()}});
    print_json(json);
  } else {
    print(fmt::format("{}: {} examples ({})\n", out.string(), z.size(0), describe_weights(loaded)));
  }
  return ExitCode::done;
}

}  // namespace

Verb encode_verb() {
  return {"encode",
          "maps examples to latents",
          "RUN INPUT",
          "INPUT: a .safetensors with the array `x` as score takes it; --out holds the array `z`. An encoder\n"
          "with a distribution gives its mean; an invertible model takes pixels at the middle of their cell.",
          with_run_options({{"out", Takes::text, "FILE.safetensors", "the file to write", nullptr, true}}),
          run};
}

}  // namespace genzoo
