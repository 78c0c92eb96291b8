#include "tools/trained_model.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "core/error.h"
#include "trainers/experiment.h"

namespace genzoo {

std::vector<Option> with_run_options(std::vector<Option> own) {
  const Range threads{0, 4096, false, false, "in [0, 4096]"};
  own.insert(own.end(),
             {
                 {"checkpoint", Takes::word, "newest|best", "which of a run's checkpoints", "newest"},
                 {"weights", Takes::word, "ema|raw", "averaged or raw weights; averaged where there are any"},
                 {"device", Takes::text, "auto|cpu|cuda[:N]", "where the model runs", "auto"},
                 {"threads", Takes::integer, "N", "threads of the CPU; 0: all cores", "0", false, threads},
                 {"json", Takes::nothing, "", "print JSON"},
             });
  return own;
}

LoadedModel load_run(const Arguments& arguments) {
  set_up_compute(arguments.integer("threads"), /*deterministic=*/true);
  const bool named = arguments.given("weights");
  const bool raw = named && arguments.text("weights") == "raw";
  LoadedModel loaded =
      load_model(arguments.text("RUN"), arguments.text("checkpoint") == "best" ? Which::best : Which::newest,
                 raw ? Weights::raw : Weights::ema_if_any, arguments.text("device"));
  if (named && !raw && !loaded.has_ema) {
    throw UsageError(fmt::format(
        "{}: it has no averaged weights (its config says train.ema: none); leave out --weights", loaded.path.string()));
  }
  return loaded;
}

WeightType parse_weight_type(const std::string& name) {
  const auto* found = std::ranges::find(kWeightTypeNames, name);
  return static_cast<WeightType>(found - std::begin(kWeightTypeNames));
}

std::string describe_weights(const LoadedModel& loaded) {
  return fmt::format("step {}, {} weights", loaded.step, loaded.has_ema ? "averaged" : "raw");
}

Json describe_run(const LoadedModel& loaded) {
  return {{"run", (loaded.run.empty() ? loaded.path : loaded.run).string()},
          {"model", loaded.model.family},
          {"step", loaded.step},
          {"weights", loaded.has_ema ? "ema" : "raw"}};
}

std::filesystem::path output_path(const Arguments& arguments, const std::vector<std::string>& extensions) {
  const std::filesystem::path path = arguments.text("out");
  if (std::ranges::find(extensions, path.extension().string()) != extensions.end()) {
    if (is_checkpoint(path)) {
      throw UsageError(fmt::format("--out {}: that is a run's checkpoint, which is not overwritten; name another file",
                                   path.string()));
    }
    return path;
  }
  throw UsageError(fmt::format("--out {}: the file's name ends in '{}', wanted {}", path.string(),
                               path.extension().string(), fmt::join(extensions, " or ")));
}

}  // namespace genzoo
