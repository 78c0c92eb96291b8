#include "models/registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <stdexcept>

#include "models/classifier/classifier.h"
#include "models/gan/gan.h"
#include "models/naive_bayes/naive_bayes.h"
#include "models/ngram/ngram.h"
#include "models/realnvp/realnvp.h"
#include "models/recurrent/recurrent.h"
#include "models/recurrent/seq2seq.h"
#include "models/transformer/bert.h"
#include "models/transformer/encoder_decoder.h"
#include "models/transformer/pixel_transformer.h"
#include "models/transformer/transformer.h"
#include "models/vae/vae.h"

namespace genzoo {
namespace {

template <class M>
AnyConfig defaults() {
  return typename M::Config{};
}

/// Of those that a type has, the ones that make sense of such data: a pair is no text to go on with, nor a text a pair,
/// and a text has no label.
Abilities abilities_for(const DataSpec& data, Abilities can) {
  if (data.kind == DataKind::pairs || data.kind == DataKind::documents) {
    can.token_log_prob = {};
    can.context = 0;
    can.generate = {};
    can.fill = {};
    can.next_token_logits = {};
    can.attention_maps = {};
    can.monitors = {};
  }
  if (data.kind != DataKind::pairs) {
    can.pair_logits = {};
    can.source_gradients = {};
    can.translate = {};
  }
  if (data.classes == 0) can.class_logits = can.features = {};
  return can;
}

template <class M>
AnyModel make(const AnyConfig& settings, const DataSpec& data, Rng& init) {
  auto model = std::make_shared<M>(settings.as<typename M::Config>(), data, init);
  return {M::Config::kName, model, abilities_for(data, abilities_of(model))};
}

/// A family's row, from what its class says of itself.
template <class M>
constexpr ModelEntry entry() {
  const HuggingFaceFormat* huggingface = nullptr;
  if constexpr (requires { M::kHuggingFace; }) huggingface = &M::kHuggingFace;
  return {M::Config::kName, M::kDoc, M::kPaper, defaults<M>, make<M>, huggingface};
}

constexpr std::array kModels{
    entry<VAEImpl>(),
    entry<GANImpl>(),
    entry<RealNVPImpl>(),
    entry<TransformerImpl>(),
    entry<BertImpl>(),
    entry<EncoderDecoderImpl>(),
    entry<PixelTransformerImpl>(),
    entry<RecurrentImpl>(),
    entry<RecurrentSeq2SeqImpl>(),
    entry<NgramImpl>(),
    entry<NaiveBayesImpl>(),
    entry<ClassifierImpl>(),
};

constexpr auto kChoices = [] {
  std::array<ChoiceRow, kModels.size()> rows{};
  std::ranges::transform(kModels, rows.begin(),
                         [](const ModelEntry& e) { return ChoiceRow{e.name, e.doc, e.defaults}; });
  return rows;
}();

}  // namespace

std::span<const ModelEntry> models() { return kModels; }

std::span<const ChoiceRow> model_choices() { return kChoices; }

const ModelEntry& model_entry(std::string_view name) {
  const auto found = std::ranges::find(kModels, name, &ModelEntry::name);
  if (found == kModels.end()) throw std::logic_error(fmt::format("models: no family '{}'", name));
  return *found;
}

AnyModel make_model(const Choice& choice, const DataSpec& data, uint64_t seed) {
  Rng init = Rng::for_batch(seed, Purpose::initialization, /*step=*/0);
  AnyModel model = model_entry(choice.name).make(choice.settings, data, init);
  model.twin = [=] { return make_model(choice, data, seed); };
  return model;
}

}  // namespace genzoo
