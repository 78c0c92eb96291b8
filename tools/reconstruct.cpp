#include <fmt/format.h>

#include "core/image.h"
#include "evaluation/evaluate.h"
#include "tools/output.h"
#include "tools/trained_model.h"
#include "tools/verb.h"

namespace genzoo {
namespace {

ExitCode run(const Arguments& arguments) {
  const auto out = output_path(arguments, {".png"});
  const LoadedModel loaded = load_run(arguments);
  if (!loaded.model.can.reconstruct) refuse(loaded, "reconstructs nothing");
  const Dataset dataset = dataset_of(loaded, DataPlaces::from_environment());
  const int64_t n = arguments.integer("n");
  write_png(out, reconstruction_picture(loaded, dataset, n, arguments.integer("columns")));
  if (arguments.flag("json")) {
    Json json = describe_run(loaded);
    json.update({{"n", n}, {"out", out.string()}});
    print_json(json);
  } else {
    print(fmt::format("{}: {} examples, each above its reconstruction ({})\n", out.string(), n,
                      describe_weights(loaded)));
  }
  return ExitCode::done;
}

}  // namespace

Verb reconstruct_verb() {
  return {"reconstruct",
          "encodes examples and decodes them again",
          "RUN",
          "The examples are the first of the test split, or of validation where there is none.",
          with_run_options({
              {"out", Takes::text, "FILE.png", "the picture to write", nullptr, true},
              {"n", Takes::integer, "N", "how many examples", "32", false, positive},
              {"columns", Takes::integer, "N", "examples a row", "8", false, positive},
          }),
          run};
}

}  // namespace genzoo
