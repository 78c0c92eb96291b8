// `genzoo bench tune`, on a config of a fraction of a second.
#include "core/json.h"
#include "tests/tools/program.h"

namespace genzoo {
namespace {

std::string error_of(std::vector<std::string> words) {
  words.insert(words.begin(), {"bench", "tune"});
  return usage_error_of(words);
}

}  // namespace

TEST_CASE("bench tune measures shards in turn and prints the line to write, in JSON and as a table", "[tools]") {
  const TempDir folder;
  const std::string config = tiny_config("vae", folder.path());
  const Ended json = genzoo({"bench", "tune", config, "--seconds", "0.05", "--threads", "1", "--precision", "bfloat16",
                             "--set", "train.batch_size=8", "--json"});
  INFO(json.err);
  REQUIRE(json.code == 0);
  const Json line = parse_json(json.out, "stdout");
  CHECK(line.at("workload") == "tiny_vae");
  CHECK(line.at("threads") == 1);
  CHECK(line.at("batch") == 8);
  CHECK(line.at("dtype") == "bf16");
  CHECK(line.at("shards_in_config") == 1);
  REQUIRE(line.at("times").size() == 2);
  for (const int64_t i : {0, 1}) {
    const Json& time = line.at("times")[static_cast<size_t>(i)];
    CHECK(time.at("shards") == i + 1);
    CHECK(time.at("ms_of_rounds").size() == 5);
    CHECK(time.at("ms_min") <= time.at("ms_per_step"));
    CHECK(time.at("ms_per_step") <= time.at("ms_max"));
  }
  const int64_t shards = line.at("shards");
  CHECK((shards == 1 || shards == 2));
  CHECK(line.at("line").get<std::string>().starts_with(fmt::format("train: {{shards: {}}}   # ", shards)));

  const Ended table =
      genzoo({"bench", "tune", config, "--seconds", "0.05", "--threads", "1", "--set", "train.batch_size=2"});
  INFO(table.err);
  REQUIRE(table.code == 0);
  CHECK(table.out.starts_with("tiny_vae: batch 2, fp32, threads 1; "));
  CHECK(table.out.find("\nshards  ms/step (min to max)") != std::string::npos);
  CHECK(table.out.find("\n  train: {shards: ") != std::string::npos);
  CHECK(table.out.find("another number\ngives other bytes") != std::string::npos);
}

TEST_CASE("bench tune says what it cannot measure before it measures anything", "[tools]") {
  const TempDir folder;
  const std::string config = tiny_config("vae", folder.path());
  CHECK(error_of({}).find("bench tune: CONFIG is missing, wanted: genzoo bench tune CONFIG...") != std::string::npos);
  CHECK(error_of({config, "nowhere.yaml"}).find("nowhere.yaml") != std::string::npos);
  CHECK(error_of({config, "--set", "train.batch_size=15"})
            .find("train.batch_size is 15, which does not split into 2 equal shards") != std::string::npos);
  CHECK(error_of({config, "--set", "train.steps=0"}).find("train.steps is 0") != std::string::npos);
  CHECK(error_of({config, "--set", "train.shards=2"}).find("the number of shards is what it measures") !=
        std::string::npos);
  CHECK(error_of({config, "--weight-type", "int8"}).find("leave out --weight-type") != std::string::npos);
}

TEST_CASE("bench tune hands on the error of data that are nowhere", "[tools]") {
  const TempDir folder;
  const std::string config = (folder / "absent.yaml").string();
  write_text(config, "experiment: absent\ndata: {mnist: {root: /nowhere}}\nmodel: {vae: {}}\ntrain: {steps: 1}\n");
  const Ended ended = genzoo({"bench", "tune", config});
  CHECK(ended.code == 1);
  CHECK(ended.err.find("/nowhere") != std::string::npos);
}

}  // namespace genzoo
