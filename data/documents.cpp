#include "data/documents.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "data/synthetic.h"
#include "data/text_rows.h"

namespace genzoo {
namespace {

struct Splits {
  std::vector<Document> train, validation, test;  ///< test: perhaps none
};

std::vector<Document> in_drawn_order(std::vector<Document> documents, int64_t data_seed) {
  Rng rng = synthetic_stream(data_seed, Split::train);
  const Tensor order = rng.permutation(static_cast<int64_t>(documents.size()));
  std::vector<Document> drawn;
  drawn.reserve(documents.size());
  for (int64_t i = 0; i < order.size(0); ++i) {
    drawn.push_back(std::move(documents[static_cast<size_t>(order.const_data_ptr<int64_t>()[i])]));
  }
  return drawn;
}

Splits split_documents(std::vector<Document> documents, const DocumentSettings& settings, const std::string& where) {
  const auto count = static_cast<int64_t>(documents.size());
  const auto share = [&](double part) { return static_cast<int64_t>(static_cast<double>(count) * part); };
  const int64_t validation = share(settings.validation), test = share(settings.test), train = count - validation - test;
  if (train < 1 || validation < 1 || (settings.test > 0 && test < 1)) {
    throw UsageError(
        fmt::format("{}: {} documents, of which shares of {} and {} are for validation and test, leave {} to train on, "
                    "{} and {}; wanted at least one for each: give more, or other shares",
                    where, count, settings.validation, settings.test, train, validation, test));
  }
  documents = in_drawn_order(std::move(documents), settings.data_seed);
  const auto moved = [&](int64_t first, int64_t n) {
    const auto begin = std::make_move_iterator(documents.begin() + first);
    return std::vector<Document>(begin, begin + n);
  };
  return {moved(0, train), moved(train, validation), moved(train + validation, test)};
}

std::vector<PlacedText> placed_texts(const std::vector<Document>& documents) {
  std::vector<PlacedText> texts;
  for (const Document& document : documents) texts.push_back({document.text, document.line});
  return texts;
}

std::vector<std::string> classes_of(const std::vector<Document>& documents, const std::string& where) {
  std::set<std::string> labels;
  for (const Document& document : documents) {
    if (labels.insert(document.label).second && !is_utf8(document.label)) {
      throw RunError(fmt::format("{}:{}: the label is not UTF-8, which labels are whatever tokens are; mend the line",
                                 where, document.line));
    }
  }
  if (labels.size() < 2) {
    throw RunError(fmt::format("{}: its documents have {}; wanted at least 2 labels to tell apart", where,
                               labels.empty() ? "no labels" : fmt::format("one label, \"{}\"", *labels.begin())));
  }
  return {labels.begin(), labels.end()};
}

Tensor labels_of(const std::vector<Document>& documents, const std::vector<std::string>& classes) {
  Tensor labels = torch::empty({static_cast<int64_t>(documents.size())}, torch::kLong);
  std::ranges::transform(documents, labels.mutable_data_ptr<int64_t>(), [&](const Document& document) {
    return std::ranges::lower_bound(classes, document.label) - classes.begin();
  });
  return labels;
}

}  // namespace

void DocumentSettings::fields(Fields& f) {
  f("tokens", tokens,
    "what a token is: characters (Unicode code points that occur), bytes, bpe (byte pairs) or words, both learned from "
    "the training part, or those of a tokenizer that is there");
  f("validation", validation, "the share of the texts, drawn, kept for validation",
    Range{0, 1, true, true, "in (0, 1)"});
  f("test", test, "the share of the texts, drawn, kept for the test; 0: there is none",
    Range{0, 1, false, true, "in [0, 1)"});
  f("max_tokens", max_tokens, "of a text, its end counted: a longer one is cut at its end; 0: none is cut",
    non_negative);
  f("data_seed", data_seed, "seed of the draw of which texts train, validate and test, apart from the experiment's",
    non_negative);
  f.require(validation + test < 1, "validation", "'validation' and 'test' leave no texts to train on");
}

void DocumentsConfig::fields(Fields& f) {
  f("file", file, "the file, a text a line: label, one tab, text; UTF-8 unless tokens are bytes",
    TextForm{"", "the path of a text file", /*required=*/true});
  DocumentSettings::fields(f);
}

std::vector<Document> read_documents(std::string_view text, const std::string& where) {
  std::vector<Document> documents;
  for (TabbedLine& line : read_tabbed_lines(text, "label", "text", where)) {
    documents.push_back({std::move(line.left), std::move(line.right), line.line});
  }
  return documents;
}

Tensor document_tokens(const Tokenizer& tokenizer, std::string_view text, int64_t max_tokens) {
  const Tensor tokens = tokenizer.encode(text), whole = tokenizer.whole(tokens).tokens;
  if (max_tokens == 0 || whole.size(0) < max_tokens) return whole;
  const int64_t around = whole.size(0) - tokens.size(0), room = max_tokens - around - 1;
  if (room < 1) {
    throw UsageError(
        fmt::format("max_tokens {}: the end and what the tokenizer puts around a text take {}, which leaves no room "
                    "for the text; give more",
                    max_tokens, around + 1));
  }
  return tokenizer.whole(tokens.narrow(/*dim=*/0, 0, room)).tokens;
}

Dataset make_documents_dataset(const std::string& name, std::vector<Document> documents,
                               const DocumentSettings& settings, const std::string& where) {
  const std::vector<std::string> classes = classes_of(documents, where);
  const Splits splits = split_documents(std::move(documents), settings, where);
  std::vector<PlacedText> held_out = placed_texts(splits.validation);
  std::ranges::copy(placed_texts(splits.test), std::back_inserter(held_out));
  const auto tokenizer = tokenizer_of_texts(placed_texts(splits.train), held_out, settings.tokens, where);
  const auto tokens_of = [&](std::string_view text) { return document_tokens(*tokenizer, text, settings.max_tokens); };
  const auto rows_of = [&](const std::vector<Document>& part) {
    return encode_texts(placed_texts(part), tokens_of, where);
  };
  const auto train = rows_of(splits.train), validation = rows_of(splits.validation), test = rows_of(splits.test);
  const int64_t end = tokenizer->vocabulary();
  const int64_t width = std::max(longest(train), longest(validation)) + 1, test_width = longest(test) + 1;
  Dataset dataset;
  dataset.spec.dataset = name;
  dataset.spec.kind = DataKind::documents;
  dataset.spec.shape = {std::max(width, test_width)};
  dataset.spec.classes = static_cast<int64_t>(classes.size());
  dataset.spec.class_names = classes;
  dataset.spec.vocabulary = end + 1;
  dataset.spec.end_token = end;
  dataset.spec.token_unit = tokenizer->unit();
  dataset.spec.tokenizer = tokenizer->to_json();
  dataset.train = {filled_up(train, width, end), labels_of(splits.train, classes)};
  dataset.validation = {filled_up(validation, width, end), labels_of(splits.validation, classes)};
  if (!test.empty()) dataset.test = {filled_up(test, test_width, end), labels_of(splits.test, classes)};
  return dataset;
}

Dataset open(const DocumentsConfig& config, const DataPlaces&) {
  if (config.file.empty()) throw UsageError("data.documents.file: empty, wanted the path of a text file");
  const std::string text = read_file(config.file);
  if (text.empty()) {
    throw RunError(fmt::format("{}: the file is empty; it should hold a text a line: label, tab, text", config.file));
  }
  return make_documents_dataset("documents", read_documents(text, config.file), config, config.file);
}

}  // namespace genzoo
