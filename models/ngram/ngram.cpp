#include "models/ngram/ngram.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "core/error.h"
#include "models/ngram/counts.h"

namespace genzoo {
namespace {

constexpr int64_t kPiece = 4096;  // tokens that one thread reads in a row

int64_t require_vocabulary(const DataSpec& data) {
  if (data.kind != DataKind::tokens || data.vocabulary < 1) {
    throw UsageError(fmt::format(
        "models/ngram: {} has {}; a language model wants text, such as king_james, tiny_shakespeare or text",
        data.dataset, data.describe()));
  }
  return data.vocabulary;
}

Tensor tensor_of(const std::vector<int32_t>& values) {
  Tensor tensor = at::empty({static_cast<int64_t>(values.size())}, at::kInt);
  std::ranges::copy(values, tensor.mutable_data_ptr<int32_t>());
  return tensor;
}

std::span<const int32_t> span_of(const Tensor& tensor) {
  return {tensor.const_data_ptr<int32_t>(), static_cast<size_t>(tensor.numel())};
}

/// Whether it can be one level of a trie of which the next level has `longer` n-grams.
bool is_level(const NgramView& level, int64_t vocabulary, size_t longer) {
  const size_t n = level.tokens.size();
  return level.counts.size() == n && level.first.size() == n + 1 && level.first[0] == 0 &&
         level.first[n] == static_cast<int32_t>(longer) && std::ranges::is_sorted(level.first) &&
         std::ranges::all_of(level.counts, [](int32_t c) { return c >= 0; }) &&
         std::ranges::all_of(level.tokens, [&](int32_t t) { return t >= 0 && t < vocabulary; });
}

/// log p(y_t | x_1 ... x_t) of t from `begin` to `end` - 1.
void score_piece(const SmoothedCounts& counts, const int64_t* x, const int64_t* y, int64_t begin, int64_t end,
                 double* log_p) {
  auto context = counts.beginning();
  for (int64_t t = std::max<int64_t>(0, begin - counts.reach() + 1); t <= begin; ++t) {
    counts.read(context, static_cast<int32_t>(x[t]));
  }
  for (int64_t t = begin; t < end; ++t) {
    auto next = context;
    log_p[t] = std::log(counts.read(next, static_cast<int32_t>(y[t])));
    if (t + 1 == end) break;
    if (y[t] == x[t + 1]) {
      context = next;
    } else {
      counts.read(context, static_cast<int32_t>(x[t + 1]));
    }
  }
}

}  // namespace

NgramCountsImpl::NgramCountsImpl()
    : tokens(register_buffer("tokens", at::empty({0}, at::kInt))),
      counts(register_buffer("counts", at::empty({0}, at::kInt))),
      first(register_buffer("first", at::zeros({1}, at::kInt))) {}

struct NgramImpl::OnCpu {
  std::vector<Tensor> tensors;
  std::unique_ptr<SmoothedCounts> counts;
};

NgramImpl::NgramImpl(const NgramConfig& config, const DataSpec& data, Rng& /*init*/)
    : config_(config), vocabulary_(require_vocabulary(data)) {
  for (int64_t length = 1; length <= config.order; ++length) {
    levels_.push_back(register_module(fmt::format("length_{}", length), NgramCounts()));
  }
  levels_[0]->tokens.set_data(at::arange(vocabulary_, at::kInt));
  levels_[0]->counts.set_data(at::zeros({vocabulary_}, at::kInt));
  levels_[0]->first.set_data(at::zeros({vocabulary_ + 1}, at::kInt));
}

void NgramImpl::require_tokens(const Tensor& tokens, const char* what) const {
  if (tokens.numel() == 0) return;
  const int64_t low = tokens.min().item<int64_t>(), high = tokens.max().item<int64_t>();
  if (low >= 0 && high < vocabulary_) return;
  throw UsageError(fmt::format("models/ngram: {} has token {}; the model knows 0 to {}", what, low < 0 ? low : high,
                               vocabulary_ - 1));
}

Terms NgramImpl::fit(const Examples& training) {
  const Tensor& text = training.x;
  const int64_t L = text.numel();
  if (text.dim() != 1 || L < 2 || L > std::numeric_limits<int32_t>::max()) {
    throw UsageError(fmt::format("models/ngram: a text of {} tokens; it counts one of 2 to 2^31 - 1", L));
  }
  require_tokens(text, "the text");
  const Tensor tokens = text.to(at::kCPU, at::kInt).contiguous();
  std::vector<NgramLevel> counted = count_ngrams(tokens, vocabulary_, config_.order);
  if (config_.smoothing != Smoothing::witten_bell) count_continuations(counted, tokens);
  int64_t ngrams = 0;
  for (size_t k = 0; k < levels_.size(); ++k) {
    const auto device = levels_[k]->counts.device();
    levels_[k]->tokens.set_data(tensor_of(counted[k].tokens).to(device));
    levels_[k]->counts.set_data(tensor_of(counted[k].counts).to(device));
    levels_[k]->first.set_data(tensor_of(counted[k].first).to(device));
    ngrams += std::ranges::count_if(counted[k].counts, [](int32_t c) { return c > 0; });
  }
  smoothed_.reset();
  const Tensor line = tokens.to(at::kLong).unsqueeze(0);
  const Tensor loss = -token_log_prob(line.narrow(1, 0, L - 1), line.narrow(1, 1, L - 1)).mean();
  return {{"loss", loss}, {"ngrams", at::scalar_tensor(ngrams, at::kDouble)}};
}

void NgramImpl::make_room(const std::map<std::string, Tensor>& state) {
  for (const auto& buffer : named_buffers()) {
    const auto found = state.find(buffer.key());
    if (found == state.end() || found->second.dim() != 1) continue;
    buffer.value().set_data(at::zeros({found->second.size(0)}, buffer.value().options()));
  }
}

std::shared_ptr<const SmoothedCounts> NgramImpl::smoothed() {
  std::vector<std::pair<const void*, int64_t>> now;
  for (const Tensor& buffer : buffers()) now.emplace_back(buffer.const_data_ptr(), buffer._version());
  if (!smoothed_ || smoothed_of_ != now) {
    auto made = std::make_shared<OnCpu>();
    std::vector<NgramView> views;
    for (const NgramCounts& level : levels_) {
      const auto view = [&](const Tensor& buffer) {
        return span_of(made->tensors.emplace_back(buffer.to(at::kCPU, at::kInt).contiguous()));
      };
      views.push_back({view(level->tokens), view(level->counts), view(level->first)});
    }
    bool whole = static_cast<int64_t>(views[0].tokens.size()) == vocabulary_;
    for (size_t k = 0; k < views.size(); ++k) {
      whole &= is_level(views[k], vocabulary_, k + 1 < views.size() ? views[k + 1].tokens.size() : 0);
    }
    if (!whole) throw RunError("models/ngram: its buffers are no counts of n-grams; take another checkpoint");
    made->counts = std::make_unique<SmoothedCounts>(std::move(views), config_.smoothing);
    smoothed_ = std::move(made);
    smoothed_of_ = std::move(now);
  }
  return {smoothed_, smoothed_->counts.get()};
}

Tensor NgramImpl::token_log_prob(const Tensor& x, const Tensor& y) {
  require_tokens(x, "the text");
  require_tokens(y, "the text");
  const auto counts = smoothed();
  const Tensor read = x.to(at::kCPU, at::kLong).contiguous(), predicted = y.to(at::kCPU, at::kLong).contiguous();
  const int64_t B = x.size(0), T = x.size(1), pieces = (T + kPiece - 1) / kPiece;
  Tensor log_p = at::empty({B, T}, at::kDouble);
  auto* out = log_p.mutable_data_ptr<double>();
  at::parallel_for(0, B * pieces, /*grain_size=*/1, [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i) {
      const int64_t row = i / pieces * T, begin = i % pieces * kPiece;
      score_piece(*counts, read.const_data_ptr<int64_t>() + row, predicted.const_data_ptr<int64_t>() + row, begin,
                  std::min(begin + kPiece, T), out + row);
    }
  });
  return log_p.to(x.device());
}

Tensor NgramImpl::log_prob(const Tensor& x, int64_t /*k*/, Rng& /*rng*/) {
  const int64_t T = x.size(1);
  if (T < 2) return at::zeros({x.size(0)}, x.options().dtype(at::kDouble));
  return token_log_prob(x.slice(/*dim=*/1, 0, T - 1), x.slice(/*dim=*/1, 1, T)).sum(/*dim=*/1);
}

LikelihoodClaim NgramImpl::likelihood() const {
  return {LikelihoodKind::exact, "every token but the first, each given those before it"};
}

}  // namespace genzoo
