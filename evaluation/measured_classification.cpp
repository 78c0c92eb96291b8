#include "evaluation/measured_classification.h"

#include <fmt/format.h>
#include <torch/utils.h>

#include <algorithm>

#include "core/error.h"
#include "data/documents.h"
#include "data/pairs.h"
#include "data/tokenizers/tokenizer.h"
#include "evaluation/evaluate.h"
#include "evaluation/measured_likelihood.h"
#include "trainers/samples.h"

namespace genzoo {
namespace {

/// What the model says of a split: -log p(label) (N) double, and the likeliest class (N); and the labels (N).
struct Guesses {
  Tensor nats, likeliest, labels;
};

Guesses guesses_of(const LoadedModel& loaded, const Dataset& dataset, Split split, int64_t limit) {
  const Abilities& can = loaded.model.can;
  const EvaluationSource source(dataset, split, evaluation_batch(can), /*context=*/0, limit, loaded.device);
  const EvalMode eval(*loaded.model.module);
  std::vector<Tensor> nats, likeliest, labels;
  for (int64_t b = 0; b < source.batches(); ++b) {
    const Batch batch = source.batch(b);
    const Tensor log_p = can.class_logits(batch.x).to(torch::kCPU, torch::kDouble).log_softmax(/*dim=*/1);
    labels.push_back(batch.y.to(torch::kCPU));
    nats.push_back(-log_p.gather(/*dim=*/1, labels.back().unsqueeze(1)).squeeze(1));
    likeliest.push_back(log_p.argmax(/*dim=*/1));
  }
  return {torch::cat(nats), torch::cat(likeliest), torch::cat(labels)};
}

RunningMean mean_of(const Tensor& values) {
  const Tensor x = values.to(torch::kDouble).contiguous();
  RunningMean mean;
  for (int64_t i = 0; i < x.size(0); ++i) mean.add(x.const_data_ptr<double>()[i]);
  return mean;
}

std::vector<Classified> classified(const Tensor& logits, const std::vector<std::string>& labels) {
  const Tensor p = logits.to(torch::kCPU, torch::kDouble).softmax(/*dim=*/1).contiguous();
  std::vector<Classified> all;
  for (int64_t i = 0; i < p.size(0); ++i) {
    const double* row = p.const_data_ptr<double>() + i * p.size(1);
    Classified one;
    one.probabilities.assign(row, row + p.size(1));
    const auto likeliest = std::ranges::max_element(one.probabilities);
    one.label = labels[static_cast<size_t>(likeliest - one.probabilities.begin())];
    one.probability = *likeliest;
    all.push_back(std::move(one));
  }
  return all;
}

}  // namespace

double macro_f1(const Tensor& labels, const Tensor& guesses, int64_t classes) {
  const Tensor right = torch::bincount(labels.masked_select(labels.eq(guesses)), {}, classes).to(torch::kDouble);
  const Tensor both = (torch::bincount(labels, {}, classes) + torch::bincount(guesses, {}, classes)).to(torch::kDouble);
  const Tensor occurs = both.gt(0);
  return (2 * right / both).masked_select(occurs).mean().item<double>();
}

std::vector<Metric> classification_metrics(const LoadedModel& loaded, const Dataset& dataset, Split split,
                                           int64_t limit) {
  const auto [nats, likeliest, labels] = guesses_of(loaded, dataset, split, limit);
  const int64_t classes = loaded.spec.classes;
  const auto metric = [&](const char* name, const char* unit, Better better, const std::string& detail) {
    return Metric{.name = name,
                  .value = 0,
                  .unit = unit,
                  .kind = "",
                  .standard_error = {},
                  .n = labels.size(0),
                  .detail = detail,
                  .of = fmt::format("{} classes", classes),
                  .better = better};
  };
  const auto with_mean = [](Metric metric, const RunningMean& mean) {
    metric.value = mean.mean();
    metric.standard_error = mean.standard_error();
    return metric;
  };
  const auto commonest = torch::bincount(dataset.learning_from(loaded.config.train.examples).train.y, {}, classes)
                             .argmax()
                             .item<int64_t>();
  Metric f1 = metric("macro_f1", "", Better::higher, "mean over classes of F1, each class counting alike");
  f1.value = macro_f1(labels, likeliest, classes);
  return {with_mean(metric("accuracy", "share", Better::higher, "labels that are the model's likeliest"),
                    mean_of(likeliest.eq(labels))),
          with_mean(metric("cross_entropy", "nats", Better::lower, "mean of -log p(label)"), mean_of(nats)), f1,
          with_mean(metric("commonest_class", "share", Better::neither,
                           fmt::format("labels that are \"{}\", the commonest of the training examples: the accuracy "
                                       "of always saying so",
                                       class_labels(loaded.spec)[static_cast<size_t>(commonest)])),
                    mean_of(labels.eq(commonest)))};
}

std::string show_classifications(const LoadedModel& loaded, const Dataset& dataset, Split split, int64_t n) {
  const DataSpec& spec = loaded.spec;
  const EvaluationSource source(dataset, split, n, /*context=*/0, n, loaded.device);
  const Batch batch = source.batch(0);
  const EvalMode eval(*loaded.model.module);
  const auto labels = class_labels(spec);
  const auto said = classified(loaded.model.can.class_logits(batch.x), labels);
  const auto tokenizer = tokenizer_from_json(spec.tokenizer);
  std::string shown;
  for (size_t i = 0; i < said.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    shown += fmt::format("{}text       {}\nlabel      {}\nlikeliest  {} ({:.2f})\n", i > 0 ? "\n" : "",
                         text_before_end(spec, *tokenizer, batch.x[row]),
                         labels[static_cast<size_t>(batch.y[row].item<int64_t>())], said[i].label, said[i].probability);
  }
  return shown;
}

Json Classified::to_json(const std::vector<std::string>& labels) const {
  Json of_classes;
  for (size_t c = 0; c < labels.size(); ++c) of_classes[labels[c]] = probabilities[c];
  return {{"label", label}, {"probability", probability}, {"probabilities", of_classes}, {"cut", cut}};
}

std::vector<std::string> class_labels(const DataSpec& spec) {
  if (!spec.class_names.empty()) return spec.class_names;
  std::vector<std::string> numbers;
  for (int64_t c = 0; c < spec.classes; ++c) numbers.push_back(std::to_string(c));
  return numbers;
}

std::vector<Classified> classify_texts(const LoadedModel& loaded, const std::vector<std::string>& texts,
                                       const std::string& where) {
  const DataSpec& spec = loaded.spec;
  if (!loaded.model.can.class_logits) refuse(loaded, "tells no classes apart");
  if (spec.kind != DataKind::documents) {
    refuse(loaded, "tells classes of images apart, not of texts", "give --in FILE.safetensors with the array x");
  }
  const auto tokenizer = tokenizer_from_json(spec.tokenizer);
  const auto labels = class_labels(spec);
  // All are read before the first is told: a mistake in the last line should cost nobody the answers to the others.
  std::vector<Tensor> rows;
  std::vector<bool> cut;
  for (const std::string& text : texts) {
    const std::string place = fmt::format("{}{}", where, rows.size() + 1);
    if (text.empty()) throw UsageError(fmt::format("{}: the text is empty; leave it out, or give it words", place));
    Tensor whole, tokens;
    try {
      whole = document_tokens(*tokenizer, text, /*max_tokens=*/0);
      tokens = document_tokens(*tokenizer, text, spec.shape[0]);
    } catch (const UsageError& error) {
      throw UsageError(fmt::format("{}: {}", place, error.what()));
    }
    rows.push_back(torch::cat({tokens, torch::full({1}, spec.end_token, torch::kLong)}).unsqueeze(0));
    cut.push_back(tokens.size(0) < whole.size(0));
  }
  const EvalMode eval(*loaded.model.module);
  std::vector<Classified> all;
  for (size_t i = 0; i < rows.size(); ++i) {
    all.push_back(std::move(classified(loaded.model.can.class_logits(rows[i].to(loaded.device)), labels).front()));
    all.back().cut = cut[i];
  }
  return all;
}

std::vector<Classified> classify_examples(const LoadedModel& loaded, const Tensor& x) {
  if (!loaded.model.can.class_logits) refuse(loaded, "tells no classes apart");
  if (loaded.spec.has_tokens()) refuse(loaded, "takes texts, not an array");
  require_stored(x, loaded.spec, loaded.model.family);
  const EvalMode eval(*loaded.model.module);
  const Tensor logits =
      map_rows(x, [&](const Tensor& rows) { return loaded.model.can.class_logits(rows.to(loaded.device)); });
  return classified(logits, class_labels(loaded.spec));
}

}  // namespace genzoo
