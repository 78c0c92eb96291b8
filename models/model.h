#pragma once
// What a model can do, as the compiler sees it and as the tools ask for it.
//
// A model is a plain torch::nn::Module. It has an ability by having the member function and lacks it by not having
// it: no base class makes promises for it and nothing throws "not implemented". The concepts below name the
// abilities; abilities_of() erases them once, into a record of possibly empty functions computed from the type.
//
// All abilities carry data as stored: uint8 pixels, float32 vectors, int64 tokens. The model maps them itself and
// counts its map's log-determinant. All draws come from the Rng handed in. Probabilities are per example: (B), nats,
// summed over the event.

#include <torch/utils.h>

#include <concepts>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/random.h"
#include "data/dataset.h"

namespace torch::nn {
class Module;  // its own header costs every file that includes it a second to compile
}

namespace genzoo {

/// Named numbers for the log: scalar tensors, detached; nobody calls .item() until a line is printed.
using Terms = std::map<std::string, Tensor>;

/// A scalar to minimize and the terms it is made of.
struct Loss {
  Tensor total;  ///< ()  mean over the batch, nats per example (of text: per token); of two players: of their game
  Terms terms;   ///< ()  each, detached
};

/// The step of a loss evaluated outside training: annealed weights have their final values.
inline constexpr int64_t kAfterTraining = std::numeric_limits<int64_t>::max();

/// What log_prob means for a model's own data. `estimate`: several draws of a bound; claimed by no model itself.
enum class LikelihoodKind { exact, lower_bound, estimate };

/// Whether a model has a likelihood of its data, and of which kind.
struct LikelihoodClaim {
  std::optional<LikelihoodKind> kind;
  std::string detail;   ///< how it is computed; when there is no kind: why there is none, a sentence
  bool is_loss = true;  ///< the loss in evaluation mode is minus this, in nats: losses of such models compare
};

/// How samples are drawn.
struct SampleOptions {
  double temperature = 1.0;  ///< scales the base noise of a flow; divides the logits of a model of pixels
  bool mean = false;         ///< the mean of p(x|z) instead of a draw from it
};

/// The type in which the weights of linear layers are read while text is generated, one token at a time, which takes as
/// long as reading them. Rounded copies; what is computed with them stays float32.
enum class WeightType {
  float32,   ///< the model's own weights, whatever their type
  bfloat16,  ///< rounded to the nearest
  int8,      ///< whole numbers times a scale of each output: weight-only quantization
};
inline constexpr const char* kWeightTypeNames[] = {"float32", "bfloat16", "int8"};

/// What became of a draft model's proposals.
struct SpeculationCounts {
  int64_t proposed = 0, accepted = 0;  ///< tokens
  int64_t passes = 0;                  ///< of the model that the draft was for: one a token without a draft
};

/// A smaller model that proposes tokens, which the larger one accepts or replaces so that the text has the larger one's
/// distribution: speculative sampling. Leviathan et al. (2023); Chen et al. (2023).
struct Draft {
  std::shared_ptr<torch::nn::Module> model = nullptr;  ///< none: no draft
  int64_t tokens = 4;                                  ///< proposed at a time
  SpeculationCounts* counts = nullptr;                 ///< added to, unless nullptr
};

/// How text is continued.
struct GenerateOptions {
  int64_t tokens = 256;
  double temperature = 1.0;
  int64_t top_k = 0;    ///< draw from the k likeliest only; 0: all
  double top_p = 1.0;   ///< draw from the smallest set of probability >= p. Holtzman et al. (2020)
  bool greedy = false;  ///< the likeliest token, always
  /// Logits of tokens that stand in the text already are divided by it if positive, else multiplied. Keskar et al.
  /// (2019), section 4.1, https://arxiv.org/abs/1909.05858. 1: off
  double repetition_penalty = 1.0;
  /// Of a prompt (B, P): that of row i is the last prompt_lengths[i] of its tokens. Empty: all P.
  std::vector<int64_t> prompt_lengths = {};
  /// Told of each token as it comes; whether the row goes on after it. A row that does not repeats its last token; when
  /// none does, the text ends. Empty: all go on.
  std::function<bool(int64_t row, int64_t token)> goes_on = {};
  bool cache = true;  ///< keep keys and values of earlier tokens; false computes the same without
  WeightType weight_type = WeightType::float32;  ///< of the model and its draft
  Draft draft = {};
};

/// How a source text is made into a target text.
struct TranslateOptions {
  int64_t tokens = 0;           ///< of the target at most, its end included; 0: as many as the longest of the data
  int64_t beams = 1;            ///< hypotheses kept at each token, the likeliest; 1: greedy, unless drawn
  double length_penalty = 1.0;  ///< a hypothesis is ranked by log p / length^penalty. Wu et al. (2016), section 7
  bool draw = false;            ///< from p(target | source), instead of looking for its mode
  /// Told of each token of the target as it comes, its end not. Of one source, drawn or greedy; else nothing is told.
  std::function<void(int64_t token)> told = {};
};

/// A sign of health or sickness of a trained model: a number that its family has learned to look at.
struct Monitor {
  std::string name;          ///< "active_units"; one of its kind in a model
  double value = 0.0;        ///< may be infinite or NaN: a sickness too
  std::string unit = {};     ///< "units", "nats", "share"; empty: a pure number
  std::string warning = {};  ///< when the value tells of a sickness: which, and what to try; else empty
  int64_t n = 0;             ///< examples, samples or tokens it was computed from
  std::string detail = {};   ///< how it was computed
};

// clang-format off
template <class M> concept HasLoss = requires(M& m, const Batch& b, Rng& rng, int64_t step) {
  { m.loss(b, rng, step) } -> std::same_as<Loss>; };

/// The loss changes with the step, up to one from which it stays as it is.
template <class M> concept HasChangingLoss = requires(M& m) { { m.loss_settles_at() } -> std::same_as<int64_t>; };

/// Two players, each with a loss of its own; there is no single number to minimize.
template <class M> concept HasAdversarialLoss = requires(M& m, const Batch& b, const Tensor& fake, int64_t n, Rng& rng) {
  { m.generate_fake(n, rng) } -> std::same_as<Tensor>;               // (n, ...) as the discriminator sees them
  { m.discriminator_loss(b, fake, rng) } -> std::same_as<Loss>;
  { m.generator_loss(fake, rng) } -> std::same_as<Loss>;
  { m.n_critic() } -> std::same_as<int64_t>;                          // discriminator updates per generator update
  m.generator->parameters();
  m.discriminator->parameters(); };

template <class M> concept HasSample = requires(M& m, int64_t n, Rng& rng, const SampleOptions& o) {
  { m.sample(n, rng, o) } -> std::same_as<Tensor>; };                 // as stored: uint8 images, float32 vectors

/// log p(x), or a bound or k-draw estimate of it, whichever likelihood() claims.
template <class M> concept HasLogProb = requires(M& m, const Tensor& x, int64_t k, Rng& rng) {
  { m.log_prob(x, k, rng) } -> std::same_as<Tensor>;                  // (B), nats
  { m.likelihood() } -> std::same_as<LikelihoodClaim>; };

/// log p(y_t | x_<=t) of every token.
template <class M> concept HasTokenLogProb = requires(M& m, const Tensor& x, const Tensor& y) {
  { m.token_log_prob(x, y) } -> std::same_as<Tensor>;                 // (B, T), nats
  { m.context() } -> std::same_as<int64_t>; };

/// The distribution of every next token: x (1, T) -> logits (T, V), of the token after each. And the vectors that stand
/// for tokens: (V, C).
template <class M> concept HasNextTokenLogits = requires(M& m, const Tensor& x) {
  { m.next_token_logits(x) } -> std::same_as<Tensor>;
  { m.token_vectors() } -> std::same_as<Tensor>; };

/// What it attends to: x (1, T) -> weights (layers, heads, T, T), of query t in row t. And its text with a head switched
/// off: log p(y_t | x_<=t) (B, T), as in HasTokenLogProb.
template <class M> concept HasAttentionMaps = requires(M& m, const Tensor& x, const Tensor& y, int64_t layer, int64_t head) {
  { m.attention_maps(x) } -> std::same_as<Tensor>;
  { m.token_log_prob_without(x, y, layer, head) } -> std::same_as<Tensor>; };

template <class M> concept HasGenerate = requires(M& m, const Tensor& prompt, const GenerateOptions& o, Rng& rng) {
  { m.generate(prompt, o, rng) } -> std::same_as<Tensor>; };          // prompt (B, P) -> (B, P + tokens)

/// Fills in what is masked: x (B, T) int64, mask_token() where a token is wanted -> (B, T), the likeliest there, or drawn.
template <class M> concept HasFill = requires(M& m, const Tensor& x, const GenerateOptions& o, Rng& rng) {
  { m.fill(x, o, rng) } -> std::same_as<Tensor>;
  { m.mask_token() } -> std::same_as<int64_t>; };

/// p(target | source), token by token; both as in Batch.
template <class M> concept HasPairLogits = requires(M& m, const Tensor& x, const Tensor& y) {
  { m.pair_logits(x, y) } -> std::same_as<Tensor>; };                 // (B, S), (B, T) -> (B, T, V): of y_t given x, y_<t

/// How much each token of the sources has to say in the whole target: the Euclidean norm of the gradient of
/// log p(target | source) with respect to the vector that enters for it, (B, S), 0 behind the source's end. The model in
/// evaluation mode.
template <class M> concept HasSourceGradients = requires(M& m, const Tensor& x, const Tensor& y) {
  { m.source_gradients(x, y) } -> std::same_as<Tensor>; };

template <class M> concept HasTranslate = requires(M& m, const Tensor& x, const TranslateOptions& o, Rng& rng) {
  { m.translate(x, o, rng) } -> std::same_as<Tensor>; };              // (B, S) -> (B, T), each ended and filled up

/// Learns by counting, in one pass over all training examples; there is no loss to descend. The sizes of its buffers
/// come from what it has counted.
template <class M> concept HasFit = requires(M& m, const Examples& e, const std::map<std::string, Tensor>& state) {
  { m.fit(e) } -> std::same_as<Terms>;                                // -> numbers for the log, "loss" among them
  m.make_room(state); };                                              // buffers of these sizes, before they are loaded

template <class M> concept HasEncode = requires(M& m, const Tensor& x) { { m.encode_latent(x) } -> std::same_as<Tensor>; };
template <class M> concept HasDecode = requires(M& m, const Tensor& z) {
  { m.decode_latent(z) } -> std::same_as<Tensor>;                     // (B, *latent_shape) -> x as stored
  { m.latent_shape() } -> std::same_as<std::vector<int64_t>>; };
template <class M> concept HasReconstruct = requires(M& m, const Tensor& x) { { m.reconstruct(x) } -> std::same_as<Tensor>; };

/// p(label | x), up to a number for each x.
template <class M> concept HasClassify = requires(M& m, const Tensor& x) {
  { m.class_logits(x) } -> std::same_as<Tensor>; };                   // (B, classes)

/// The vectors in which it tells classes apart.
template <class M> concept HasFeatures = requires(M& m, const Tensor& x) {
  { m.features(x) } -> std::same_as<Tensor>; };                       // (B, F)

/// What is to be watched while it trains and after, on a batch of data that it was not trained on. Evaluates: changes
/// nothing of the model, in train mode or eval mode.
template <class M> concept HasMonitors = requires(M& m, const Batch& b, Rng& rng) {
  { m.monitors(b, rng) } -> std::same_as<std::vector<Monitor>>; };
// clang-format on

/// The two players of an adversarial model, their types forgotten.
struct AdversarialGame {
  std::function<Tensor(int64_t n, Rng&)> generate_fake;
  std::function<Loss(const Batch&, const Tensor& fake, Rng&)> discriminator_loss;
  std::function<Loss(const Tensor& fake, Rng&)> generator_loss;
  int64_t n_critic = 1;
  std::shared_ptr<torch::nn::Module> generator, discriminator;
};

/// The abilities at run time, for trainers and tools. An empty function is an ability the model lacks.
struct Abilities {
  std::function<Loss(const Batch&, Rng&, int64_t step)> loss;
  int64_t loss_settles_at = 0;  ///< the step from which the loss does not depend on its number any more
  std::optional<AdversarialGame> game;
  std::function<Tensor(int64_t n, Rng&, const SampleOptions&)> sample;
  bool samples_have_mean = false;                                    ///< SampleOptions::mean means something
  bool samples_have_temperature = false;                             ///< SampleOptions::temperature means something
  std::function<Tensor(const Tensor& x, int64_t k, Rng&)> log_prob;  ///< (B), nats
  LikelihoodClaim likelihood;  ///< without a kind: log_prob is empty and detail says why
  std::function<Tensor(const Tensor& x, const Tensor& y)> token_log_prob;  ///< (B, T), nats
  int64_t context = 0;                                       ///< tokens a language model sees; 0: not a language model
  std::function<Tensor(const Tensor& x)> next_token_logits;  ///< (T, V)
  std::function<Tensor()> token_vectors;                     ///< (V, C); there when next_token_logits is
  std::function<Tensor(const Tensor& x)> attention_maps;     ///< (layers, heads, T, T)
  /// (B, T), nats; there when attention_maps is
  std::function<Tensor(const Tensor& x, const Tensor& y, int64_t layer, int64_t head)> token_log_prob_without;
  std::function<Tensor(const Tensor& prompt, const GenerateOptions&, Rng&)> generate;
  std::function<Tensor(const Tensor& x, const GenerateOptions&, Rng&)> fill;  ///< (B, T)
  int64_t mask_token = -1;                                                    ///< there when fill is
  std::function<Tensor(const Tensor& x, const Tensor& y)> pair_logits;        ///< (B, T, V)
  std::function<Tensor(const Tensor& x, const Tensor& y)> source_gradients;   ///< (B, S)
  std::function<Tensor(const Tensor& x, const TranslateOptions&, Rng&)> translate;
  std::function<Terms(const Examples& training)> fit;
  std::function<void(const std::map<std::string, Tensor>& state)> make_room;  ///< there when fit is
  std::function<Tensor(const Tensor& x)> encode;
  std::function<Tensor(const Tensor& z)> decode;
  std::vector<int64_t> latent_shape;
  std::function<Tensor(const Tensor& x)> reconstruct;
  std::function<Tensor(const Tensor& x)> class_logits;               ///< (B, classes)
  std::function<Tensor(const Tensor& x)> features;                   ///< (B, F)
  std::function<std::vector<Monitor>(const Batch&, Rng&)> monitors;  ///< signs of health

  std::vector<std::string> names() const;  ///< of what it can do: "sample", "log_prob (lower_bound)", ...
};

/// How it learns.
template <class M>
void add_learning(const std::shared_ptr<M>& m, Abilities& a) {
  static_assert(HasLoss<M> + HasAdversarialLoss<M> + HasFit<M> == 1,
                "a model has either loss(), or a loss for each of two players, or fit()");
  if constexpr (HasLoss<M>) a.loss = [m](const Batch& b, Rng& rng, int64_t step) { return m->loss(b, rng, step); };
  if constexpr (HasChangingLoss<M>) a.loss_settles_at = m->loss_settles_at();
  if constexpr (HasAdversarialLoss<M>) {
    a.game = AdversarialGame{
        [m](int64_t n, Rng& rng) { return m->generate_fake(n, rng); },
        [m](const Batch& b, const Tensor& fake, Rng& rng) { return m->discriminator_loss(b, fake, rng); },
        [m](const Tensor& fake, Rng& rng) { return m->generator_loss(fake, rng); },
        m->n_critic(),
        m->generator.ptr(),
        m->discriminator.ptr()};
  }
  if constexpr (HasFit<M>) {
    a.fit = [m](const Examples& training) { return m->fit(training); };
    a.make_room = [m](const std::map<std::string, Tensor>& state) { m->make_room(state); };
  }
  if constexpr (HasMonitors<M>) a.monitors = [m](const Batch& b, Rng& rng) { return m->monitors(b, rng); };
}

/// What it knows of whole examples: of images and vectors, and how likely any are.
template <class M>
void add_examples(const std::shared_ptr<M>& m, Abilities& a) {
  if constexpr (HasSample<M>) {
    a.sample = [m](int64_t n, Rng& rng, const SampleOptions& o) { return m->sample(n, rng, o); };
    if constexpr (requires { M::kSamplesHaveMean; }) a.samples_have_mean = M::kSamplesHaveMean;
    if constexpr (requires { M::kSamplesHaveTemperature; }) a.samples_have_temperature = M::kSamplesHaveTemperature;
  }
  if constexpr (HasLogProb<M>) {
    a.likelihood = m->likelihood();
    if (a.likelihood.kind) a.log_prob = [m](const Tensor& x, int64_t k, Rng& rng) { return m->log_prob(x, k, rng); };
  } else {
    a.likelihood.detail = M::kNoLikelihood;
  }
  if constexpr (HasEncode<M>) a.encode = [m](const Tensor& x) { return m->encode_latent(x); };
  if constexpr (HasDecode<M>) {
    a.decode = [m](const Tensor& z) { return m->decode_latent(z); };
    a.latent_shape = m->latent_shape();
  }
  if constexpr (HasReconstruct<M>) a.reconstruct = [m](const Tensor& x) { return m->reconstruct(x); };
  if constexpr (HasClassify<M>) a.class_logits = [m](const Tensor& x) { return m->class_logits(x); };
  if constexpr (HasFeatures<M>) a.features = [m](const Tensor& x) { return m->features(x); };
}

/// What it does with one text.
template <class M>
void add_text(const std::shared_ptr<M>& m, Abilities& a) {
  if constexpr (HasTokenLogProb<M>) {
    a.token_log_prob = [m](const Tensor& x, const Tensor& y) { return m->token_log_prob(x, y); };
  }
  if constexpr (requires { m->context(); }) a.context = m->context();
  if constexpr (HasNextTokenLogits<M>) {
    a.next_token_logits = [m](const Tensor& x) { return m->next_token_logits(x); };
    a.token_vectors = [m] { return m->token_vectors(); };
  }
  if constexpr (HasAttentionMaps<M>) {
    a.attention_maps = [m](const Tensor& x) { return m->attention_maps(x); };
    a.token_log_prob_without = [m](const Tensor& x, const Tensor& y, int64_t layer, int64_t head) {
      return m->token_log_prob_without(x, y, layer, head);
    };
  }
  if constexpr (HasGenerate<M>) {
    a.generate = [m](const Tensor& prompt, const GenerateOptions& o, Rng& rng) { return m->generate(prompt, o, rng); };
  }
  if constexpr (HasFill<M>) {
    a.fill = [m](const Tensor& x, const GenerateOptions& o, Rng& rng) { return m->fill(x, o, rng); };
    a.mask_token = m->mask_token();
  }
}

/// What it does with pairs of texts.
template <class M>
void add_pairs(const std::shared_ptr<M>& m, Abilities& a) {
  if constexpr (HasPairLogits<M>) {
    a.pair_logits = [m](const Tensor& x, const Tensor& y) { return m->pair_logits(x, y); };
  }
  if constexpr (HasSourceGradients<M>) {
    a.source_gradients = [m](const Tensor& x, const Tensor& y) { return m->source_gradients(x, y); };
  }
  if constexpr (HasTranslate<M>) {
    a.translate = [m](const Tensor& x, const TranslateOptions& o, Rng& rng) { return m->translate(x, o, rng); };
  }
}

template <class M>
Abilities abilities_of(const std::shared_ptr<M>& m) {
  Abilities a;
  add_learning(m, a);
  add_examples(m, a);
  add_text(m, a);
  add_pairs(m, a);
  return a;
}

/// A model, its type forgotten: the module for parameters and devices, the record for everything else.
struct AnyModel {
  std::string family;
  std::shared_ptr<torch::nn::Module> module;
  Abilities can;
  /// Another of the same family, config and data, with initial values of its own; empty when there is no recipe for
  /// one.
  std::function<AnyModel()> twin = {};
};

int64_t parameter_count(const torch::nn::Module& module);

/// While it lives, the module evaluates: eval mode and no gradients; both as before afterwards.
class EvalMode final {
 public:
  explicit EvalMode(torch::nn::Module& module);
  ~EvalMode();
  EvalMode(const EvalMode&) = delete;
  EvalMode& operator=(const EvalMode&) = delete;

 private:
  torch::nn::Module& module_;
  bool was_training_;
  torch::NoGradGuard no_grad_;
};

}  // namespace genzoo
