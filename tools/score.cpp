#include <fmt/format.h>

#include "core/file.h"
#include "core/safetensors.h"
#include "evaluation/evaluate.h"
#include "tools/output.h"
#include "tools/trained_model.h"
#include "tools/verb.h"

namespace genzoo {
namespace {

Score score_input(const LoadedModel& loaded, const Arguments& arguments) {
  const std::filesystem::path input = arguments.text("INPUT");
  if (loaded.model.can.pair_logits) return score_pairs(loaded, read_file(input), input.string());
  if (input.extension() != ".safetensors") return score_text(loaded, read_file(input));
  return score_examples(loaded, read_array(input, "x"), arguments.integer("k"),
                        static_cast<uint64_t>(arguments.integer("seed")));
}

std::string describe(const Json& score) {
  const auto tokens = score["tokens"].get<int64_t>(), examples = score["examples"].get<int64_t>();
  const std::string over = tokens > 0 ? fmt::format("{} tokens, {} bytes", tokens, score["bytes"].get<int64_t>())
                                      : fmt::format("{} examples", examples);
  const std::string kind = score["kind"].get<std::string>();
  if (!score["nats"].is_number()) return fmt::format("-log p: not finite ({}), {}\n", kind, over);
  const auto nats = score["nats"].get<double>();
  return fmt::format("-log p: {:.6f} nats in all ({} log p), {}: {:.6f} each\n", nats, kind, over,
                     nats / static_cast<double>(tokens > 0 ? tokens : examples));
}

ExitCode run(const Arguments& arguments) {
  if (arguments.has("out")) output_path(arguments, {".safetensors"});
  const LoadedModel loaded = load_run(arguments);
  const Score score = score_input(loaded, arguments);
  if (arguments.has("out")) {
    write_safetensors(arguments.text("out"), {{"log_prob", score.log_prob}}, {{"kind", score.kind}, {"unit", "nats"}});
  }
  const Json json = score.to_json();
  if (arguments.flag("json")) {
    print_json(json);
  } else {
    print(describe(json));
  }
  return ExitCode::done;
}

}  // namespace

Verb score_verb() {
  return {"score",
          "log-likelihood of given examples",
          "RUN INPUT",
          "INPUT: a .safetensors with the array `x` (uint8 images (N, C, H, W) or float32 vectors (N, D)), or a text "
          "file,\n"
          "which is one document; of a model of pairs a file with a pair a line, source, tab, target. --out holds the "
          "array `log_prob` (N), nats. The number printed is the sum of -log p.",
          with_run_options({
              {"k", Takes::integer, "K", "draws for a bound or estimate", "1", false, positive},
              {"seed", Takes::integer, "S", "of those draws", "0", false, non_negative},
              {"out", Takes::text, "FILE.safetensors", "log-likelihood of each example"},
          }),
          run};
}

}  // namespace genzoo
