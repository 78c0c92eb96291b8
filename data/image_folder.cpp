// A folder of pictures, decoded once into memory. The only file of data/ that knows OpenCV.

#include <ATen/Parallel.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <torch/types.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "data/images.h"
#include "data/places.h"
#include "data/synthetic.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kLargestFile = uint64_t{1} << 28;  // of one picture, bytes
constexpr int64_t kLargestMemory = int64_t{1} << 36;  // of all pixels

const std::set<std::string> kExtensions = {".png", ".jpg",  ".jpeg", ".bmp", ".webp",
                                           ".tif", ".tiff", ".ppm",  ".pgm", ".pbm"};

[[noreturn]] void broken(const fs::path& file, const std::string& why) {
  throw RunError(
      fmt::format("{}: not a whole picture: {}; repair it or take it out of the folder", file.string(), why));
}

// Every picture below the folder, by its path from there, in ascending order; names that begin with a dot are hidden.
std::vector<fs::path> pictures_below(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  // Links are followed, since subsets are often made of them; a folder that is met again is not entered again.
  std::set<fs::path> entered{fs::weakly_canonical(folder, error)};
  const auto options = fs::directory_options::follow_directory_symlink;
  for (auto entry = fs::recursive_directory_iterator(folder, options, error);
       entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    const bool hidden = entry->path().filename().string().starts_with(".");
    const bool is_folder = entry->is_directory(error);
    const bool again = is_folder && !entered.insert(fs::weakly_canonical(entry->path(), error)).second;
    if (is_folder && (hidden || again)) entry.disable_recursion_pending();
    std::string extension = entry->path().extension().string();
    std::transform(extension.begin(), extension.end(), extension.begin(), ::tolower);
    if (!hidden && kExtensions.contains(extension) && entry->is_regular_file(error)) {
      found.push_back(entry->path().lexically_relative(folder));
    }
  }
  if (error) throw RunError(fmt::format("{}: cannot list it: {}", folder.string(), error.message()));
  std::sort(found.begin(), found.end());
  return found;
}

// --- Whole or cut short: the decoders fill up with grey what a file lacks, and say nothing ---------------------------

uint32_t big_endian(std::string_view bytes, size_t at, int count) {
  uint32_t value = 0;
  for (int i = 0; i < count; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

// PNG: 8 bytes, then chunks of length, type, data and CRC (of type and data), up to IEND.
std::string png_damage(std::string_view bytes) {
  for (size_t at = 8; at + 12 <= bytes.size();) {
    const uint64_t length = big_endian(bytes, at, 4);
    if (length > bytes.size() - at - 12) break;
    const std::string_view checked = bytes.substr(at + 4, 4 + length);
    const auto crc = crc32(0, reinterpret_cast<const Bytef*>(checked.data()), static_cast<uInt>(checked.size()));
    if (crc != big_endian(bytes, at + 8 + length, 4)) return fmt::format("PNG chunk at byte {} has a wrong CRC", at);
    if (checked.starts_with("IEND")) return "";
    at += 12 + length;
  }
  return "PNG ends before its IEND chunk";
}

// JPEG: marker segments with their lengths up to the start of scan (FF DA), then data up to the end marker (FF D9). The
// segments are stepped over because a thumbnail in one of them has an end marker too.
std::string jpeg_damage(std::string_view bytes) {
  size_t at = 2;
  while (at + 4 <= bytes.size()) {
    if (bytes[at] != '\xff') return fmt::format("JPEG has no marker at byte {}", at);
    const bool scan = bytes[at + 1] == '\xda';
    at += bytes[at + 1] == '\xff' ? 1 : 2 + big_endian(bytes, at + 2, 2);  // FF FF: a fill byte
    if (scan) return bytes.find("\xff\xd9", at) == bytes.npos ? "JPEG ends before its end marker" : "";
  }
  return "JPEG ends before its pixels";
}

// Why a picture is not whole; empty when nothing is known against it.
std::string damage(std::string_view bytes) {
  if (bytes.starts_with("\x89PNG\r\n\x1a\n")) return png_damage(bytes);
  if (bytes.starts_with("\xff\xd8")) return jpeg_damage(bytes);
  return "";
}

// While it lives, what is written to standard error is dropped.
class SilentStderr final {
 public:
  SilentStderr() : kept_(::dup(STDERR_FILENO)) {
    std::fflush(stderr);
    const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (kept_ >= 0 && nowhere >= 0) ::dup2(nowhere, STDERR_FILENO);
    if (nowhere >= 0) ::close(nowhere);
  }
  ~SilentStderr() {
    if (kept_ < 0) return;
    std::fflush(stderr);
    ::dup2(kept_, STDERR_FILENO);
    ::close(kept_);
  }
  SilentStderr(const SilentStderr&) = delete;
  SilentStderr& operator=(const SilentStderr&) = delete;

 private:
  int kept_;
};

// --- Pixels ----------------------------------------------------------------------------------------------------------

cv::Mat decode(const fs::path& file, bool grey) {
  std::string bytes;
  try {
    bytes = read_file(file, kLargestFile);
  } catch (const Error& error) {
    broken(file, error.what());
  }
  if (const std::string why = damage(bytes); !why.empty()) broken(file, why);
  cv::Mat picture;
  try {
    const cv::Mat buffer(1, static_cast<int>(bytes.size()), CV_8UC1, bytes.data());
    if (!bytes.empty()) picture = cv::imdecode(buffer, grey ? cv::IMREAD_GRAYSCALE : cv::IMREAD_COLOR);
  } catch (const cv::Exception& error) {
    broken(file, error.err);
  }
  if (picture.empty()) broken(file, fmt::format("its {} bytes cannot be decoded", bytes.size()));
  return picture;
}

// The picture as size x size.
cv::Mat fitted(const cv::Mat& picture, int size, Fit fit) {
  cv::Mat source = picture;
  cv::Size scaled(size, size);
  const int side = std::min(picture.rows, picture.cols), longer = std::max(picture.rows, picture.cols);
  if (fit == Fit::crop) {
    source = picture(cv::Rect((picture.cols - side) / 2, (picture.rows - side) / 2, side, side));
  } else if (fit == Fit::pad) {
    const auto scale = [&](int pixels) { return std::max(1, cvRound(static_cast<double>(pixels) * size / longer)); };
    scaled = cv::Size(scale(picture.cols), scale(picture.rows));
  }
  cv::Mat resized;
  // Averaging over areas when it gets smaller: other rules would alias.
  const bool smaller = scaled.width < source.cols || scaled.height < source.rows;
  cv::resize(source, resized, scaled, 0, 0, smaller ? cv::INTER_AREA : cv::INTER_LINEAR);
  const int rows = size - resized.rows, columns = size - resized.cols;
  cv::Mat square;
  cv::copyMakeBorder(resized, square, rows / 2, rows - rows / 2, columns / 2, columns - columns / 2,
                     cv::BORDER_CONSTANT, cv::Scalar::all(0));
  return square;
}

// Into a row (C, size, size) uint8: planes R, G, B instead of interleaved B, G, R.
void store(const cv::Mat& square, Tensor row) {
  const int64_t channels = square.channels();
  const Tensor pixels = torch::from_blob(square.data, {square.rows, square.cols, channels},
                                         {static_cast<int64_t>(square.step[0]), channels, 1}, torch::kByte);
  row.copy_(pixels.permute({2, 0, 1}).flip(/*dims=*/0));
}

Tensor decode_all(const fs::path& folder, const std::vector<fs::path>& files, const ImageFolderConfig& config) {
  const auto count = static_cast<int64_t>(files.size());
  const int64_t channels = config.grey ? 1 : 3, bytes = count * channels * config.size * config.size;
  if (bytes > kLargestMemory) {
    throw UsageError(
        fmt::format("data.image_folder: {} pictures of {}x{} take {} GiB of memory, wanted at most {}; "
                    "choose a smaller size",
                    count, config.size, config.size, bytes >> 30, kLargestMemory >> 30));
  }
  Tensor x = torch::empty({count, channels, config.size, config.size}, torch::kByte);
  cv::setNumThreads(0);        // the threads are ours: a picture each
  const SilentStderr silence;  // of a broken picture OpenCV and the libraries below it print lines of their own
  std::vector<std::string> mistakes(files.size());
  at::parallel_for(0, count, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      try {
        store(fitted(decode(folder / files[i], config.grey), static_cast<int>(config.size), config.fit), x[i]);
      } catch (const std::exception& error) {
        mistakes[i] = error.what();
      }
    }
  });
  size_t first = files.size();  // by path, which is not the order of `files`
  for (size_t i = 0; i < files.size(); ++i) {
    if (!mistakes[i].empty() && (first == files.size() || files[i] < files[first])) first = i;
  }
  if (first < files.size()) throw RunError(mistakes[first]);
  return x;
}

// Labels (N) by the first folder of each path, numbered in ascending order of their names; undefined when some picture
// lies in no folder.
Tensor labels_of(const std::vector<fs::path>& files, int64_t& classes) {
  std::map<std::string, int64_t> labels;
  for (const fs::path& file : files) {
    if (!file.has_parent_path()) return {};
    labels[file.begin()->string()] = 0;
  }
  for (auto& [name, label] : labels) label = classes++;
  Tensor y = torch::empty({static_cast<int64_t>(files.size())}, torch::kLong);
  for (size_t i = 0; i < files.size(); ++i) y.data_ptr<int64_t>()[i] = labels.at(files[i].begin()->string());
  return y;
}

}  // namespace

void ImageFolderConfig::fields(Fields& f) {
  f("root", root, "the folder, searched to its depths; its folders are the classes");
  f("size", size, "height and width the pictures are brought to", Range{1, 1024, false, false, "in [1, 1024]"});
  f("fit", fit, kFitNames, "how a picture becomes square: crop (its middle), pad (black bars), stretch");
  f("grey", grey, "one channel instead of three");
  f("validation", validation, "the share of the pictures kept for validation, at least one",
    Range{0, 1, true, true, "in (0, 1)"});
  f("binarize", binarize, kBinarizeNames,
    "pixels to bits: none, static (one fixed draw), dynamic (anew in every batch)");
}

Dataset open(const ImageFolderConfig& config, const DataPlaces& places) {
  std::vector<fs::path> files;
  fs::path folder;
  const std::vector<fs::path> folders = data_folders("image_folder", config.root, places);
  for (const fs::path& candidate : folders) {
    std::error_code unreadable;
    if (!fs::is_directory(candidate, unreadable)) continue;
    folder = candidate;
    files = pictures_below(candidate);
    break;
  }
  if (files.empty()) {
    throw_not_found("image_folder", "pictures (png, jpg, bmp, webp, tif, ppm)", folders,
                    "give the folder as data.image_folder.root");
  }
  const auto count = static_cast<int64_t>(files.size());
  if (count < 2) throw RunError(fmt::format("{}: 1 picture, wanted at least 2, one for validation", folder.string()));
  int64_t classes = 0;
  const Tensor y = labels_of(files, classes);
  // Shuffled once, the same way always: in the order of the paths the last part would be one class.
  const Tensor order = synthetic_stream(/*data_seed=*/0, Split::train).permutation(count);
  std::vector<fs::path> shuffled;
  for (int64_t i = 0; i < count; ++i) shuffled.push_back(files[order.data_ptr<int64_t>()[i]]);
  const Examples all{decode_all(folder, shuffled, config), y.defined() ? y.index_select(0, order) : Tensor()};

  ImageOptions options;
  options.validation = std::clamp<int64_t>(std::llround(config.validation * static_cast<double>(count)), 1, count - 1);
  options.binarize = config.binarize;
  return make_image_dataset("image_folder", all, {}, classes, options);
}

}  // namespace genzoo
