#include "data/debd.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "data/byte_stream.h"
#include "data/places.h"
#include "data/synthetic.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

/// What the collection holds: bits of an example, and examples of each split.
struct Facts {
  std::string_view name;
  int64_t bits, train, validation, test;
};
constexpr std::array kSets = {
    Facts{"accidents", 111, 12758, 1700, 2551}, Facts{"ad", 1556, 2461, 327, 491},
    Facts{"baudio", 100, 15000, 2000, 3000},    Facts{"bbc", 1058, 1670, 225, 330},
    Facts{"bnetflix", 100, 15000, 2000, 3000},  Facts{"book", 500, 8700, 1159, 1739},
    Facts{"c20ng", 910, 11293, 3764, 3764},     Facts{"cr52", 889, 6532, 1028, 1540},
    Facts{"cwebkb", 839, 2803, 558, 838},       Facts{"dna", 180, 1600, 400, 1186},
    Facts{"jester", 100, 9000, 1000, 4116},     Facts{"kdd", 64, 180092, 19907, 34955},
    Facts{"kosarek", 190, 33375, 4450, 6675},   Facts{"msnbc", 17, 291326, 38843, 58265},
    Facts{"msweb", 294, 29441, 3270, 5000},     Facts{"nltcs", 16, 16181, 2157, 3236},
    Facts{"plants", 69, 17412, 2321, 3482},     Facts{"pumsb_star", 163, 12262, 1635, 2452},
    Facts{"tmovie", 500, 4524, 1002, 591},      Facts{"tretail", 135, 22041, 2938, 4408},
};

constexpr const char* kNamePattern =
    "accidents|ad|baudio|bbc|bnetflix|book|c20ng|cr52|cwebkb|dna|jester|kdd|kosarek|msnbc|msweb|nltcs|plants|"
    "pumsb_star|tmovie|tretail";
constexpr const char* kNameWords =
    "accidents, ad, baudio, bbc, bnetflix, book, c20ng, cr52, cwebkb, dna, jester, kdd, kosarek, msnbc, msweb, nltcs, "
    "plants, pumsb_star, tmovie or tretail";

const Facts& facts_of(const std::string& name) {
  const auto found = std::ranges::find(kSets, name, &Facts::name);
  if (found != kSets.end()) return *found;
  throw UsageError(fmt::format("data.debd.name: \"{}\"; wanted {}", name, kNameWords));
}

DataSpec spec_of(const Facts& set) {
  DataSpec spec;
  spec.dataset = fmt::format("debd_{}", set.name);
  spec.kind = DataKind::vectors;
  spec.shape = {set.bits};
  spec.levels = 2;
  return spec;
}

std::string inflated(const fs::path& path) {
  ByteStream stream(path);
  std::string text;
  for (std::array<char, 1 << 16> piece; const size_t count = stream.read_up_to(piece.data(), piece.size());) {
    text.append(piece.data(), count);
  }
  return text;
}

/// Lines of `bits` numbers 0 or 1 between commas -> (N, bits) float32.
Tensor read_bits(const fs::path& path, int64_t bits) {
  const std::string text = inflated(path);
  std::vector<float> values;
  values.reserve(text.size() / 2);
  int64_t line = 0;
  for (size_t at = 0; at < text.size(); ++line) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view rest(text.data() + at, end - at);
    if (rest.ends_with('\r')) rest.remove_suffix(1);
    at = end + 1;
    bool well_formed = static_cast<int64_t>(rest.size()) == 2 * bits - 1;
    for (size_t i = 0; well_formed && i < rest.size(); ++i) {
      well_formed = i % 2 == 1 ? rest[i] == ',' : rest[i] == '0' || rest[i] == '1';
      if (i % 2 == 0) values.push_back(rest[i] == '1' ? 1.0F : 0.0F);
    }
    if (well_formed) continue;
    throw RunError(fmt::format("{}:{}: \"{}\"; wanted {} bits, 0 or 1, between commas", path.string(), line + 1,
                               rest.substr(0, 40), bits));
  }
  if (line == 0) throw RunError(fmt::format("{}: the file is empty; wanted lines of {} bits", path.string(), bits));
  return torch::tensor(values).view({line, bits});
}

}  // namespace

void DebdConfig::fields(Fields& f) {
  f("name", name, "one of the collection's sets", TextForm{kNamePattern, kNameWords, /*required=*/true});
  f("root", root, "the folder with NAME.train, NAME.valid, NAME.test; empty: looked for in the usual places");
}

Dataset open(const DebdConfig& config, const DataPlaces& places) {
  const Facts& set = facts_of(config.name);
  const std::array<std::string, 3> files = {config.name + ".train", config.name + ".valid", config.name + ".test"};
  const fs::path folder = find_data("debd", config.root, places, files, /*package_folder=*/"",
                                    "copy them there from https://github.com/arranger1044/DEBD");
  Dataset dataset;
  dataset.spec = spec_of(set);
  dataset.train.x = read_bits(plain_or_gzip(folder, files[0]), set.bits);
  dataset.validation.x = read_bits(plain_or_gzip(folder, files[1]), set.bits);
  dataset.test.x = read_bits(plain_or_gzip(folder, files[2]), set.bits);
  return dataset;
}

Dataset stand_in(const DebdConfig& config) {
  const Facts& set = facts_of(config.name);
  const auto bits = [&](Split split, int64_t count) {
    return synthetic_stream(/*data_seed=*/0, split).uniform({count, set.bits}).round_();
  };
  Dataset dataset;
  dataset.spec = spec_of(set);
  dataset.train.x = bits(Split::train, set.train);
  dataset.validation.x = bits(Split::validation, set.validation);
  dataset.test.x = bits(Split::test, set.test);
  return dataset;
}

}  // namespace genzoo
