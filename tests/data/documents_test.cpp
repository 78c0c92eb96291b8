#include "data/documents.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>

#include "core/error.h"
#include "data/pairs.h"
#include "data/verses.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using Catch::Matchers::Contains;
namespace fs = std::filesystem;

/// Label and text of each document of a split, as the tokens tell them.
std::vector<std::pair<std::string, std::string>> documents_of(const Dataset& set, Split split) {
  const auto tokenizer = tokenizer_from_json(set.spec.tokenizer);
  std::vector<std::pair<std::string, std::string>> all;
  for (int64_t i = 0; i < set.count(split); ++i) {
    all.emplace_back(set.spec.class_names.at(static_cast<size_t>(set[split].y[i].item<int64_t>())),
                     text_before_end(set.spec, *tokenizer, set[split].x[i]));
  }
  return all;
}

Dataset open_file(const std::string& text, DocumentSettings settings = {}) {
  const TempDir folder;
  std::ofstream(folder / "documents.tsv", std::ios::binary) << text;
  DocumentsConfig config;
  static_cast<DocumentSettings&>(config) = std::move(settings);
  config.file = folder / "documents.tsv";
  return open(config, DataPlaces{});
}

DocumentSettings shares(double validation, double test, int64_t data_seed = 0) {
  DocumentSettings settings;
  settings.validation = validation;
  settings.test = test;
  settings.data_seed = data_seed;
  return settings;
}

constexpr const char* kTen =
    "red\ta\nblue\tbb\nred\tccc\ngreen\td\r\nblue\te f\nred\tg\nblue\th\nred\tïi\ngreen\tj\nblue\tk";

/// Words that are those of a file, with the ends that BERT's makers put around a text.
void write_bracketing_tokenizer(const fs::path& path) {
  std::ofstream(path) << R"({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [
    {"id": 0, "content": "[CLS]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
    {"id": 1, "content": "[SEP]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
    "normalizer": null, "pre_tokenizer": {"type": "Whitespace"},
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                 {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
      "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
      "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [0], "tokens": ["[CLS]"]},
                         "[SEP]": {"id": "[SEP]", "ids": [1], "tokens": ["[SEP]"]}}},
    "decoder": null,
    "model": {"type": "WordLevel", "vocab": {"[CLS]": 0, "[SEP]": 1, "[UNK]": 2, "one": 3, "two": 4, "three": 5},
              "unk_token": "[UNK]"}})";
}

}  // namespace

TEST_CASE("a file of labelled texts becomes rows of tokens and labels in sorted order", "[data][documents]") {
  const Dataset set = open_file(kTen, shares(0.2, 0.3));
  CHECK(set.spec.kind == DataKind::documents);
  CHECK(set.spec.class_names == std::vector<std::string>{"blue", "green", "red"});
  CHECK(set.spec.classes == 3);
  CHECK(set.spec.vocabulary == 14);  // ' ', a ... k, ï and the end
  CHECK(set.spec.end_token == 13);
  CHECK(set.spec.shape == std::vector<int64_t>{4});
  CHECK(set.spec.describe() == "documents of up to 4 chars, vocabulary 14, 3 classes");
  CHECK(set.count(Split::train) == 5);
  CHECK(set.count(Split::validation) == 2);
  CHECK(set.count(Split::test) == 3);
  CHECK(set.train.x.scalar_type() == torch::kByte);
  CHECK(set.train.y.scalar_type() == torch::kLong);
  std::map<std::string, std::string> labels;  // of each text, wherever it went
  for (const Split split : {Split::train, Split::validation, Split::test}) {
    for (const auto& [label, text] : documents_of(set, split)) labels[text] = label;
    const Tensor ends = set[split].x.to(torch::kLong).eq(set.spec.end_token);
    CHECK(ends.select(1, -1).all().item<bool>());
  }
  CHECK(labels == std::map<std::string, std::string>{{"a", "red"},
                                                     {"bb", "blue"},
                                                     {"ccc", "red"},
                                                     {"d", "green"},
                                                     {"e f", "blue"},
                                                     {"g", "red"},
                                                     {"h", "blue"},
                                                     {"ïi", "red"},
                                                     {"j", "green"},
                                                     {"k", "blue"}});
  CHECK(DataSpec::from_json(set.spec.to_json()) == set.spec);
  CHECK_FALSE(open_file(kTen, shares(0.2, 0)).has(Split::test));
  const TrainingSource source(set, /*batch_size=*/3, /*context=*/0, /*seed=*/0, torch::kCPU);
  CHECK(source.batch(0).x.scalar_type() == torch::kLong);
}

TEST_CASE("texts are drawn into their splits by the data's own seed, so that any first of them are a fair sample",
          "[data][documents]") {
  CHECK(open_file(kTen, shares(0.2, 0.3)).digest() == open_file(kTen, shares(0.2, 0.3)).digest());
  CHECK(open_file(kTen, shares(0.2, 0.3)).digest() != open_file(kTen, shares(0.2, 0.3, 1)).digest());
  std::string sorted;  // all of one class, then all of the other
  for (const char* label : {"a", "b"}) {
    for (int i = 0; i < 1000; ++i) sorted += std::string(label) + "\tx\n";
  }
  const Dataset set = open_file(sorted);
  CHECK(set.count(Split::train) == 1600);
  for (const Tensor& y : {set.train.y, set.train.y.slice(0, 0, 200), set.validation.y, set.test.y}) {
    const auto n = static_cast<double>(y.size(0));
    CHECK(std::abs(y.to(torch::kDouble).mean().item<double>() - 0.5) < 3.5 * 0.5 / std::sqrt(n));
  }
}

TEST_CASE("words of documents are learned from the training part alone", "[data][documents]") {
  std::string text;
  for (int i = 0; i < 40; ++i) text += fmt::format("{}\tcommon w{}\n", i % 2 ? "odd" : "even", i);
  DocumentSettings settings = shares(0.25, 0.25);
  settings.tokens = WordTokens{};
  const Dataset set = open_file(text, settings);
  CHECK(set.spec.vocabulary == 1 + 1 + 20 + 1);  // unknown, common, those of the training part, the end
  for (const auto& [label, known] : documents_of(set, Split::train)) CHECK(known.find("<unk>") == known.npos);
  for (const auto& [label, unknown] : documents_of(set, Split::test)) CHECK(unknown == "common <unk>");
}

TEST_CASE("a long text is cut at its end, and what stands around a text stays", "[data][documents]") {
  const TempDir folder;
  write_bracketing_tokenizer(folder / "tokenizer.json");
  DocumentSettings settings = shares(0.5, 0);
  settings.tokens = TokenizerTokens{(folder / "tokenizer.json").string()};
  const std::string text = "a\tone two three one two three\nb\ttwo\n";
  const auto longest_row = [&](int64_t max_tokens) {
    settings.max_tokens = max_tokens;
    const Dataset set = open_file(text, settings);
    const bool first = set.spec.class_names[static_cast<size_t>(set.train.y[0].item<int64_t>())] == "a";
    return (first ? set.train : set.validation).x[0].to(torch::kLong);
  };
  CHECK(torch::equal(longest_row(0), torch::tensor({0, 3, 4, 5, 3, 4, 5, 1, 6})));  // [CLS] ... [SEP] and the end
  CHECK(torch::equal(longest_row(9), longest_row(0)));
  CHECK(torch::equal(longest_row(6), torch::tensor({0, 3, 4, 5, 1, 6})));
  CHECK_THROWS_WITH(longest_row(3), Contains("max_tokens 3") && Contains("leaves no room"));
}

TEST_CASE("what is no file of labelled texts is refused, by line", "[data][documents]") {
  CHECK_THROWS_WITH(open_file("a\tx\nb y\n"), Contains("documents.tsv:2: no tabs, wanted one, between label and text"));
  CHECK_THROWS_WITH(open_file("a\tx\ty\n"), Contains("documents.tsv:1: 2 tabs"));
  CHECK_THROWS_WITH(open_file("a\tx\na\t\n"), Contains("documents.tsv:2: the text is empty"));
  CHECK_THROWS_WITH(open_file("\tx\n"), Contains("documents.tsv:1: the label is empty"));
  CHECK_THROWS_WITH(open_file("a\tx\na\ty\n"), Contains("one label, \"a\"; wanted at least 2"));
  CHECK_THROWS_WITH(open_file(""), Contains("the file is empty"));
  CHECK_THROWS_WITH(open_file("a\tx\nb\t\xff\n", shares(0.5, 0)),
                    Contains("documents.tsv:2: byte 0xff at position 0 of the text is not UTF-8"));
  CHECK_THROWS_WITH(open_file("a\tx\nb\ty\n"), Contains("2 documents") && Contains("wanted at least one for each"));
  CHECK_THROWS_AS(open_file("a\tx\nb\ty\n"), UsageError);
  CHECK_THROWS_AS(open(DocumentsConfig{}, DataPlaces{}), UsageError);
}

TEST_CASE("a verse is labelled by its testament, its division or its book", "[data][documents]") {
  const std::string printed =
      "Ge1:1 In the beginning\nEst10:3 For Mordecai\nSSol1:1 The song\nDan12:13 But go\nMal4:6 And he\nMat1:1 The "
      "book\n"
      "John21:25 And there\nActs1:1 The former\n1Cor13:4 Charity\nJude1:25 To the only\nRev22:21 The grace\n";
  const auto labels = [&](VerseLabels by) {
    std::vector<std::string> all;
    for (const Document& verse : read_verses(printed, by, "here")) all.push_back(verse.label);
    return all;
  };
  using Labels = std::vector<std::string>;
  CHECK(labels(VerseLabels::testament) ==
        Labels{"old", "old", "old", "old", "old", "new", "new", "new", "new", "new", "new"});
  CHECK(labels(VerseLabels::division) == Labels{"law", "history", "poetry", "major_prophets", "minor_prophets",
                                                "gospels", "gospels", "acts", "letters", "letters", "revelation"});
  CHECK(labels(VerseLabels::book) == Labels{"Genesis", "Esther", "Song of Solomon", "Daniel", "Malachi", "Matthew",
                                            "John", "Acts", "1 Corinthians", "Jude", "Revelation"});
  CHECK(read_verses(printed, VerseLabels::book, "here")[8].text == "Charity");
  for (const char* line :
       {"In the beginning", "Ge1 In", "Ge:1 In", "1:1 In", "Gn1:1 In", "Ge1:a In", "Ge1:1", "Ge1:1 "}) {
    CHECK_THROWS_WITH(read_verses(std::string("Ge1:1 In\n") + line + "\n", VerseLabels::book, "here"),
                      Contains("here:2: ") && Contains("is no verse behind a reference"));
  }
}

TEST_CASE("verses come from their file, else from the program bible, and a text without references cannot serve",
          "[data][documents]") {
  const TempDir folder;
  VersesConfig config;
  config.root = folder.path();
  std::ofstream(folder / "king_james.txt") << "In the beginning\n";
  CHECK_THROWS_WITH(open(config, DataPlaces{}), Contains("data/verses: not found") &&
                                                    Contains("looked for verses.txt") &&
                                                    Contains("a king_james.txt has no references"));
  std::string printed;
  for (int verse = 1; verse <= 20; ++verse) printed += fmt::format("Ge1:{0} In {0}\nRev1:{0} The {0}\n", verse);
  std::ofstream(folder / "verses.txt") << printed;
  const Dataset set = open(config, DataPlaces{});
  CHECK(set.spec.dataset == "verses");
  CHECK(set.spec.class_names == std::vector<std::string>{"law", "revelation"});
  CHECK(set.count(Split::train) + set.count(Split::validation) + set.count(Split::test) == 40);
}

TEST_CASE("the King James Bible has 66 books, 23,145 verses in the old testament and 7,957 in the new",
          "[data][documents]") {
  if (std::system("command -v bible > /dev/null") != 0) SKIP("no program `bible` (package bible-kjv)");
  VersesConfig config;
  const auto verses_by = [&](VerseLabels labels) {
    config.labels = labels;
    const Dataset set = open(config, DataPlaces{});
    std::map<std::string, int64_t> counts;
    for (const Split split : {Split::train, Split::validation, Split::test}) {
      const Tensor counted = torch::bincount(set[split].y, {}, set.spec.classes);
      for (int64_t c = 0; c < set.spec.classes; ++c) {
        counts[set.spec.class_names[static_cast<size_t>(c)]] += counted[c].item<int64_t>();
      }
    }
    return counts;
  };
  CHECK(verses_by(VerseLabels::testament) == std::map<std::string, int64_t>{{"new", 7957}, {"old", 23145}});
  CHECK(verses_by(VerseLabels::division) == std::map<std::string, int64_t>{{"law", 5852},
                                                                           {"history", 7018},
                                                                           {"poetry", 4785},
                                                                           {"major_prophets", 4440},
                                                                           {"minor_prophets", 1050},
                                                                           {"gospels", 3779},
                                                                           {"acts", 1007},
                                                                           {"letters", 2767},
                                                                           {"revelation", 404}});
  const auto books = verses_by(VerseLabels::book);
  CHECK(books.size() == 66);
  CHECK(books.at("Psalms") == 2461);
  CHECK(books.at("3 John") == 14);
}

TEST_CASE("a label is text whatever tokens are", "[data][documents]") {
  DocumentSettings settings = shares(0.3, 0);
  settings.tokens = ByteTokens{};
  CHECK_THROWS_WITH(open_file("a\tx\nb\ty\nf\xfcr\tz\na\tw\n", settings),
                    Contains("documents.tsv:3: the label is not UTF-8"));
  CHECK(open_file("a\tx\nb\ty\nb\tf\xfcr\na\tw\n", settings).spec.classes == 2);  // a text of bytes may be any
}

}  // namespace genzoo
