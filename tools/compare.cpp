#include "evaluation/compare.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "evaluation/comparison_notes.h"
#include "tools/output.h"
#include "tools/verb.h"

namespace genzoo {
namespace {

CompareRequest request_of(const Arguments& arguments) {
  CompareRequest request;
  request.inputs = arguments.all("RUN_OR_CONFIG");
  for (const auto& text : arguments.all("external")) request.externals.push_back(parse_external(text));
  request.out = arguments.text("out");
  request.budget = parse_budget(arguments.has("budget") ? arguments.text("budget") : "");
  request.seeds = arguments.integer("seeds");
  request.samples = arguments.integer("samples");
  request.sampling_seconds = arguments.number("sampling-seconds");
  request.k = arguments.integer("k");
  request.examples = arguments.integer("examples");
  request.inception = arguments.has("inception") ? arguments.text("inception") : "";
  request.device = arguments.has("device") ? arguments.text("device") : "";
  request.threads = arguments.integer("threads");
  request.quiet = arguments.flag("quiet");
  request.terminal = isatty(STDERR_FILENO) == 1;
  request.command_line = arguments.command_line();
  request.places = DataPlaces::from_environment();
  const bool quiet = request.quiet;
  request.progress = [quiet](const std::string& what) {
    if (!quiet) fmt::print(stderr, "{}\n", what);
  };
  return request;
}

ExitCode run(const Arguments& arguments) {
  const CompareRequest request = request_of(arguments);
  const ExitCode code = compare(request);
  const bool stopped = code != ExitCode::done && code != ExitCode::diverged;
  if (stopped) fmt::print(stderr, "genzoo: stopped; the same command goes on\n");
  if (code == ExitCode::diverged) fmt::print(stderr, "genzoo: {}\n", kAllDiverged);
  if (!stopped && !request.quiet) print(fmt::format("report: {}\n", (request.out / "report.html").string()));
  return code;
}

}  // namespace

Verb compare_verb() {
  const Range threads{0, 4096, false, false, "in [0, 4096]"};
  return {
      "compare",
      "trains and measures models under one protocol and writes a report",
      "RUN_OR_CONFIG...",
      "Configs are trained with seeds 0, 1, ... in DIR/runs/; run folders and checkpoint files are measured as they "
      "are.\n"
      "The same command on the same DIR goes on where it stopped. A budget in time is of training alone; it becomes\n"
      "a number of steps once, by timing a few. An external model's samples are a .safetensors with the array\n"
      "`samples`, its likelihoods one with the array `log_prob` for each example of the split:\n"
      "  --external NAME=samples.safetensors,log_prob=FILE,unit=nats|bits/dim,kind=exact|lower_bound|estimate",
      {
          {"out", Takes::text, "DIR", "the report's folder", nullptr, true},
          {"budget", Takes::text, "120s|5000steps",
           "training of each config; without: its own steps; given runs stay as they are"},
          {"seeds", Takes::integer, "N", "trainings of each config", "3", false,
           Range{1, 1000, false, false, "in [1, 1000]"}},
          {"external", Takes::any_times, "NAME=FILE", "samples of somebody else's model"},
          {"samples", Takes::integer, "N", "drawn from each model, at most", "10000", false, positive},
          {"sampling-seconds", Takes::number, "S",
           "a model may take to draw them; one that is slower lowers the number for all", "60", false, positive},
          {"k", Takes::integer, "K", "draws per example for a likelihood that is a bound", "1", false, positive},
          {"examples", Takes::integer, "N",
           "only the first of the split, for all but samples; of text: windows; 0: all", "0", false, non_negative},
          {"inception", Takes::text, "FILE",
           "weights of InceptionV3, to measure samples in its features as well: FID, KID; an image takes a core 0.1 s"},
          {"device", Takes::text, "auto|cpu|cuda[:N]", "where models train and run; without: as their configs say"},
          {"threads", Takes::integer, "N", "threads of the CPU; 0: all cores", "0", false, threads},
          {"quiet", Takes::nothing, "", "print nothing but errors"},
      },
      run};
}

}  // namespace genzoo
