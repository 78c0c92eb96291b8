#pragma once
// Where data lie: the folders looked through for a set, in order.

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace genzoo {

/// The folders where the set `name` may lie, in order: `root` alone if given; else $GENZOO_DATA/<name>, the user's
/// cache, and the distribution's `package_folder` (below DataPlaces::packages; empty: it has none).
std::vector<std::filesystem::path> data_folders(const std::string& name, const std::string& root,
                                                const DataPlaces& places, const std::string& package_folder = "");

/// The first of `names` that is a file, in the first of `folders` that has one; empty when there is none.
std::filesystem::path first_file(std::span<const std::filesystem::path> folders, std::span<const std::string> names);

/// `folder`/`name`, or with .gz appended when only that is there; empty when neither is.
std::filesystem::path plain_or_gzip(const std::filesystem::path& folder, const std::string& name);

/// One line: "data/NAME: not found: looked for WANTED in A, B; ADVICE".
[[noreturn]] void throw_not_found(const std::string& name, const std::string& wanted,
                                  std::span<const std::filesystem::path> folders, const std::string& advice);

}  // namespace genzoo
