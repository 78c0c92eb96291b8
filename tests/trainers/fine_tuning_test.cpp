#include "trainers/fine_tuning.h"

#include <algorithm>

#include "core/config_keys.h"
#include "data/chat.h"
#include "data/tokenizers/tokenizer.h"
#include "models/layers.h"
#include "tests/support.h"
#include "tests/trainers/tiny_parent.h"
#include "trainers/huggingface_folder.h"
#include "trainers/learner.h"
#include "trainers/named_state.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

/// Raw parameters of a run's newest checkpoint, updates and all.
NamedTensors weights_of(const fs::path& run) {
  return read_checkpoint(find_checkpoint(run, Which::newest)).below("model.");
}

bool changed(const NamedTensors& before, const NamedTensors& after, const std::string& name) {
  return !before.at(name).equal(after.at(name));
}

TEST_CASE("a child begins with its parent's weights, and says whose", "[trainers][finetuning]") {
  const TempDir folder;
  const fs::path parent = tiny::make_parent(folder);
  tiny::train(tiny::child_of(parent, {"train.steps=0"}), folder / "child");
  CHECK(state_digest(weights_of(folder / "child")) == state_digest(weights_of(parent)));
  const LoadedModel child = load_model(folder / "child", Which::newest, Weights::raw, "cpu");
  const Json record = parse_json(child.parent, "parent");
  CHECK(record["experiment"] == "tiny");
  CHECK(record["model"] == "transformer");
  CHECK(record["step"] == 6);
  CHECK(record["weights"] == "sha256:" + state_digest(weights_of(parent)));
  CHECK(load_model(parent, Which::newest, Weights::raw, "cpu").parent.empty());
}

TEST_CASE("averaged weights of a parent are what its child begins with, and their average begins there",
          "[trainers][finetuning]") {
  const TempDir folder;
  tiny::train(tiny::experiment(tiny::kParentModel, tiny::kText), folder / "parent");
  ExperimentConfig config = tiny::experiment(tiny::kParentModel, tiny::kOtherText,
                                             {"train.steps=0", "train.init_from=" + (folder / "parent").string()});
  tiny::train(config, folder / "child");
  const auto state = [](const fs::path& run, Weights weights) {
    return state_digest(module_state(*load_model(run, Which::newest, weights, "cpu").model.module));
  };
  CHECK(state(folder / "child", Weights::raw) == state(folder / "parent", Weights::ema_if_any));
  CHECK(state(folder / "child", Weights::ema_if_any) == state(folder / "parent", Weights::ema_if_any));
}

TEST_CASE("a child that was stopped ends in the same checkpoint, its parent gone", "[trainers][finetuning]") {
  for (const char* how : {"train.freeze=token_*", "train.lora.rank=2"}) {
    const TempDir folder;
    const fs::path parent = tiny::make_parent(folder);
    tiny::train(tiny::child_of(parent, {how}), folder / "whole");
    tiny::train(tiny::child_of(parent, {how, "train.steps=2"}), folder / "stopped");
    fs::remove_all(parent);
    tiny::train(tiny::child_of(parent, {how}), folder / "stopped", /*resume=*/true);
    CHECK(tiny::same_bytes(find_checkpoint(folder / "whole", Which::newest),
                           find_checkpoint(folder / "stopped", Which::newest)));
  }
}

TEST_CASE("a run goes on, and is evaluated, when the tokenizer it began with is gone", "[trainers][finetuning]") {
  const TempDir folder;
  std::string text;
  for (int i = 0; i < 200; ++i) text += "to be or not to be ";
  write_file_whole(folder / "a.txt", text);
  write_file_whole(folder / "tokenizer.json", Tokenizer::characters_of(text)->to_json());
  const auto config = [&](int64_t steps) {
    return tiny::experiment(tiny::kParentModel,
                            "{text: {file: " + (folder / "a.txt").string() +
                                ", tokens: {tokenizer: {path: " + (folder / "tokenizer.json").string() + "}}}}",
                            {"train.steps=" + std::to_string(steps)});
  };
  tiny::train(config(4), folder / "whole");
  tiny::train(config(2), folder / "stopped");
  fs::remove(folder / "tokenizer.json");
  tiny::train(config(4), folder / "stopped", /*resume=*/true);
  CHECK(tiny::same_bytes(find_checkpoint(folder / "whole", Which::newest),
                         find_checkpoint(folder / "stopped", Which::newest)));
  const LoadedModel loaded = load_model(folder / "stopped", Which::newest, Weights::raw, "cpu");
  CHECK(open_dataset(data_of_run(loaded.config, RunFolder(folder / "stopped")), DataPlaces{}).spec == loaded.spec);
  CHECK_THROWS_AS(tiny::train(config(4), folder / "new"), Error);  // one that begins has no copy
}

TEST_CASE("pairs are taught to a parent of pairs by its own tokens", "[trainers][finetuning]") {
  const TempDir folder;
  write_file_whole(folder / "a.tsv", "abc\tcba\nxyz\tzyx\nab\tba\nyz\tzy\n");
  write_file_whole(folder / "b.tsv", "aa\taa\nbb\tbb\n");  // fewer characters
  const auto pairs = [&](const std::string& name) {
    return "{pairs: {file: " + (folder / name).string() + ", validation: 0.5}}";
  };
  tiny::train(tiny::experiment(tiny::kParentModel, pairs("a.tsv"), {"train.steps=1", "train.ema=none"}),
              folder / "parent");
  ConfigSource source =
      ConfigSource::from_text("experiment: child\ndata: " + pairs("b.tsv") +
                                  "\ntrain: {steps: 1, init_from: " + (folder / "parent").string() + "}\n",
                              "child.yaml");
  inherit_settings(source);
  tiny::train(read_config<ExperimentConfig>(source), folder / "child");
  CHECK(load_model(folder / "child", Which::newest, Weights::raw, "cpu").spec.vocabulary == 7);
}

TEST_CASE("what is frozen does not learn, and nothing else stands still", "[trainers][finetuning]") {
  const TempDir folder;
  const fs::path parent = tiny::make_parent(folder);
  const NamedTensors before = weights_of(parent);
  for (const char* shards : {"train.shards=1", "train.shards=4"}) {
    fs::remove_all(folder / "child");
    tiny::train(tiny::child_of(parent, {"train.freeze=token_embedding*, blocks.0.*", shards}), folder / "child");
    const NamedTensors after = weights_of(folder / "child");
    for (const auto& [name, tensor] : before) {
      INFO(shards << ", " << name);
      CHECK(changed(before, after, name) != (name.starts_with("token_embedding") || name.starts_with("blocks.0.")));
    }
  }
}

TEST_CASE("threads do not change what is learned beside frozen weights", "[trainers][finetuning]") {
  const TempDir folder;
  const fs::path parent = tiny::make_parent(folder);
  for (const char* how : {"train.freeze=blocks.1.*", "train.lora.rank=2"}) {
    std::vector<std::string> digests;
    for (const char* threads : {"threads=1", "threads=2"}) {
      fs::remove_all(folder / "child");
      tiny::train(tiny::child_of(parent, {how, "train.shards=4", threads}), folder / "child");
      digests.push_back(state_digest(weights_of(folder / "child")));
    }
    CHECK(digests[0] == digests[1]);
  }
  set_up_compute(1, true);
}

TEST_CASE("low-rank updates learn alone, and are added up for whoever reads the run", "[trainers][finetuning]") {
  const TempDir folder;
  const fs::path parent = tiny::make_parent(folder);
  tiny::train(
      tiny::child_of(parent, {"train.lora.rank=2", "train.lora.alpha=8", "train.lora.layers=\"*.qkv,*mlp_in\""}),
      folder / "child");
  const NamedTensors before = weights_of(parent), after = weights_of(folder / "child");
  for (const auto& [name, tensor] : before) CHECK_FALSE(changed(before, after, name));
  CHECK(after.size() == before.size() + 8);
  const LoadedModel child = load_model(folder / "child", Which::newest, Weights::raw, "cpu");
  const NamedTensors merged = module_state(*child.model.module);
  CHECK(merged.size() == before.size());
  for (const std::string layer : {"blocks.0.attention.qkv", "blocks.1.mlp_in"}) {
    const Tensor update = 4 * after.at(layer + ".lora_b").matmul(after.at(layer + ".lora_a"));
    CHECK(update.abs().max().item<double>() > 1e-4);
    CHECK_THAT(merged.at(layer + ".weight"), IsClose(before.at(layer + ".weight") + update, 1e-6));
  }
  CHECK(merged.at("blocks.0.mlp_out.weight").equal(before.at("blocks.0.mlp_out.weight")));
  export_huggingface(child, folder / "exported");
  CHECK(read_huggingface_folder(folder / "exported").model.tensors.size() == before.size());
}

TEST_CASE("every layer that is adapted learns, the output's too", "[trainers][finetuning]") {
  const TempDir folder;
  const std::string untied = "{transformer: {n_layer: 1, n_head: 2, n_embd: 8, block_size: 8, tie_weights: false}}";
  tiny::train(tiny::experiment(untied, tiny::kText, {"train.ema=none", "train.lora.rank=2", "train.lora.layers=\"*\""}),
              folder / "run");
  int64_t updates = 0;
  for (const auto& [name, tensor] : weights_of(folder / "run")) {
    if (!name.ends_with("lora_b")) continue;
    INFO(name);
    CHECK(tensor.abs().max().item<double>() > 0);
    ++updates;
  }
  CHECK(updates == 5);
}

TEST_CASE("an adapted layer is a layer with the adapted weights", "[trainers][finetuning]") {
  for (const Activation activation : {Activation::none, Activation::relu, Activation::gelu}) {
    Rng init = Rng::for_batch(1, Purpose::initialization, 0);
    Linear layer(6, 5, init);
    const Tensor x = init.normal({4, 6});
    const Tensor before = layer->activated(x, activation);
    layer->adapt(2, 0.5, init);
    CHECK_THAT(layer->activated(x, activation), IsClose(before, 1e-6));  // B is zero
    {
      const torch::NoGradGuard no_grad;
      layer->lora_b.copy_(init.normal({5, 2}));
    }
    Linear whole(layer->adapted_weight().detach(), layer->bias.detach());
    const Tensor y = layer->activated(x, activation), wanted = whole->activated(x, activation);
    CHECK_THAT(y, IsClose(wanted, 1e-5));
    CHECK((y - before).abs().max().item<double>() > 0.1);
    y.square().sum().backward();
    wanted.square().sum().backward();
    // dA = scale B^T dW, dB = scale dW A^T.
    CHECK_THAT(layer->lora_a.grad(), IsClose(0.5 * layer->lora_b.t().matmul(whole->weight.grad()), 1e-4));
    CHECK_THAT(layer->lora_b.grad(), IsClose(0.5 * whole->weight.grad().matmul(layer->lora_a.t()), 1e-4));
    CHECK_FALSE(layer->weight.grad().defined());
    CHECK_FALSE(layer->bias.requires_grad());
  }
}

TEST_CASE("conversations are written as the parent's were", "[trainers][finetuning]") {
  const TempDir folder;
  std::string talk;
  for (int i = 0; i < 4; ++i) {
    talk += R"({"messages": [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "ba"}]})"
            "\n";
  }
  write_file_whole(folder / "talk.jsonl", talk);
  const auto data = [&](const std::string& more) {
    return "{conversations: {file: " + (folder / "talk.jsonl").string() + ", validation: 0.5" + more + "}}";
  };
  const std::string model = "{transformer: {n_layer: 1, n_head: 2, n_embd: 8, block_size: 80}}";
  tiny::train(tiny::experiment(model, data(", template: chatml"), {"train.steps=1", "train.ema=none"}),
              folder / "parent");
  const auto child = [&](const std::string& more) {
    ConfigSource source =
        ConfigSource::from_text("experiment: child\ndata: " + data(more) +
                                    "\ntrain: {steps: 0, init_from: " + (folder / "parent").string() + "}\n",
                                "child.yaml");
    inherit_settings(source);
    return open_dataset(read_config<ExperimentConfig>(source).data, DataPlaces{}).spec.chat;
  };
  CHECK(ChatTemplate::from_json(child("")) == chat_template("chatml"));
  CHECK_THROWS_WITH(child(", template: plain"),
                    Contains("is not among the"));  // its own, of which the parent knows nothing
}

TEST_CASE("settings and tokens that are not given are the parent's", "[trainers][finetuning]") {
  const TempDir folder;
  write_file_whole(folder / "a.txt",
                   std::string("abcde fghij klmno pqrst uvwxyz. ABC and so on, and on. ") + std::string(400, 'a'));
  write_file_whole(folder / "b.txt", std::string(400, 'b'));
  const std::string a = "{text: {file: " + (folder / "a.txt").string() + "}}";
  tiny::train(
      tiny::experiment("{transformer: {n_layer: 1, n_head: 2, n_embd: 8, block_size: 8, dropout: 0.1, positions: "
                       "{rotary: {theta: 500}}}}",
                       a, {"train.steps=0", "train.ema=none"}),
      folder / "parent");
  const auto read = [&](const std::string& model, const std::string& data) {
    ConfigSource source =
        ConfigSource::from_text("experiment: child\n" + model + "data: " + data +
                                    "\ntrain: {steps: 0, init_from: " + (folder / "parent").string() + "}\n",
                                "child.yaml");
    inherit_settings(source);
    return read_config<ExperimentConfig>(source);
  };
  const auto keys = [](ExperimentConfig config) {
    std::map<std::string, std::string> all;
    for (const auto& [key, value] : flatten_config([&](Fields& f) { config.fields(f); })) all[key] = value;
    return all;
  };
  const std::string b = "{text: {file: " + (folder / "b.txt").string() + "}}";
  const ExperimentConfig child = read("", b);
  CHECK(keys(child)["model.transformer.positions.rotary.theta"] == "500.0");
  CHECK(keys(child)["model.transformer.n_embd"] == "8");
  tiny::train(child, folder / "child");  // the tokens fit: b alone would have made one of them
  CHECK(load_model(folder / "child", Which::newest, Weights::raw, "cpu").spec.tokenizer ==
        load_model(folder / "parent", Which::newest, Weights::raw, "cpu").spec.tokenizer);
  auto own = keys(read("model: {transformer: {dropout: 0.3, positions: learned}}\n", b));
  CHECK(own["model.transformer.dropout"] == "0.3");
  CHECK(own["model.transformer.positions"] == "learned");
  CHECK(own["model.transformer.n_embd"] == "8");
  const ExperimentConfig bytes = read("", "{text: {file: " + (folder / "b.txt").string() + ", tokens: bytes}}");
  CHECK_THAT(tiny::message_of<UsageError>([&] { tiny::train(bytes, folder / "bytes"); }),
             Contains("its tokens are not those of text"));
  CHECK_FALSE(fs::exists(folder / "bytes"));
}

TEST_CASE("a folder of `transformers` is a parent too", "[trainers][finetuning]") {
  const TempDir folder;
  const std::string source = std::string(GENZOO_SOURCE_DIR) + "/tests/reference/huggingface/llama";
  write_file_whole(folder / "a.txt", "the cat sat on the mat, and the other cat sat on the other mat. " +
                                         std::string(3000, 'a') + std::string(3000, 'b'));
  ConfigSource config =
      ConfigSource::from_text("experiment: child\ndata: {text: {file: " + (folder / "a.txt").string() +
                                  "}}\ntrain: {steps: 2, batch_size: 2, init_from: " + source + "}\n",
                              "child.yaml");
  inherit_settings(config);
  tiny::train(read_config<ExperimentConfig>(config), folder / "child");
  const LoadedModel child = load_model(folder / "child", Which::newest, Weights::raw, "cpu");
  CHECK(parse_json(child.parent, "parent")["experiment"] == "llama");
  CHECK(child.spec.vocabulary == 274);
}

TEST_CASE("fine-tuning that cannot be is refused in one line", "[trainers][finetuning]") {
  const TempDir folder;
  const fs::path parent = tiny::make_parent(folder);
  const auto why = [&](const std::vector<std::string>& sets) {
    fs::remove_all(folder / "child");
    return tiny::message_of<UsageError>([&] { tiny::train(tiny::child_of(parent, sets), folder / "child"); });
  };
  CHECK_THAT(why({"train.freeze=heads*"}),
             Contains("train.freeze: the model has no parameter like \"heads*\"; there are such as"));
  CHECK_THAT(why({"train.freeze=\"*\""}), Contains("nothing is left to learn"));
  CHECK_THAT(why({"train.lora.layers=\"\""}), Contains("train.lora.layers is empty"));
  CHECK_THAT(why({"train.lora.layers=\"*conv*\""}),
             Contains("train.lora.layers: the model has no linear layer like \"*conv*\""));
  CHECK_THAT(why({"model.transformer.n_embd=16"}), Contains("its weights are another model's"));
  CHECK_THAT(why({"train.init_from=" + (folder / "nowhere").string()}), Contains("there is no such run folder"));
}

TEST_CASE("a config's keys are known before it is read", "[trainers][finetuning]") {
  ConfigSource source = ConfigSource::from_text("a: {b: {c: 1, d: word}}\n", "x.yaml");
  source.set("a.e.f=2");
  CHECK(gives_key(source, "a.b.c"));
  CHECK(gives_key(source, "a.e.f"));
  CHECK_FALSE(gives_key(source, "a.b.e"));
  CHECK_FALSE(gives_key(source, "a.b.c.d"));
  CHECK(keys_below(source, "a") == std::vector<std::string>{"b", "e"});
  CHECK(keys_below(source, "a.b.d") == std::vector<std::string>{"word"});
  CHECK(keys_below(source, "z").empty());
}

TEST_CASE("names are matched by patterns", "[trainers][finetuning]") {
  CHECK(matches("blocks.0.mlp_in", "*mlp*"));
  CHECK(matches("blocks.0.mlp_in", "head, blocks.*.mlp_in"));
  CHECK(matches("head", "head"));
  CHECK_FALSE(matches("head.weight", "head"));
  CHECK_FALSE(matches("blocks.0.mlp_in", "*attention*,mlp*"));
  CHECK_FALSE(matches("anything", ""));
}

}  // namespace
}  // namespace genzoo
