// The verb bench, on a config of a fraction of a second.
#include "core/json.h"
#include "core/memory.h"
#include "tests/tools/program.h"

namespace genzoo {

TEST_CASE("bench measures a config by its path, in JSON and as a table", "[tools]") {
  const TempDir folder;
  const std::string config = tiny_config("realnvp", folder.path());
  const Ended json = genzoo({"bench", config, "--seconds", "0.1", "--threads", "1", "--json"});
  INFO(json.err);
  REQUIRE(json.code == 0);
  const Json line = parse_json(json.out, "stdout");
  CHECK(line.at("workload") == "tiny_realnvp");
  CHECK(line.at("dtype") == "fp32");
  CHECK(line.at("ms_per_step").get<double>() > 0);
  CHECK(line.at("share_of_products").get<double>() >= 0);
  CHECK(line.at("start_to_first_step_s").get<double>() < 60);

  const Ended table = genzoo({"bench", config, config, "--seconds", "0.1", "--threads", "1", "--precision", "bfloat16",
                              "--set", "train.batch_size=4", "--no-limits"});
  INFO(table.err);
  REQUIRE(table.code == 0);
  CHECK(table.out.find("workload") == 0);
  CHECK(std::count(table.out.begin(), table.out.end(), '\n') == 3);
  CHECK(table.out.find("\ntiny_realnvp  bf16") != std::string::npos);

  const Ended alone = genzoo({"bench", config, "--seconds", "0.1", "--threads", "1", "--json", "--no-limits"});
  REQUIRE(alone.code == 0);
  CHECK_FALSE(parse_json(alone.out, "stdout").contains("share_of_products"));
}

TEST_CASE("a rehearsal foretells the memory that a workload takes", "[tools]") {
  if (!peak_memory()) SKIP("this system does not tell");
#if defined(__SANITIZE_ADDRESS__)
  SKIP("a sanitizer's allocator keeps what was freed, a step's blocks among them");
#endif
  const Surroundings source{.folder = GENZOO_SOURCE_DIR};
  const TempDir folder;
  int foretold = 0;
  for (const char* workload : {"vae_mlp", "realnvp_tab", "gpt_char_cpu"}) {
    const std::string name = workload;
    const Ended rehearsal =
        genzoo({"train", "configs/bench/" + name + ".yaml", "--dry-run", "--run", (folder / name).string()}, source);
    if (rehearsal.err.find("not found: looked for") != std::string::npos) continue;  // its data are not here
    INFO(name << "\n" << rehearsal.out << rehearsal.err);
    REQUIRE(rehearsal.code == 0);
    const size_t at = rehearsal.out.find("memory  ");
    REQUIRE(at != std::string::npos);
    const double predicted = std::stod(rehearsal.out.substr(at + 6));  // MB in all
    const Ended run = genzoo({"bench", name, "--seconds", "0.5", "--json", "--no-limits"}, source);
    REQUIRE(run.code == 0);
    const double measured = parse_json(run.out, "stdout").at("peak_rss_mb").get<double>();
    INFO(predicted << " MB foretold, " << measured << " measured");
    CHECK(measured <= 1.15 * predicted);
    CHECK(predicted <= 1.3 * measured);
    ++foretold;
  }
  if (foretold == 0) SKIP("no workload's data are here");
}

TEST_CASE("bench says what workloads there are, and what the machine can do", "[tools]") {
  const Surroundings source{.folder = GENZOO_SOURCE_DIR};
  const Ended unknown = genzoo({"bench", "resnet"}, source);
  CHECK(unknown.code == 2);
  CHECK(unknown.err.find("no workload \"resnet\"; there are dcgan32, decode, gpt2_124m") != std::string::npos);
  CHECK(genzoo({"bench", "nowhere.yaml"}, source).code == 2);

  const Ended limits = genzoo({"bench", "limits", "--json"});
  REQUIRE(limits.code == 0);
  const Json json = parse_json(limits.out, "stdout");
  for (const char* key : {"float32_gflops", "bfloat16_gflops", "read_gb_per_s", "update_gb_per_s"}) {
    CHECK(json.at(key).get<double>() > 0);
  }
  CHECK(genzoo({"bench", "limits"}).out.starts_with("matrix products"));
}

}  // namespace genzoo
