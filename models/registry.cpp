#include "models/registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <stdexcept>

#include "models/classifier/classifier.h"
#include "models/gan/gan.h"
#include "models/realnvp/realnvp.h"
#include "models/transformer/pixel_transformer.h"
#include "models/transformer/transformer.h"
#include "models/vae/vae.h"

namespace genzoo {
namespace {

template <class M>
AnyConfig defaults() {
  return typename M::Config{};
}

template <class M>
AnyModel make(const AnyConfig& settings, const DataSpec& data, Rng& init) {
  auto model = std::make_shared<M>(settings.as<typename M::Config>(), data, init);
  return {M::Config::kName, model, abilities_of(model)};
}

/// A family's row, from what its class says of itself.
template <class M>
constexpr ModelEntry entry() {
  return {M::Config::kName, M::kDoc, M::kPaper, defaults<M>, make<M>};
}

constexpr std::array kModels{
    entry<VAEImpl>(),
    entry<GANImpl>(),
    entry<RealNVPImpl>(),
    entry<TransformerImpl>(),
    entry<PixelTransformerImpl>(),
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

AnyModel make_model(const Choice& choice, const DataSpec& data, uint64_t seed) {
  const auto found = std::ranges::find(kModels, choice.name, &ModelEntry::name);
  if (found == kModels.end()) throw std::logic_error(fmt::format("models: no family '{}'", choice.name));
  Rng init = Rng::for_batch(seed, Purpose::initialization, /*step=*/0);
  AnyModel model = found->make(choice.settings, data, init);
  model.twin = [=] { return make_model(choice, data, seed); };
  return model;
}

}  // namespace genzoo
