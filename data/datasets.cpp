// The table of contents of data/.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <type_traits>
#include <vector>

#include "core/error.h"
#include "data/chat.h"
#include "data/dataset.h"
#include "data/debd.h"
#include "data/documents.h"
#include "data/images.h"
#include "data/imported.h"
#include "data/markov.h"
#include "data/pair_tasks.h"
#include "data/pairs.h"
#include "data/text.h"
#include "data/token_set.h"
#include "data/toys.h"
#include "data/verses.h"

namespace genzoo {
namespace {

template <class C>
AnyConfig default_settings() {
  return C{};
}

template <class C>
Dataset open_settings(const AnyConfig& settings, const DataPlaces& places) {
  return open(settings.as<C>(), places);
}

template <class C>
std::optional<double> entropy_of_settings(const AnyConfig& settings) {
  if constexpr (requires(const C& config) { entropy_of(config); }) return entropy_of(settings.as<C>());
  return std::nullopt;
}

template <class C>
std::optional<Dataset> stand_in_for_settings(const AnyConfig& settings) {
  if constexpr (requires(const C& config) { stand_in(config); }) return stand_in(settings.as<C>());
  return std::nullopt;
}

template <Config C>
constexpr DatasetEntry entry(std::string_view name, DataKind kind, std::string_view doc, std::string_view source) {
  return {name, doc,    default_settings<C>,    open_settings<C>,
          kind, source, entropy_of_settings<C>, stand_in_for_settings<C>};
}

constexpr auto kImages = DataKind::images;
constexpr auto kVectors = DataKind::vectors;
constexpr auto kTokens = DataKind::tokens;
constexpr auto kPairs = DataKind::pairs;
constexpr auto kDocuments = DataKind::documents;

constexpr std::array kDatasets = {
    entry<FashionMNISTConfig>("fashion_mnist", kImages, "60,000 + 10,000 grey pictures 28x28 of clothes, 10 classes",
                              "Xiao et al. (2017), https://github.com/zalandoresearch/fashion-mnist"),
    entry<MNISTConfig>("mnist", kImages, "60,000 + 10,000 grey pictures 28x28 of digits, 10 classes",
                       "LeCun et al. (1998), http://yann.lecun.com/exdb/mnist/"),
    entry<CIFAR10Config>("cifar10", kImages, "50,000 + 10,000 color pictures 32x32, 10 classes",
                         "Krizhevsky (2009), https://www.cs.toronto.edu/~kriz/cifar.html"),
    entry<ImageFolderConfig>("image_folder", kImages, "your pictures, classes by folder", "a folder of files"),
    entry<UniformNoiseConfig>("uniform_noise", kImages, "1x28x28, every pixel uniform on 0 ... 255: exactly 8 bits/dim",
                              "made by the program"),
    entry<EightGaussiansConfig>("eight_gaussians", kVectors, "8 Gaussians on a circle of radius 2",
                                "made by the program"),
    entry<GridGaussiansConfig>("grid_gaussians", kVectors, "25 narrow Gaussians on a 5x5 grid", "made by the program"),
    entry<TwoMoonsConfig>("two_moons", kVectors, "two interlocking half circles with Gaussian noise",
                          "made by the program"),
    entry<RingsConfig>("rings", kVectors, "concentric circles with Gaussian noise", "made by the program"),
    entry<CheckerboardConfig>("checkerboard", kVectors, "uniform on 8 of 16 squares in [-4, 4]^2",
                              "made by the program"),
    entry<DebdConfig>("debd", kVectors, "binary vectors of 16 to 1,556 bits: 20 sets, by name",
                      "Lowd & Davis (2010), Van Haaren & Davis (2012), https://github.com/arranger1044/DEBD"),
    entry<TextConfig>("text", kTokens, "your text, as characters, bytes, words or tokens", "a file"),
    entry<TokenFileConfig>("token_file", kTokens, "tokens in a file, read as they are used",
                           "`genzoo tokenizer encode`"),
    entry<KingJamesConfig>("king_james", kTokens, "the King James Bible, 31,102 verses, one a line",
                           "Debian's package bible-kjv"),
    entry<TinyShakespeareConfig>("tiny_shakespeare", kTokens, "1,115,394 characters of Shakespeare's plays",
                                 "Karpathy (2015), https://github.com/karpathy/char-rnn"),
    entry<MarkovConfig>("markov", kTokens, "text from a random Markov chain of known entropy rate",
                        "made by the program"),
    entry<ImportedConfig>("imported", kTokens, "the unknown data of weights that were trained elsewhere",
                          "`genzoo import`"),
    entry<PairsConfig>("pairs", kPairs, "your pairs of texts, source and target", "a file"),
    entry<ConversationsConfig>("conversations", kPairs,
                               "your conversations: of each answer what was said before, and the answer", "a file"),
    entry<AdditionConfig>("addition", kPairs, "sums of whole numbers: 12+345 -> 357, the question from its end",
                          "made by the program, after Keras' example addition_rnn"),
    entry<ReverseConfig>("reverse", kPairs, "strings of letters -> the same from their end", "made by the program"),
    entry<CopyConfig>("copy", kPairs, "strings of letters -> the same", "made by the program"),
    entry<RecallConfig>("recall", kPairs, "pairs of key and value, then a key -> its value",
                        "made by the program, after Arora et al. (2023), https://arxiv.org/abs/2312.04927"),
    entry<DocumentsConfig>("documents", kDocuments, "your texts, each with a label", "a file"),
    entry<VersesConfig>("verses", kDocuments, "31,102 verses of the King James Bible, by testament, division or book",
                        "Debian's package bible-kjv"),
};

}  // namespace

std::span<const DatasetEntry> datasets() { return kDatasets; }

std::span<const ChoiceRow> dataset_choices() {
  static const std::vector<ChoiceRow> rows = [] {
    std::vector<ChoiceRow> made;
    for (const DatasetEntry& entry : kDatasets) made.push_back({entry.name, entry.doc, entry.defaults});
    return made;
  }();
  return rows;
}

namespace {

const DatasetEntry& entry_of(const Choice& choice) {
  const auto found = std::find_if(kDatasets.begin(), kDatasets.end(),
                                  [&](const DatasetEntry& entry) { return entry.name == choice.name; });
  if (found == kDatasets.end()) {
    throw UsageError(fmt::format("data: there is no set \"{}\"; see `genzoo datasets`", choice.name));
  }
  return *found;
}

}  // namespace

Dataset open_dataset(const Choice& choice, const DataPlaces& places) {
  return entry_of(choice).open(choice.settings, places);
}

std::optional<Dataset> stand_in_for(const Choice& choice) { return entry_of(choice).stand_in(choice.settings); }

}  // namespace genzoo
