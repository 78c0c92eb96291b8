#pragma once
// Downloads of public data sets into the user's cache.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace genzoo {

/// One file to be had: its addresses in order of preference and the digest its bytes must have.
struct RemoteFile {
  std::string name;
  std::vector<std::string> urls;
  std::string sha256;  ///< empty when only an MD5 was published
  std::string md5;     ///< the authors' own; empty when sha256 is given
};

/// What `genzoo fetch` knows of a data set.
struct RemoteDataset {
  std::string name;
  std::vector<RemoteFile> files;
};

std::span<const RemoteDataset> fetchable();

/// Bytes so far and in all (0: not known) of the file named.
using FetchProgress = std::function<void(const std::string& file, uint64_t done, uint64_t total)>;

/// Downloads what is missing into `folder`. A partial download is kept as `<name>.part` and resumed; a file is renamed
/// to its name only when its digest is right; one that is there with the right digest is not fetched again. Throws
/// RunError that says, for every file still missing, which to put where by hand and where it can be had.
void fetch_dataset(const RemoteDataset& dataset, const std::filesystem::path& folder, const FetchProgress& progress);

}  // namespace genzoo
