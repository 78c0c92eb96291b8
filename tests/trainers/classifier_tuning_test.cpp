// Classifiers of texts that begin with the weights of language models.
#include <string>
#include <vector>

#include "core/error.h"
#include "tests/support.h"
#include "tests/trainers/tiny_parent.h"
#include "trainers/fine_tuning.h"
#include "trainers/learner.h"
#include "trainers/named_state.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

/// Documents of the tokens of a text.
DataSpec documents_of(const DataSpec& text) {
  DataSpec spec = text;
  spec.kind = DataKind::documents;
  spec.end_token = spec.vocabulary++;
  spec.shape = {6};
  spec.classes = 3;
  return spec;
}

TEST_CASE("a classifier begins with a language model's body and a head of its own", "[trainers][finetuning]") {
  const TempDir folder;
  const auto check = [&](const std::string& model, const std::vector<std::string>& left_out) {
    INFO(model);
    fs::remove_all(folder / "parent");
    ExperimentConfig config = tiny::experiment(model, tiny::kText, {"train.ema=none", "train.steps=2"});
    tiny::train(config, folder / "parent");
    const ParentWeights parent = read_parent((folder / "parent").string());
    const AnyModel drawn = make_learner(config, documents_of(parent.spec));
    const AnyModel child = make_learner(config, documents_of(parent.spec));
    load_parent(*child.module, parent);
    const NamedTensors own = module_state(*child.module), before = module_state(*drawn.module);
    for (const auto& [name, tensor] : own) {
      INFO(name);
      if (name.starts_with("class_head.")) {
        CHECK(tensor.equal(before.at(name)));
        continue;
      }
      const Tensor& parents = parent.state.at(name);
      CHECK(tensor.narrow(0, 0, parents.size(0)).equal(parents));
      if (tensor.size(0) > parents.size(0)) {  // the end, which the parent does not have
        CHECK(tensor.slice(0, parents.size(0)).equal(before.at(name).slice(0, parents.size(0))));
      }
    }
    for (const std::string& name : left_out) {
      CHECK(parent.state.contains(name));
      CHECK_FALSE(own.contains(name));
    }
    CHECK(own.contains("class_head.weight"));
  };
  check(tiny::kParentModel, {});
  check("{transformer: {n_layer: 1, n_head: 2, n_embd: 8, block_size: 8, tie_weights: false}}", {"head.weight"});
  check("{bert: {n_layer: 1, n_head: 2, n_embd: 8, block_size: 8}}", {"transform.weight", "output_bias"});
}

TEST_CASE("a classifier leaves out of its parent what tells tokens, and nothing else", "[trainers][finetuning]") {
  const TempDir folder;
  const ParentWeights parent = read_parent(tiny::make_parent(folder).string());
  const DataSpec spec = documents_of(parent.spec);
  for (const char* other : {"model.transformer.n_layer=1", "model.transformer.positions=rotary"}) {
    INFO(other);
    CHECK_THROWS_WITH(load_parent(*make_learner(tiny::child_of(folder / "parent", {other}), spec).module, parent),
                      Contains("is left over"));
  }
}

TEST_CASE("a class head learns beside low-rank updates, and another's is taken over whole", "[trainers][finetuning]") {
  const TempDir folder;
  const ParentWeights parent = read_parent(tiny::make_parent(folder).string());
  const DataSpec spec = documents_of(parent.spec);
  const ExperimentConfig config = tiny::child_of(folder / "parent", {"train.lora.rank=2", "train.lora.layers=\"*\""});
  const AnyModel child = make_learner(config, spec);
  int learning = 0;
  for (const auto& item : child.module->named_parameters()) {
    INFO(item.key());
    const bool head = item.key().starts_with("class_head."), update = item.key().find(".lora_") != std::string::npos;
    CHECK(item.value().requires_grad() == (head || update));
    learning += head;
  }
  CHECK(learning == 2);
  // A classifier as a parent: nothing is drawn, and another number of classes does not fit.
  const ParentWeights classifier{module_state(*make_learner(tiny::child_of(folder / "parent"), spec).module), spec, "x",
                                 ""};
  const AnyModel grandchild = make_learner(tiny::child_of(folder / "parent", {"seed=5"}), spec);
  load_parent(*grandchild.module, classifier);
  CHECK(module_state(*grandchild.module).at("class_head.weight").equal(classifier.state.at("class_head.weight")));
  DataSpec more = spec;
  more.classes = 4;
  CHECK_THROWS_WITH(load_parent(*make_learner(tiny::child_of(folder / "parent"), more).module, classifier),
                    Contains("class_head"));
}

}  // namespace
}  // namespace genzoo
