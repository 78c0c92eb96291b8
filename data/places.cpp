#include "data/places.h"

#include <fmt/format.h>

#include <cstdlib>
#include <system_error>

#include "core/error.h"

namespace genzoo {

namespace fs = std::filesystem;

namespace {

fs::path environment_path(const char* variable) {
  const char* value = std::getenv(variable);
  return value ? fs::path(value) : fs::path();
}

bool is_file(const fs::path& path) {
  std::error_code ignored;  // what cannot be looked at is not there for us
  return fs::is_regular_file(path, ignored);
}

}  // namespace

DataPlaces DataPlaces::from_environment() {
  DataPlaces places;
  places.given = environment_path("GENZOO_DATA");
  const fs::path cache = environment_path("XDG_CACHE_HOME");
  const fs::path home = environment_path("HOME");
  // The XDG base directory specification has relative paths ignored.
  if (cache.is_absolute()) {
    places.cache = cache / "genzoo";
  } else if (!home.empty()) {
    places.cache = home / ".cache" / "genzoo";
  }
  return places;
}

std::vector<fs::path> data_folders(const std::string& name, const std::string& root, const DataPlaces& places,
                                   const std::string& package_folder) {
  if (!root.empty()) return {root};
  std::vector<fs::path> folders;
  if (!places.given.empty()) folders.push_back(places.given / name);
  if (!places.cache.empty()) folders.push_back(places.cache / name);
  if (!package_folder.empty() && !places.packages.empty()) folders.push_back(places.packages / package_folder);
  return folders;
}

fs::path plain_or_gzip(const fs::path& folder, const std::string& name) {
  for (const std::string& candidate : {name, name + ".gz"}) {
    if (is_file(folder / candidate)) return folder / candidate;
  }
  return {};
}

fs::path first_file(std::span<const fs::path> folders, std::span<const std::string> names) {
  for (const fs::path& folder : folders) {
    for (const std::string& name : names) {
      if (is_file(folder / name)) return folder / name;
    }
  }
  return {};
}

void throw_not_found(const std::string& name, const std::string& wanted, std::span<const fs::path> folders,
                     const std::string& advice) {
  std::string looked;
  for (const fs::path& folder : folders) looked += (looked.empty() ? "" : ", ") + folder.string();
  throw DataMissing(fmt::format("data/{}: not found: looked for {} in {}{}", name, wanted,
                                looked.empty() ? "no folder (neither GENZOO_DATA nor HOME is set)" : looked,
                                advice.empty() ? "" : "; " + advice));
}

fs::path find_data(const std::string& name, const std::string& root, const DataPlaces& places,
                   std::span<const std::string> files, const std::string& package_folder, const std::string& advice) {
  const std::vector<fs::path> folders = data_folders(name, root, places, package_folder);
  // Of a set that is there in part, say which file is missing where.
  std::string missing;
  for (const fs::path& folder : folders) {
    std::string lacking;
    size_t found = 0;
    for (const std::string& file : files) {
      if (!plain_or_gzip(folder, file).empty()) {
        ++found;
      } else if (lacking.empty()) {
        lacking = file;
      }
    }
    if (lacking.empty()) return folder;
    if (found > 0 && missing.empty()) missing = fmt::format("; {} has no {}", folder.string(), lacking);
  }
  std::string wanted;
  for (const std::string& file : files) wanted += (wanted.empty() ? "" : ", ") + file;
  throw_not_found(name, wanted + " (or .gz)", folders,
                  advice.empty() && missing.empty() ? "" : advice + (advice.empty() ? missing.substr(2) : missing));
}

}  // namespace genzoo
