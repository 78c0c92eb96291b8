#include <fmt/format.h>

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
  if (!loaded.model.can.sample) refuse(loaded, "draws no images or vectors");
  if (arguments.given("label")) {
    refuse(loaded, "cannot be asked for a class", "it learns all classes together; leave out --label");
  }
  SampleOptions options;
  options.mean = arguments.flag("mean");
  options.temperature = arguments.number("temperature");
  const int64_t n = arguments.integer("n"), seed = arguments.integer("seed");
  require_room(n, loaded.spec);
  if (out.extension() == ".png") require_picture(n, loaded.spec, arguments.integer("columns"));
  const auto samples =
      draw_samples(loaded.model, n, static_cast<uint64_t>(seed), Purpose::sample, options, loaded.device);
  if (out.extension() == ".png") {
    write_png(out, picture_of(samples, loaded.spec, arguments.integer("columns")));
  } else {
    write_safetensors(out, {{"samples", samples}},
                      {{"seed", std::to_string(seed)},
                       {"mean", options.mean ? "true" : "false"},
                       {"temperature", arguments.text("temperature")},
                       {"weights", loaded.has_ema ? "ema" : "raw"}});
  }
  if (arguments.flag("json")) {
    Json json = describe_run(loaded);
    json.update({{"n", n},
                 {"seed", seed},
                 {"mean", options.mean},
                 {"temperature", options.temperature},
                 {"out", out.string()}});
    print_json(json);
  } else {
    print(fmt::format("{}: {} {} ({})\n", out.string(), n, options.mean ? "means of p(x|z)" : "samples",
                      describe_weights(loaded)));
  }
  return ExitCode::done;
}

}  // namespace

Verb sample_verb() {
  return {
      "sample",
      "draws images or vectors",
      "RUN",
      "Sample i depends on the seed and i only. A .png shows a grid of images, or vectors as points; a .safetensors\n"
      "holds the array `samples`, uint8 (N, C, H, W) or float32 (N, D).",
      with_run_options({
          {"out", Takes::text, "FILE", "a .png or .safetensors to write", nullptr, true},
          {"n", Takes::integer, "N", "how many", "64", false, positive},
          {"seed", Takes::integer, "S", "of the draws", "0", false, non_negative},
          {"columns", Takes::integer, "N", "images a row", "8", false, positive},
          {"label", Takes::integer, "K", "of this class, where the model learns classes", nullptr, false, non_negative},
          {"mean", Takes::nothing, "", "the mean of p(x|z) instead of a draw from it, where there is one"},
          {"temperature", Takes::number, "T",
           "below 1 safer, above 1 wilder: scales a flow's base noise, divides logits", "1", false, positive},
      }),
      run};
}

}  // namespace genzoo
