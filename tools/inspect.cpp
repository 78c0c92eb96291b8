#include <fmt/format.h>

#include "core/file.h"
#include "evaluation/inspection.h"
#include "tools/output.h"
#include "tools/trained_model.h"
#include "tools/verb.h"

namespace genzoo {
namespace {

ExitCode run(const Arguments& arguments) {
  const bool page = arguments.has("out");
  const std::filesystem::path out = page ? output_path(arguments, {".html"}) : "";
  const LoadedModel loaded = load_run(arguments);
  const Inspection inspection = inspect(loaded, arguments.text("prompt"));
  if (page) write_file_whole(out, inspection_page(inspection, loaded));
  if (arguments.flag("json")) {
    Json json = describe_run(loaded);
    json.update(inspection.to_json());
    if (page) json["out"] = out.string();
    print_json(json);
    return ExitCode::done;
  }
  for (const Expectation& place : inspection.text) {
    const RatedToken& next = place.likeliest.front();
    print(fmt::format("{:>12}  surprise {}  entropy {:6.3f}  then {} ({:.1f} %)\n",
                      Json(place.token).dump(-1, ' ', false, Json::error_handler_t::replace),
                      place.surprise ? fmt::format("{:6.3f}", *place.surprise) : "     -", place.entropy,
                      Json(next.text).dump(-1, ' ', false, Json::error_handler_t::replace), 100 * next.value));
  }
  print(fmt::format("{:.4f} nats per token\n", inspection.nats_per_token()));
  if (page) print(fmt::format("page: {}\n", out.string()));
  return ExitCode::done;
}

}  // namespace

Verb inspect_verb() {
  return {"inspect",
          "looks into a language model on a text",
          "RUN",
          "What it expects at each token and how surprised it is; with --out as a page, too, where it attends to, what "
          "each\n"
          "head is worth, what tokens are near to each other, and a map of them.",
          with_run_options({
              {"prompt", Takes::text, "TEXT", "the text", nullptr, true},
              {"out", Takes::text, "FILE.html", "the page to write; without: none"},
          }),
          run};
}

}  // namespace genzoo
