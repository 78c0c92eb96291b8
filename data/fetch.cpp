#include "data/fetch.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "core/error.h"
#include "core/file.h"
#include "data/download.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

// The same file below each of the folders.
RemoteFile at_each(std::initializer_list<const char*> folders, const std::string& name, const std::string& sha256) {
  RemoteFile file{name, {}, sha256, ""};
  for (const char* folder : folders) file.urls.push_back(folder + name);
  return file;
}

RemoteFile mnist_file(const std::string& name, const std::string& sha256) {
  return at_each(
      {"https://storage.googleapis.com/cvdf-datasets/mnist/", "https://ossci-datasets.s3.amazonaws.com/mnist/"}, name,
      sha256);
}

RemoteFile fashion_file(const std::string& name, const std::string& sha256) {
  return at_each({"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                  "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"},
                 name, sha256);
}

std::vector<RemoteDataset> make_table() {
  return {
      {"mnist",
       {mnist_file("train-images-idx3-ubyte.gz", "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        mnist_file("train-labels-idx1-ubyte.gz", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        mnist_file("t10k-images-idx3-ubyte.gz", "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        mnist_file("t10k-labels-idx1-ubyte.gz", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6")}},
      {"fashion_mnist",
       {fashion_file("train-images-idx3-ubyte.gz", "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        fashion_file("train-labels-idx1-ubyte.gz", "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        fashion_file("t10k-images-idx3-ubyte.gz", "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        fashion_file("t10k-labels-idx1-ubyte.gz", "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5")}},
      // The archive is read as it is; nothing is unpacked.
      {"cifar10",
       {{"cifar-10-binary.tar.gz",
         {"https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
          "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/cifar-10-binary.tar.gz"},
         "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
         ""}}},
      {"tiny_shakespeare",
       {{"input.txt",
         {"https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
          "https://storage.googleapis.com/download.tensorflow.org/data/shakespeare.txt"},
         "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
         ""}}},
  };
}

bool has_right_digest(const fs::path& path, const RemoteFile& file) {
  if (!fs::is_regular_file(path)) return false;
  return file.sha256.empty() ? md5_of_file(path) == file.md5 : sha256_of_file(path) == file.sha256;
}

// From one address into the partial file, going on after interruptions. Nothing when the file is complete and right,
// else why not.
std::optional<std::string> fetch_from(const std::string& url, const RemoteFile& file, const fs::path& part,
                                      const FetchProgress& progress) {
  constexpr int kAttempts = 5;
  std::string reason;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const bool resumed = fs::exists(part) && fs::file_size(part) > 0;
    const DownloadResult result = download(url, part, [&](uint64_t done, uint64_t total) {
      if (progress) progress(file.name, done, total);
    });
    reason = result.reason;
    if (result.how == Download::refused) break;
    if (result.how == Download::interrupted) continue;
    if (result.how == Download::complete) {
      if (has_right_digest(part, file)) return std::nullopt;
      reason = fmt::format("its {} is {}, wanted {}", file.sha256.empty() ? "MD5" : "SHA-256",
                           file.sha256.empty() ? md5_of_file(part) : sha256_of_file(part),
                           file.sha256.empty() ? file.md5 : file.sha256);
    }
    // Wrong bytes, or none that fit on to those there. If the beginning is an earlier download's it may be to blame:
    // once more from the start.
    fs::remove(part);
    if (!resumed) break;
  }
  return reason;
}

// Nothing when the file is there now, else what went wrong at each address.
std::optional<std::string> fetch_file(const RemoteFile& file, const fs::path& folder, const FetchProgress& progress) {
  const fs::path whole = folder / file.name, part = folder / (file.name + ".part");
  if (has_right_digest(whole, file)) return std::nullopt;
  std::string reasons;
  bool right = has_right_digest(part, file);  // stopped between the last byte and the renaming
  for (size_t i = 0; i < file.urls.size() && !right; ++i) {
    const auto reason = fetch_from(file.urls[i], file, part, progress);
    right = !reason;
    if (reason) reasons += fmt::format("{}{}: {}", reasons.empty() ? "" : "; ", file.urls[i], *reason);
  }
  if (!right) return reasons;
  fs::rename(part, whole);
  return std::nullopt;
}

}  // namespace

std::span<const RemoteDataset> fetchable() {
  static const std::vector<RemoteDataset> table = make_table();
  return table;
}

void fetch_dataset(const RemoteDataset& dataset, const fs::path& folder, const FetchProgress& progress) {
  const auto lock = FolderLock::try_lock(folder);
  if (!lock) {
    throw RunError(
        fmt::format("fetch {}: another genzoo is fetching into {}; wait for it", dataset.name, folder.string()));
  }
  std::string missing, reasons;
  try {
    for (const RemoteFile& file : dataset.files) {
      const auto failure = fetch_file(file, folder, progress);
      if (!failure) continue;
      missing += fmt::format("{}{}", missing.empty() ? "" : ", ", file.name);
      for (size_t i = 0; i < file.urls.size(); ++i)
        missing += fmt::format(" {} {}", i == 0 ? "from" : "or", file.urls[i]);
      if (reasons.empty()) reasons = *failure;
    }
  } catch (const fs::filesystem_error& error) {
    throw RunError(fmt::format("fetch {}: {}", dataset.name, error.what()));
  }
  if (missing.empty()) return;
  throw RunError(fmt::format("fetch {}: not downloaded ({}); put by hand into {}: {}", dataset.name, reasons,
                             folder.string(), missing));
}

}  // namespace genzoo
