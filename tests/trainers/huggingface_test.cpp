// Weights from and for `transformers`. tests/reference/huggingface/ holds what it saved and computed:
// tests/reference/huggingface.py.

#include "models/transformer/huggingface.h"

#include "core/file.h"
#include "core/json.h"
#include "core/safetensors.h"
#include "data/chat.h"
#include "data/tokenizers/tokenizer.h"
#include "models/transformer/bert.h"
#include "models/transformer/transformer.h"
#include "tests/support.h"
#include "tests/trainers/tiny_experiment.h"
#include "trainers/huggingface_folder.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

const std::vector<std::string> kCases = {"gpt2",     "gpt2_sharded",    "llama", "llama3",
                                         "gpt_neox", "gpt_neox_serial", "mpt"};

fs::path reference(const std::string& name) {
  return fs::path(GENZOO_SOURCE_DIR) / "tests/reference/huggingface" / name;
}

/// A copy that may be changed.
fs::path copy_of(const std::string& name, const TempDir& folder) {
  fs::copy(reference(name), folder / "model");
  return folder / "model";
}

LoadedModel imported(const fs::path& folder, const TempDir& runs) {
  const RunFolder run(runs / "run");
  import_huggingface(folder, run, "genzoo import");
  return load_model(run.path(), Which::newest, Weights::raw, "cpu");
}

void change_config(const fs::path& folder, const std::function<void(Json&)>& change) {
  Json config = parse_json(read_file(folder / "config.json"), "config.json");
  change(config);
  write_file_whole(folder / "config.json", config.dump());
}

void change_weights(const fs::path& folder, const std::function<void(NamedTensors&)>& change) {
  NamedTensors tensors = read_safetensors(folder / "model.safetensors").tensors;
  change(tensors);
  write_safetensors(folder / "model.safetensors", tensors, {{"format", "pt"}});
}

std::string why_not(const fs::path& folder) {
  const TempDir runs;
  const std::string damage = tiny::message_of<RunError>([&] { imported(folder, runs); });
  CHECK_FALSE(fs::exists(runs / "run"));  // nothing is left of what was refused
  return damage;
}

TEST_CASE("imported models compute what `transformers` computes", "[trainers][huggingface]") {
  for (const std::string& name : kCases) {
    DYNAMIC_SECTION(name) {
      const TempDir runs;
      const LoadedModel loaded = imported(reference(name), runs);
      auto& model = *loaded.model.module->as<TransformerImpl>();
      const NamedTensors expected = read_safetensors(reference(name) / "expected.safetensors").tensors;
      const torch::NoGradGuard no_grad;
      const Tensor logits = model.forward(expected.at("input"));
      CHECK(logits.std().item<double>() > 0.5);
      CHECK_THAT(logits, IsClose(expected.at("logits"), 1e-4));
      Rng rng = Rng::for_rows(0, Purpose::sample, 0, 1);
      const Tensor prompt = expected.at("continued").narrow(1, 0, 5);
      for (const WeightType type : {WeightType::float32, WeightType::bfloat16}) {
        const Tensor text = model.generate(prompt, {.tokens = 16, .greedy = true, .weight_type = type}, rng);
        if (type == WeightType::float32 || name == "llama3") CHECK(text.equal(expected.at("continued")));
      }
    }
  }
}

TEST_CASE("an exported model is, tensor for tensor, the one that was imported", "[trainers][huggingface]") {
  for (const std::string& name : kCases) {
    DYNAMIC_SECTION(name) {
      const TempDir runs, out;
      const LoadedModel loaded = imported(reference(name), runs);
      export_huggingface(loaded, out / "exported");
      const HuggingFaceFolder before = read_huggingface_folder(reference(name));
      const HuggingFaceFolder after = read_huggingface_folder(out / "exported");
      CHECK(after.tokenizer == before.tokenizer);
      CHECK(after.end_token == before.end_token);
      REQUIRE(after.model.tensors.size() == before.model.tensors.size());
      for (const auto& [key, tensor] : before.model.tensors) {
        INFO(key);
        REQUIRE(after.model.tensors.contains(key));
        CHECK(after.model.tensors.at(key).equal(tensor.to(torch::kFloat)));
      }
      for (const auto& [key, value] : after.model.config.items()) {
        if (!before.model.config.contains(key) || key == "attn_config" || key == "learned_pos_emb" ||
            key.ends_with("dtype"))
          continue;
        if (key.ends_with("pdrop") || key == "bos_token_id" || before.model.config[key].is_null()) continue;
        INFO(key);
        CHECK(SortedJson::parse(value.dump()) == SortedJson::parse(before.model.config[key].dump()));
      }
      const TempDir again;
      CHECK(loaded.config.model.settings.as<TransformerConfig>().n_inner ==
            imported(out / "exported", again).config.model.settings.as<TransformerConfig>().n_inner);
    }
  }
}

TEST_CASE("a chat template comes with a folder, and goes with an export", "[trainers][huggingface][chat]") {
  const TempDir folder, out;
  const fs::path source = folder / "llama";
  fs::copy(reference("llama"), source);
  const std::string chatml = "{{'<|im_start|>' + message['role']}}", own = chat_template("zephyr").to_jinja();
  const auto chat_with = [&](const Json& given) {
    write_file_whole(source / "tokenizer_config.json", Json{{"chat_template", given}}.dump());
    return load_huggingface(source).spec.chat;
  };
  CHECK(ChatTemplate::from_json(chat_with(chatml)) == chat_template("chatml"));
  CHECK(ChatTemplate::from_json(chat_with(own)) == chat_template("zephyr"));
  CHECK(ChatTemplate::from_json(chat_with({{{"name", "tool"}, {"template", "x"}},
                                           {{"name", "default"}, {"template", chatml}}})) == chat_template("chatml"));
  for (const Json& unknown : {Json("{{ messages }}"), Json(3), Json::array({{{"name", 3}, {"template", chatml}}}),
                              Json::array({{{"name", "default"}, {"template", 3}}})}) {
    CHECK(chat_with(unknown).empty());
  }
  write_file_whole(source / "chat_template.jinja", own);  // a file of its own goes first
  CHECK(ChatTemplate::from_json(chat_with(chatml)) == chat_template("zephyr"));
  export_huggingface(load_huggingface(source), out / "exported");
  CHECK(parse_json(read_file(out / "exported" / "tokenizer_config.json"), "exported")["chat_template"] == own);
  write_file_whole(source / "tokenizer_config.json", "{");
  fs::remove(source / "chat_template.jinja");
  CHECK_THROWS_AS(load_huggingface(source), RunError);
}

TEST_CASE("a model of classes is not written as one of text", "[trainers][huggingface]") {
  const TempDir folder, out;
  write_file_whole(folder / "a.tsv", "x\tab\ny\tba\nx\taab\ny\tbba\nx\tabb\ny\tbaa\n");
  tiny::train(tiny::experiment("{transformer: {n_layer: 1, n_head: 2, n_embd: 8, block_size: 8}}",
                               "{documents: {file: " + (folder / "a.tsv").string() + ", validation: 0.2, test: 0}}",
                               {"train.steps=1"}),
              folder / "run");
  CHECK_THROWS_WITH(
      export_huggingface(load_model(folder / "run", Which::newest, Weights::raw, "cpu"), out / "exported"),
      Contains("tells classes of texts apart"));
  CHECK_FALSE(fs::exists(out / "exported"));
}

TEST_CASE("an imported BERT computes what `transformers` computes, and goes back", "[trainers][huggingface]") {
  const TempDir runs, out;
  const LoadedModel loaded = imported(reference("bert"), runs);
  auto& model = *loaded.model.module->as<BertImpl>();
  const NamedTensors expected = read_safetensors(reference("bert") / "expected.safetensors").tensors;
  const torch::NoGradGuard no_grad;
  CHECK_THAT(model.forward(expected.at("input")), IsClose(expected.at("logits"), 1e-4));
  CHECK(model.mask_token() == 273);  // its tokenizer's
  export_huggingface(loaded, out / "bert");
  {
    Tensor bias = model.named_parameters()["output_bias"];
    const Tensor before = bias.clone();
    bias[273].fill_(1e3);  // a mask is not filled in by a mask, however likely
    Rng rng = Rng::for_batch(0, Purpose::sample, 0);
    CHECK(model.fill(torch::tensor({{5, 273, 273, 7}}), {.greedy = true}, rng).ne(273).all().item<bool>());
    bias.copy_(before);
  }
  const NamedTensors before = read_safetensors(reference("bert") / "model.safetensors").tensors;
  const NamedTensors after = read_safetensors(out / "bert" / "model.safetensors").tensors;
  CHECK(after.size() == before.size());
  for (const auto& [name, tensor] : before) {
    INFO(name);
    REQUIRE(after.contains(name));
    CHECK(after.at(name).equal(tensor));
  }
}

TEST_CASE("channels that turn go there and come back, whatever their share", "[trainers][huggingface]") {
  for (const double share : {0.25, 0.5, 0.75, 1.0}) {
    CAPTURE(share);
    TransformerConfig config{.n_layer = 1, .n_head = 2, .n_embd = 16, .block_size = 8};
    config.positions = RotaryPositions{.share = share};
    config.mlp = MLPKind::gelu;
    config.tie_weights = false;
    DataSpec spec;
    spec.kind = DataKind::tokens;
    spec.vocabulary = 5;
    Rng init = Rng::for_batch(1, Purpose::initialization, 0);
    Transformer model(config, spec, init);
    const NamedTensors own = module_state(*model);
    const NamedTensors theirs = their_tensors(Architecture::gpt_neox, config, own);
    const NamedTensors back = our_tensors(Architecture::gpt_neox, config, own, theirs);
    for (const auto& [name, tensor] : own) CHECK(back.at(name).equal(tensor));
    // Of the first head's queries theirs turn the first R rows, in pairs (i, i + R / 2).
    const int64_t R = static_cast<int64_t>(8 * share);
    const Tensor theirs_qkv = theirs.at("gpt_neox.layers.0.attention.query_key_value.weight");
    CHECK(theirs_qkv[R / 2].equal(own.at("blocks.0.attention.qkv.weight")[4]));
  }
}

TEST_CASE("numbers that `transformers` checks to be integers are written as such", "[trainers][huggingface]") {
  TransformerConfig config;
  config.positions = AlibiPositions{};
  config.bias = false;
  config.mlp = MLPKind::gelu;
  config.dropout = 0.1;
  REQUIRE(misfit(Architecture::mpt, config).empty());
  const Json attention = architecture_config(Architecture::mpt, config, 100)["attn_config"];
  CHECK(attention["alibi_bias_max"].is_number_integer());
  for (const auto& [key, value] : attention.items()) CHECK_FALSE(value.is_number_float());
}

TEST_CASE("old keys of config.json mean what the new ones do", "[trainers][huggingface]") {
  const auto settings = [](const std::string& name, const std::function<void(Json&)>& change) {
    Json config = parse_json(read_file(reference(name) / "config.json"), "config.json");
    change(config);
    const std::string type = config["model_type"];
    const auto* found = std::find(std::begin(kArchitectureNames), std::end(kArchitectureNames), type);
    return write_config(transformer_settings(static_cast<Architecture>(found - kArchitectureNames), config));
  };
  const auto nothing = [](Json&) {};
  CHECK(settings("llama", nothing) == settings("llama", [](Json& c) {
          c.erase("rope_parameters");
          c["rope_theta"] = 10000.0;
          c["rope_scaling"] = nullptr;
          c["torch_dtype"] = c["dtype"];
          c.erase("dtype");
        }));
  CHECK(settings("llama3", nothing) == settings("llama3", [](Json& c) {
          Json scaling = c["rope_parameters"];
          c["rope_theta"] = scaling["rope_theta"];
          scaling.erase("rope_theta");
          c["rope_scaling"] = scaling;
          c.erase("rope_parameters");
        }));
  CHECK(settings("gpt_neox", nothing) == settings("gpt_neox", [](Json& c) {
          c.erase("rope_parameters");
          c["rotary_emb_base"] = 1000;
          c["rotary_pct"] = 0.5;
        }));
  CHECK(settings("gpt_neox_serial", nothing) == settings("gpt_neox_serial", [](Json& c) {
          c.erase("rope_parameters");
          c.update({{"rotary_emb_base", 1000},
                    {"rotary_pct", 1.0},
                    {"rope_scaling", {{"type", "linear"}, {"factor", 2.0}}}});
        }));
  CHECK(settings("llama", nothing) != settings("llama", [](Json& c) { c["rope_parameters"]["rope_theta"] = 500; }));
}

TEST_CASE("GPT-2 as OpenAI wrote it, without a prefix and with masks, is read", "[trainers][huggingface]") {
  const TempDir folder, runs, plain;
  const fs::path model = copy_of("gpt2", folder);
  change_weights(model, [](NamedTensors& tensors) {
    NamedTensors bare;
    for (const auto& [name, tensor] : tensors) bare[name.substr(std::string("transformer.").size())] = tensor;
    bare["h.0.attn.bias"] = torch::ones({1, 1, 32, 32});
    bare["h.1.attn.masked_bias"] = torch::full({}, -1e4);
    bare["lm_head.weight"] = bare.at("wte.weight");
    tensors = bare;
  });
  CHECK(state_digest(module_state(*imported(model, runs).model.module)) ==
        state_digest(module_state(*imported(reference("gpt2"), plain).model.module)));
}

TEST_CASE("foreign or broken weight folders are refused in one line", "[trainers][huggingface]") {
  const TempDir folder;
  const TempDir runs;
  const auto usage = [&](const fs::path& path) { return tiny::message_of<UsageError>([&] { imported(path, runs); }); };
  CHECK_THAT(usage(folder / "nowhere"), Contains("there is no such folder"));
  CHECK_THAT(usage(folder.path()), Contains("no config.json in it"));
  const fs::path model = copy_of("llama", folder);
  SECTION("pickled weights") {
    fs::rename(model / "model.safetensors", model / "pytorch_model.bin");
    CHECK_THAT(usage(model), Contains("pytorch_model.bin is not read, since such files can run programs"));
  }
  SECTION("no tokenizer") {
    fs::remove(model / "tokenizer.json");
    CHECK_THAT(usage(model), Contains("no tokenizer.json"));
  }
  SECTION("a model the zoo has not") {
    change_config(model, [](Json& c) { c["model_type"] = "mamba"; });
    CHECK_THAT(why_not(model), Contains("\"model_type\" is \"mamba\"; known are gpt2, llama, gpt_neox, mpt, bert"));
  }
  SECTION("settings the zoo has not") {
    change_config(model, [](Json& c) { c["hidden_act"] = "relu"; });
    CHECK_THAT(why_not(model), Contains("\"hidden_act\" is \"relu\""));
    change_config(model, [](Json& c) { c.update({{"hidden_act", "silu"}, {"head_dim", 8}}); });
    CHECK_THAT(why_not(model), Contains("\"head_dim\" is 8; this program has such models with 4 only"));
    change_config(model, [](Json& c) { c.update({{"head_dim", 4}, {"rope_parameters", {{"rope_type", "yarn"}}}}); });
    CHECK_THAT(why_not(model), Contains("rotary positions scaled by \"yarn\""));
  }
  SECTION("numbers that cannot be") {
    change_config(model, [](Json& c) { c["num_hidden_layers"] = -2; });
    CHECK_THAT(why_not(model), Contains("\"num_hidden_layers\" is -2, wanted a positive integer"));
    change_config(model, [](Json& c) { c.update({{"num_hidden_layers", 2}, {"num_attention_heads", 5}}); });
    CHECK_THAT(why_not(model), Contains("head_dim"));
  }
  SECTION("weights that are missing, left over, or of another shape") {
    change_weights(model, [](NamedTensors& t) { t["model.layers.7.mlp.up_proj.weight"] = torch::zeros({1}); });
    CHECK_THAT(why_not(model), Contains("config.json does not speak of the weights model.layers.7.mlp.up_proj.weight"));
    change_weights(model, [](NamedTensors& t) {
      t.erase("model.layers.7.mlp.up_proj.weight");
      t["model.layers.1.mlp.up_proj.weight"] = torch::zeros({24, 15});
    });
    CHECK_THAT(why_not(model), Contains("model.layers.1.mlp.up_proj.weight is Float (24, 15), config.json wants"));
    change_weights(model, [](NamedTensors& t) { t.erase("model.layers.1.mlp.up_proj.weight"); });
    CHECK_THAT(why_not(model), Contains("the weights have no model.layers.1.mlp.up_proj.weight"));
  }
  SECTION("more tokens than the model has rows for") {
    change_config(model, [](Json& c) { c["vocab_size"] = 200; });
    const TempDir other;
    CHECK_THAT(tiny::message_of<RunError>([&] { imported(model, other); }), Contains("vocab_size 200"));
  }
  SECTION("a model too large for its weights") {
    change_config(model, [](Json& c) { c["num_hidden_layers"] = 1000000000; });
    CHECK_THAT(why_not(model), Contains("n_layer 1000000000 with n_embd 16, but the weights are 12880 numbers in all"));
  }
  SECTION("half a file") {
    fs::resize_file(model / "model.safetensors", fs::file_size(model / "model.safetensors") / 2);
    CHECK_THAT(why_not(model), Contains("model.safetensors"));
  }
  SECTION("no JSON") {
    write_file_whole(model / "config.json", "{");
    CHECK_THAT(why_not(model), Contains("config.json"));
  }
}

TEST_CASE("an index of shards is believed only as far as its files go", "[trainers][huggingface]") {
  const TempDir folder;
  const fs::path model = copy_of("gpt2_sharded", folder), index = model / "model.safetensors.index.json";
  Json json = parse_json(read_file(index), "index");
  const auto with = [&](const std::string& name, const Json& file) {
    Json changed = json;
    changed["weight_map"][name] = file;
    write_file_whole(index, changed.dump());
    return why_not(model);
  };
  CHECK_THAT(with("transformer.wte.weight", "../model.safetensors"),
             Contains("wanted the name of one beside the index"));
  CHECK_THAT(with("transformer.wte.weight", 3), Contains("is 3, wanted a name"));
  CHECK_THAT(with("transformer.new.weight", "model-00001-of-00003.safetensors"),
             Contains("no transformer.new.weight in it"));
  CHECK_THAT(with("transformer.wte.weight", "model-00003-of-00003.safetensors"),
             Contains("transformer.wte.weight is in it, but"));
  json.erase("weight_map");
  write_file_whole(index, json.dump());
  CHECK_THAT(why_not(model), Contains("no object \"weight_map\""));
  fs::remove(model / "model-00002-of-00003.safetensors");
  write_file_whole(index, read_file(reference("gpt2_sharded") / "model.safetensors.index.json"));
  const TempDir runs;
  CHECK_THAT(tiny::message_of<UsageError>([&] { imported(model, runs); }),
             Contains("model-00002-of-00003.safetensors"));
}

TEST_CASE("what was trained here goes to `transformers` when it has such a model", "[trainers][huggingface]") {
  const TempDir folder;
  const auto trained = [&](const std::string& model) {
    fs::remove_all(folder / "run");
    tiny::train(tiny::experiment("{transformer: {n_layer: 1, n_head: 2, n_embd: 8, block_size: 8, " + model + "}}",
                                 tiny::kText, {"train.ema=none"}),
                folder / "run");
    return load_model(folder / "run", Which::newest, Weights::raw, "cpu");
  };
  const LoadedModel gpt2 = trained("bias: false");
  export_huggingface(gpt2, folder / "gpt2");
  const HuggingFaceFolder there = read_huggingface_folder(folder / "gpt2");
  CHECK(there.model.config["model_type"] == "gpt2");
  CHECK(there.model.tensors.at("transformer.h.0.attn.c_attn.bias").eq(0).all().item<bool>());
  CHECK(tokenizer_from_json(there.tokenizer)->vocabulary() == gpt2.spec.vocabulary);
  const TempDir runs;
  const LoadedModel back = imported(folder / "gpt2", runs);
  const Tensor x = torch::arange(8).remainder(gpt2.spec.vocabulary).unsqueeze(0);
  const auto logits = [&](const LoadedModel& model) { return model.model.module->as<TransformerImpl>()->forward(x); };
  CHECK_THAT(logits(back).detach(), IsClose(logits(gpt2).detach(), 1e-6));

  const LoadedModel none = trained("positions: sinusoidal");
  const std::string why = tiny::message_of<UsageError>([&] { export_huggingface(none, folder / "none"); });
  CHECK_THAT(
      why,
      Contains("this transformer is none that `transformers` has; for gpt2 positions is sinusoidal, wanted learned"));
  CHECK_FALSE(fs::exists(folder / "none"));
  CHECK_THAT(tiny::message_of<UsageError>([&] { export_huggingface(gpt2, folder / "gpt2"); }),
             Contains("wanted a folder that is empty or not there"));
}

TEST_CASE("a run is not overwritten by an import, and does without data", "[trainers][huggingface]") {
  const TempDir runs;
  imported(reference("mpt"), runs);
  CHECK_THAT(tiny::message_of<UsageError>([&] { imported(reference("mpt"), runs); }), Contains("holds a run already"));
  const RunSummary summary = summarize_run(runs / "run");
  CHECK(summary.experiment == "mpt");
  CHECK(summary.status == "imported");
}

}  // namespace
}  // namespace genzoo
