// On a GPU the host runs ahead and the device catches up, as long as nobody asks it for a number. No loss may: counted
// on the CPU, in double precision, where all models take the operators that they take on a GPU.
#include <ATen/record_function.h>

#include <set>
#include <string>

#include "models/registry.h"
#include "tests/models/kinds_of_data.h"
#include "tests/models/small_settings.h"
#include "tests/support.h"

namespace genzoo {
namespace {

/// Notes the operators of this thread, while it lives, for which a host waits: those that hand it values, and those
/// whose result has a size that depends on values.
class WaitWatch final {
 public:
  WaitWatch() {
    waits().clear();
    handle_ = at::addThreadLocalCallback(at::RecordFunctionCallback(begin).scopes({at::RecordScope::FUNCTION}));
  }
  ~WaitWatch() { at::removeCallback(handle_); }
  WaitWatch(const WaitWatch&) = delete;
  WaitWatch& operator=(const WaitWatch&) = delete;

  static std::set<std::string>& waits() {
    static std::set<std::string> names;
    return names;
  }

 private:
  static std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& f) {
    static const std::set<std::string> waiting{"aten::_local_scalar_dense", "aten::is_nonzero", "aten::nonzero",
                                               "aten::masked_select",       "aten::equal",      "aten::_unique2",
                                               "aten::repeat_interleave"};
    const std::string name = f.name();
    if (waiting.contains(name)) waits().insert(name);
    return nullptr;
  }
  at::CallbackHandle handle_;
};

/// Vectors in the type of the model's parameters.
Batch double_batch_for(const DataSpec& data, const AnyModel& model) {
  Batch batch = batch_for(data, model, /*index=*/0, /*rows=*/4);
  if (data.kind == DataKind::vectors) batch.x = batch.x.to(torch::kDouble);
  return batch;
}

void learn(AnyModel& model, const Batch& batch) {
  Rng rng = Rng::for_batch(0, Purpose::loss, 0);
  if (model.can.loss) {
    model.can.loss(batch, rng, 0).total.backward();
    return;
  }
  const AdversarialGame& game = *model.can.game;
  const Tensor fake = game.generate_fake(batch.size(), rng);
  game.discriminator_loss(batch, fake, rng).total.backward();
  game.generator_loss(fake, rng).total.backward();
}

/// Whether a layer has a flag that says if it took its first statistics: on the CPU the layer looks at it, on a device
/// it goes without.
bool looks_at_flags(const AnyModel& model) {
  for (const auto& item : model.module->named_buffers()) {
    if (item.key().ends_with("initialized")) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("no loss waits for a device", "[models][waits]") {
  for (const ModelEntry& entry : models()) {
    DYNAMIC_SECTION(entry.name) {
      int looked_at = 0;
      bool counts = false;
      for (const auto& [choice, description] : variants_of(entry)) {
        for (const DataSpec& data : kinds_of_data()) {
          auto model = model_if_fit(choice, data);
          if (!model || looks_at_flags(*model)) continue;
          counts |= static_cast<bool>(model->can.fit);
          if (counts) continue;  // it has no loss
          model->module->to(torch::kDouble);
          const Batch batch = double_batch_for(data, *model);
          const WaitWatch watch;
          learn(*model, batch);
          INFO(description << " of " << data.dataset);
          CHECK(WaitWatch::waits() == std::set<std::string>{});
          ++looked_at;
        }
      }
      CHECK((looked_at > 0 || counts));
    }
  }
}

}  // namespace genzoo
