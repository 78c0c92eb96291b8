#pragma once
// What there is to learn from. A data set is held in memory as it is stored (uint8 pixels, small integers for tokens,
// float32 vectors); it tells its shape by a DataSpec; a batch is a pure function of (seed, index).
//
// Legend: N examples, B batch, C channels, H rows, W columns, D dimensions, T tokens; of pairs S tokens of the source
// and T of the target; K classes.

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.h"
#include "core/error.h"
#include "core/json.h"
#include "core/random.h"

namespace genzoo {

using torch::Tensor;

enum class DataKind {
  images,
  vectors,
  tokens,     ///< one text, whole
  pairs,      ///< a source text and the target text it is to be made into
  documents,  ///< texts, each of one of some classes
};

/// The facts of the data that a model is built for. They come from the data, never from a config.
struct DataSpec {
  std::string dataset;  ///< its name: "fashion_mnist"
  DataKind kind = DataKind::vectors;
  std::vector<int64_t> shape;  ///< images {C, H, W}; vectors {D}; tokens {}; pairs {S, T} and documents {T}: the
                               ///< longest, ends included
  int64_t levels = 0;          ///< a pixel is 0 ... levels - 1: 256, or 2 when binarized; so too the whole numbers of
                               ///< discrete vectors; 0: vectors of real numbers
  int64_t classes = 0;         ///< labels are 0 ... classes - 1; 0: unlabelled
  std::vector<std::string> class_names = {};  ///< of documents: K, in the labels' order; else empty
  int64_t vocabulary = 0;                     ///< tokens are 0 ... vocabulary - 1
  int64_t end_token = -1;  ///< ends a text; of pairs and documents it also fills up shorter ones, and no tokenizer
                           ///< makes it. -1: none
  std::string token_unit;  ///< of texts: "char", "byte" or "token": what a likelihood is counted in
  std::string tokenizer;   ///< of texts: Tokenizer::to_json() as text
  std::string chat = {};   ///< of conversations: ChatTemplate::to_json() as text; else empty

  int64_t dims() const;  ///< product of shape: D of one image or vector
  /// Whether its examples are texts: one, pairs of them, or documents.
  bool has_tokens() const { return kind != DataKind::images && kind != DataKind::vectors; }
  Json to_json() const;
  static DataSpec from_json(const Json& json);  ///< throws RunError on a damaged one
  std::string describe() const;                 ///< "images 1x28x28, 256 levels, 10 classes"
  bool operator==(const DataSpec&) const = default;
};

/// What a model is given. Data as stored: uint8 images 0 ... levels - 1, float32 vectors, int64 tokens.
struct Batch {
  Tensor x;  ///< images (B, C, H, W) uint8 | vectors (B, D) float32 | tokens (B, T) int64 | sources (B, S) int64
             ///< | documents (B, T) int64
  Tensor y;  ///< labels (B) int64 | the next tokens (B, T) int64 | targets (B, T) int64 | undefined when there are none
  int64_t size() const { return x.size(0); }
};

/// Throws UsageError unless x (N, ...) is images or vectors as `spec` says they are stored: shape, type, levels,
/// finite, at least one. `whose` takes them: "realnvp", "fashion_mnist".
void require_stored(const Tensor& x, const DataSpec& spec, const std::string& whose);

enum class Split { train, validation, test };
inline constexpr const char* kSplitNames[] = {"train", "validation", "test"};

/// The examples of one split, as stored.
struct Examples {
  Tensor x;  ///< images (N, C, H, W) uint8 | vectors (N, D) float32 | the whole text (L) uint8, uint16 or int32 tokens
             ///< | sources (N, S) or documents (N, T) uint8 or int32 tokens, each ended and filled up with end_token
  Tensor y = {};  ///< labels (N) int64 | targets (N, T), as the sources | undefined
};

/// How pixels become bits: not at all; once, by one fixed Bernoulli draw with the pixel's brightness as probability;
/// or anew in every training batch (Burda et al., 2016), with the fixed draw for validation and test.
enum class Binarize { none, fixed, dynamic };
inline constexpr const char* kBinarizeNames[] = {"none", "static", "dynamic"};

/// The clusters of a density whose modes lie apart: a mixture of Gaussians N(center_m, std^2 I).
struct Modes {
  Tensor centers;    ///< (M, D) float64
  Tensor weights;    ///< (M) float64, positive, summing to one
  double std = 0.0;  ///< standard deviation of each along any direction
};

struct Dataset {
  DataSpec spec;
  Examples train;
  Examples validation;
  Examples test;                       ///< x undefined when the set has no test split
  Binarize binarize = Binarize::none;  ///< `dynamic`: train.x holds grey pixels, batches hold bits

  /// log p(x) (B) float64, nats, of vectors (B, D) float32; empty when not known in closed form.
  std::function<Tensor(const Tensor& x)> log_density;
  /// Entropy of an example, nats (of vectors the differential one), or entropy rate, nats per token; nothing when
  /// unknown.
  std::optional<double> entropy;
  std::optional<Modes> modes;  ///< of a mixture of separate Gaussians; nothing for other data
  /// Of pairs: how far back in each source (B, S) stands what its target is made of, (B) int64 tokens before the
  /// source's end; empty when that has no one place.
  std::function<Tensor(const Tensor& x)> distance;

  /// SHA-256, hex, of what is learned and tested: the examples of all splits as stored, their kind and treatment. Two
  /// data sets with the same digest are the same.
  std::string digest() const;

  const Examples& operator[](Split split) const;
  bool has(Split split) const { return (*this)[split].x.defined(); }
  void require(Split split) const;   ///< throws UsageError when it has no such split
  int64_t count(Split split) const;  ///< examples; of text: tokens
  /// The same with the first n examples (of text: tokens) of the training split alone; all of them for n = 0. Throws
  /// UsageError when it has fewer.
  Dataset learning_from(int64_t n) const;
};

/// The files of a data set are nowhere.
class DataMissing final : public RunError {
 public:
  using RunError::RunError;
};

/// Where data are looked for, in this order, below a config's own `root`.
struct DataPlaces {
  std::filesystem::path given;                    ///< $GENZOO_DATA; empty when not set
  std::filesystem::path cache;                    ///< $XDG_CACHE_HOME/genzoo or ~/.cache/genzoo
  std::filesystem::path packages = "/usr/share";  ///< where the distribution puts data

  static DataPlaces from_environment();
};

/// One row of the table of data sets.
struct DatasetEntry {
  std::string_view name;
  std::string_view doc;
  AnyConfig (*defaults)();
  /// Throws DataMissing, saying what to do next; RunError when the files are damaged.
  Dataset (*open)(const AnyConfig& settings, const DataPlaces& places);
  DataKind kind;
  std::string_view source;  ///< where it comes from: a publication or an address
  /// The entropy that the set opened with these settings has (Dataset::entropy), found without making the data.
  std::optional<double> (*entropy)(const AnyConfig& settings);
  /// Data of the same kind and size made by the program, to measure speed where the files are missing; nothing when
  /// the set has none.
  std::optional<Dataset> (*stand_in)(const AnyConfig& settings);
};

std::span<const DatasetEntry> datasets();      ///< the table of contents of data/
std::span<const ChoiceRow> dataset_choices();  ///< the same for the config reader
Dataset open_dataset(const Choice& choice, const DataPlaces& places);
std::optional<Dataset> stand_in_for(const Choice& choice);

/// The folder that holds every one of `files` (a name with .gz appended counts too) for the set `name`: `root` if
/// given (then nowhere else), else the places in order. Throws DataMissing that lists where it looked and what to do.
std::filesystem::path find_data(const std::string& name, const std::string& root, const DataPlaces& places,
                                std::span<const std::string> files, const std::string& package_folder = "",
                                const std::string& advice = "");

/// Training batches, moved to `device` once and made there.
///
/// Images, vectors, pairs and documents: epochs of a permutation of (seed, epoch), cut into batches without regard to
/// the epochs' ends. Text: windows of context + 1 tokens at uniform places (as nanoGPT draws them). Not thread-safe:
/// the last epoch's permutation is kept.
class TrainingSource final {
 public:
  TrainingSource(const Dataset& dataset, int64_t batch_size, int64_t context, uint64_t seed, torch::Device device);

  /// A pure function of (seed, index).
  Batch batch(int64_t index) const;

 private:
  Tensor permutation(int64_t epoch) const;
  Batch windows(int64_t index) const;

  DataKind kind_;
  Binarize binarize_;
  Tensor x_, y_;
  int64_t batch_size_, context_;
  uint64_t seed_;
  mutable int64_t cached_epoch_ = -1;
  mutable Tensor cached_permutation_;
};

/// A split in its own order: all of it, or its first `limit` examples. Text: non-overlapping windows of one context,
/// as in nanoGPT; the last, incomplete window is left out.
class EvaluationSource final {
 public:
  EvaluationSource(const Dataset& dataset, Split split, int64_t batch_size, int64_t context, int64_t limit,
                   torch::Device device);

  int64_t examples() const { return examples_; }  ///< of text: windows
  int64_t batches() const { return (examples_ + batch_size_ - 1) / batch_size_; }
  int64_t first_row(int64_t batch) const { return batch * batch_size_; }
  Batch batch(int64_t index) const;  ///< the last one may be smaller

 private:
  DataKind kind_;
  Tensor x_, y_;
  int64_t batch_size_, context_, examples_;
};

}  // namespace genzoo
