// `genzoo bench scaling`, on a config of a fraction of a second.
#include "core/json.h"
#include "core/memory.h"
#include "tests/tools/program.h"

namespace genzoo {
namespace {

std::string error_of(std::vector<std::string> words) {
  words.insert(words.begin(), {"bench", "scaling"});
  return usage_error_of(words);
}

}  // namespace

TEST_CASE("bench scaling measures along axes, and shows lines again as tables and a figure", "[tools]") {
  const TempDir folder;
  const std::string config = tiny_config("transformer", folder.path());
  const Ended json =
      genzoo({"bench", "scaling", config, "--seconds", "0.05", "--axis", "train.batch_size=4,8", "--axis",
              "model.transformer.block_size=4,8,16", "--threads", "1", "--no-limits", "--json"});
  INFO(json.err);
  REQUIRE(json.code == 0);
  const std::string::size_type end = json.out.find('\n');
  const Json batch = parse_json(json.out.substr(0, end), "stdout"), length = parse_json(json.out.substr(end), "stdout");
  CHECK(batch.at("workload") == "tiny_transformer");
  CHECK(batch.at("axis") == "train.batch_size");
  CHECK(batch.at("item") == "token");
  REQUIRE(batch.at("points").size() == 2);
  CHECK(batch.at("points")[1].at("items_per_step") == 8 * 8);
  CHECK(batch.at("points")[0].at("share_of_products").is_null());
  REQUIRE(length.at("points").size() == 3);
  CHECK(length.at("points")[2].at("items_per_step") == 16 * 16);
  for (const Json& point : length.at("points")) {
    CHECK(point.at("ms_per_step").get<double>() > 0);
    CHECK(point.at("step_rss_mb").get<double>() >= point.at("start_rss_mb").get<double>());
    if (peak_memory()) CHECK(point.at("start_rss_mb").get<double>() > 1);
  }

  const std::string lines = (folder / "lines.json").string(), figure = (folder / "figure.svg").string();
  write_text(lines, json.out);
  const Ended table = genzoo({"bench", "scaling", "--from", lines, "--out", figure});
  INFO(table.err);
  REQUIRE(table.code == 0);
  CHECK(table.out.starts_with("tiny_transformer: train.batch_size; fp32, 1 thread; "));
  CHECK(table.out.find("\nbatch_size  ms/step") != std::string::npos);
  CHECK(table.out.find("\nCost of a token: block_size^") != std::string::npos);
  CHECK(read_text(figure).starts_with("<svg "));
  CHECK(read_text(figure).ends_with("</svg>\n"));
  CHECK(genzoo({"bench", "scaling", "--from", lines, "--markdown"}).out.find("\n| batch_size | ms/step |") !=
        std::string::npos);
}

TEST_CASE("bench scaling varies the batch when no axis is given, with shares of the machine's limits", "[tools]") {
  const TempDir folder;
  const std::string config = tiny_config("vae", folder.path());
  const Ended table = genzoo({"bench", "scaling", config, "--seconds", "0.02", "--threads", "1", "--set",
                              "train.batch_size=2", "--set", "train.shards=2"});
  INFO(table.err);
  REQUIRE(table.code == 0);
  CHECK(table.out.starts_with("tiny_vae: train.batch_size; fp32, 1 thread; "));
  for (const char* row : {"\n2 ", "\n4 ", "\n8 "}) CHECK(table.out.find(row) != std::string::npos);
  CHECK(table.out.find("\n1 ") == std::string::npos);  // does not split into two shards
  CHECK(table.out.find(" %") != std::string::npos);
}

TEST_CASE("bench scaling says what it cannot measure before it measures anything", "[tools]") {
  const TempDir folder;
  const std::string config = tiny_config("transformer", folder.path());
  CHECK(error_of({}).find("WORKLOAD is missing, wanted: genzoo bench scaling WORKLOAD...") != std::string::npos);
  CHECK(error_of({config, "nowhere.yaml"}).find("nowhere.yaml") != std::string::npos);
  const std::string unknown = error_of({config, "--axis", "model.transformer.n_lyer=1,2"});
  CHECK(unknown.starts_with("--axis model.transformer.n_lyer=1: error: unknown key"));
  CHECK(unknown.find("did you mean 'n_layer'?") != std::string::npos);
  CHECK(error_of({config, "--axis", "model.transformer.n_embd=8,9"}).find("a multiple of 'n_head'") !=
        std::string::npos);
  CHECK(error_of({config, "--axis", "train.batch_size=8"}).find("wanted at least two") != std::string::npos);
  CHECK(error_of({config, "--axis", "seed=1,2", "--axis", "seed=3,4"}).find("--axis seed is given twice") !=
        std::string::npos);
  CHECK(error_of({config, "--threads", "1", "--axis", "threads=1,2"}).find("contradict each other") !=
        std::string::npos);
  CHECK(error_of({config, "--out", "figure.png"}).find("wanted .svg") != std::string::npos);
  CHECK(error_of({config, "--from", "lines.json"}).find("nothing is measured") != std::string::npos);
  CHECK(error_of({"--from", "nowhere.json"}).find("nowhere.json") != std::string::npos);
  CHECK(error_of({config, "--json", "--markdown"}).find("leave one out") != std::string::npos);
  CHECK(error_of({config, "--threads", "1", "--set", "train.steps=0"}).find("nothing to vary") != std::string::npos);
  const Ended misplaced = genzoo({"bench", config, "--axis", "seed=1,2"});
  CHECK(misplaced.code == 2);
  CHECK(misplaced.err.find("--axis is of `genzoo bench scaling WORKLOAD...`") != std::string::npos);
}

}  // namespace genzoo
