#include "core/config.h"

#include "tools/output.h"
#include "tools/verb.h"
#include "trainers/experiment.h"
#include "trainers/fine_tuning.h"

namespace genzoo {
namespace {

ExitCode run(const Arguments& arguments) {
  ExperimentConfig config;
  if (arguments.flag("schema")) {
    print(config_schema("genzoo experiment", [&](Fields& f) { config.fields(f); }));
    return ExitCode::done;
  }
  if (!arguments.has("CONFIG"))
    throw UsageError("config: CONFIG is missing, wanted: genzoo config CONFIG, or --schema");
  ConfigSource source = ConfigSource::from_file(arguments.text("CONFIG"));
  for (const auto& assignment : arguments.all("set")) source.set(assignment);
  inherit_settings(source);
  config = read_config<ExperimentConfig>(source);
  if (arguments.flag("json")) {
    print(write_config_json([&](Fields& f) { config.fields(f); }));
  } else {
    print(write_config(config));
  }
  return ExitCode::done;
}

}  // namespace

Verb config_verb() {
  return {"config",
          "checks a config and prints it with every default spelled out",
          "[CONFIG]",
          "Data are not opened. With train.init_from the parent's settings are looked up.",
          {{"set", Takes::any_times, "KEY=VALUE", "overrides a key of the config, as train.steps=100"},
           {"schema", Takes::nothing, "", "prints the JSON Schema of every key instead, for editors"},
           {"json", Takes::nothing, "", "prints it as JSON"}},
          run};
}

}  // namespace genzoo
