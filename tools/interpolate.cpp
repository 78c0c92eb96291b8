#include <fmt/format.h>

#include <limits>

#include "core/image.h"
#include "core/safetensors.h"
#include "evaluation/evaluate.h"
#include "tools/output.h"
#include "tools/trained_model.h"
#include "tools/verb.h"
#include "trainers/samples.h"

namespace genzoo {
namespace {

ExitCode run(const Arguments& arguments) {
  const auto out = output_path(arguments, {".png", ".safetensors"});
  const LoadedModel loaded = load_run(arguments);
  if (!loaded.model.can.decode) refuse(loaded, "has no latent space to interpolate in");
  const int64_t n = arguments.integer("n"), steps = arguments.integer("steps"), seed = arguments.integer("seed");
  constexpr int64_t kTooMany = int64_t{1} << 50;  // for any memory; and n * steps might be too large to be a number
  const int64_t images = n > kTooMany / steps ? kTooMany : n * steps;
  require_room(images, loaded.spec);
  if (out.extension() == ".png") require_picture(images, loaded.spec, steps);
  const auto rows = interpolate_latents(loaded.model, n, steps, static_cast<uint64_t>(seed), loaded.device);
  if (out.extension() == ".png") {
    write_png(out, picture_of(rows, loaded.spec, steps));
  } else {
    write_safetensors(out, {{"samples", rows}}, {{"steps", std::to_string(steps)}, {"seed", std::to_string(seed)}});
  }
  if (arguments.flag("json")) {
    Json json = describe_run(loaded);
    json.update({{"n", n}, {"steps", steps}, {"seed", seed}, {"out", out.string()}});
    print_json(json);
  } else {
    print(fmt::format("{}: {} ways of {} steps between two latents ({})\n", out.string(), n, steps,
                      describe_weights(loaded)));
  }
  return ExitCode::done;
}

}  // namespace

Verb interpolate_verb() {
  const Range ends{2, std::numeric_limits<double>::infinity(), false, false, "at least 2"};
  return {"interpolate",
          "walks between latents of a model that has a latent space",
          "RUN",
          "Each row goes from one random latent to another along a great circle. A .safetensors holds the array "
          "`samples`,\n"
          "row by row.",
          with_run_options({
              {"out", Takes::text, "FILE", "a .png or .safetensors to write", nullptr, true},
              {"n", Takes::integer, "N", "rows: pairs of latents", "8", false, positive},
              {"steps", Takes::integer, "N", "images a row, both ends included", "10", false, ends},
              {"seed", Takes::integer, "S", "of the latents", "0", false, non_negative},
          }),
          run};
}

}  // namespace genzoo
