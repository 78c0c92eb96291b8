#include "data/fetch.h"

#include <fstream>
#include <regex>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "data/dataset.h"
#include "tests/data/http_server.h"
#include "tests/support.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using Requests = std::vector<std::string>;

void write(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

const std::string kBytes = [] {
  std::string bytes(300000, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * i >> 4);
  return bytes;
}();

std::string sha256_of(const std::string& bytes) {
  Sha256 digest;
  digest.update(bytes.data(), bytes.size());
  return digest.hex();
}

RemoteDataset one_file(const std::vector<std::string>& urls) {
  return {"set", {{"file.bin", urls, sha256_of(kBytes), ""}}};
}

std::string error_of(const RemoteDataset& set, const fs::path& folder) {
  try {
    fetch_dataset(set, folder, {});
  } catch (const RunError& error) {
    return error.what();
  }
  return "no RunError";
}

}  // namespace

TEST_CASE("a file is downloaded, checked, and not fetched again", "[data]") {
  const TempDir folder;
  const HTTPServer server{{.path = "/file.bin", .bytes = kBytes}};
  uint64_t last = 0, total = 0;
  const RemoteDataset set = one_file({server.url("/file.bin")});
  fetch_dataset(set, folder / "set", [&](const std::string& file, uint64_t done, uint64_t all) {
    CHECK(file == "file.bin");
    CHECK(done >= last);
    last = done;
    total = all;
  });
  CHECK(last == kBytes.size());
  CHECK(total == kBytes.size());
  CHECK(read_file(folder / "set/file.bin") == kBytes);
  CHECK_FALSE(fs::exists(folder / "set/file.bin.part"));
  fetch_dataset(set, folder / "set", {});
  CHECK(server.requests() == Requests{"/file.bin"});
  // One that is there with another content is replaced.
  write(folder / "set/file.bin", "something else");
  fetch_dataset(set, folder / "set", {});
  CHECK(read_file(folder / "set/file.bin") == kBytes);
}

TEST_CASE("an MD5 serves where no SHA-256 was published", "[data]") {
  const TempDir folder;
  const HTTPServer server{{.path = "/a", .bytes = "abc"}};
  // RFC 1321, appendix A.5.
  RemoteDataset set{"set", {{"a", {server.url("/a")}, "", "900150983cd24fb0d6963f7d28e17f72"}}};
  fetch_dataset(set, folder.path(), {});
  CHECK(read_file(folder / "a") == "abc");
  set.files[0].md5[0] = '3';
  CHECK_THAT(error_of(set, folder.path()),
             Contains("its MD5 is 900150983cd24fb0d6963f7d28e17f72, wanted 300150983cd24fb0d6963f7d28e17f72"));
}

TEST_CASE("a partial download is gone on with", "[data]") {
  const TempDir folder;
  const HTTPServer server{{.path = "/file.bin", .bytes = kBytes}};
  write(folder / "file.bin.part", kBytes.substr(0, 100000));
  fetch_dataset(one_file({server.url("/file.bin")}), folder.path(), {});
  CHECK(server.requests() == Requests{"/file.bin from 100000"});
  CHECK(read_file(folder / "file.bin") == kBytes);
}

TEST_CASE("a connection that breaks is taken up where it broke", "[data]") {
  const TempDir folder;
  const HTTPServer server{{.path = "/file.bin", .bytes = kBytes, .break_after = 120000}};
  fetch_dataset(one_file({server.url("/file.bin")}), folder.path(), {});
  CHECK(server.requests() == Requests{"/file.bin", "/file.bin from 120000", "/file.bin from 240000"});
  CHECK(read_file(folder / "file.bin") == kBytes);
}

TEST_CASE("what came of a download that never ends is kept for the next time", "[data]") {
  const TempDir folder;
  const HTTPServer server{{.path = "/file.bin", .bytes = kBytes, .break_after = 10000}};
  const RemoteDataset set = one_file({server.url("/file.bin")});
  CHECK_THAT(error_of(set, folder.path()), Contains("not downloaded"));
  CHECK_FALSE(fs::exists(folder / "file.bin"));
  const auto kept = fs::file_size(folder / "file.bin.part");
  CHECK(kept == 50000);
  CHECK(read_file(folder / "file.bin.part") == kBytes.substr(0, kept));
}

TEST_CASE("a server without ranges, and a beginning that is not the file's, start over", "[data]") {
  const TempDir folder;
  const HTTPServer server{{.path = "/plain", .bytes = kBytes, .ranges = false}, {.path = "/file.bin", .bytes = kBytes}};
  SECTION("no ranges") {
    write(folder / "file.bin.part", kBytes.substr(0, 100000));
    fetch_dataset(one_file({server.url("/plain")}), folder.path(), {});
    CHECK(server.requests() == Requests{"/plain from 100000", "/plain"});
  }
  SECTION("wrong beginning") {
    write(folder / "file.bin.part", std::string(100000, 'x'));
    fetch_dataset(one_file({server.url("/file.bin")}), folder.path(), {});
    CHECK(server.requests() == Requests{"/file.bin from 100000", "/file.bin"});
  }
  SECTION("longer than the whole") {
    write(folder / "file.bin.part", kBytes + "more");
    fetch_dataset(one_file({server.url("/file.bin")}), folder.path(), {});
    CHECK(server.requests() == Requests{"/file.bin from 300004", "/file.bin"});
  }
  SECTION("whole already, but for the name") {
    write(folder / "file.bin.part", kBytes);
    fetch_dataset(one_file({server.url("/file.bin")}), folder.path(), {});
    CHECK(server.requests().empty());
  }
  CHECK(read_file(folder / "file.bin") == kBytes);
}

TEST_CASE("mirrors are tried in order, after wrong bytes too", "[data]") {
  const TempDir folder;
  const HTTPServer server{{.path = "/wrong", .bytes = "<html>sign in</html>"},
                          {.path = "/moved", .redirect = "/file.bin"},
                          {.path = "/away", .redirect = "file:///etc/hostname"},
                          {.path = "/file.bin", .bytes = kBytes}};
  fetch_dataset(one_file({server.url("/missing"), server.url("/wrong"), server.url("/away"), server.url("/moved")}),
                folder.path(), {});
  CHECK(server.requests() == Requests{"/missing", "/wrong", "/away", "/moved", "/file.bin"});
  CHECK(read_file(folder / "file.bin") == kBytes);
}

TEST_CASE("what could not be had is said in one line, with where to put it", "[data]") {
  const TempDir folder;
  const HTTPServer server{{.path = "/wrong", .bytes = "123456789"}, {.path = "/file.bin", .bytes = kBytes}};
  RemoteDataset set = one_file({server.url("/missing"), server.url("/wrong")});
  set.files.push_back({"good.bin", {server.url("/file.bin")}, sha256_of(kBytes), ""});
  const std::string line = error_of(set, folder / "cache");
  CHECK(line.find('\n') == std::string::npos);
  CHECK_THAT(line, Contains("fetch set: not downloaded"));
  CHECK_THAT(line, Contains(server.url("/missing") + ": The requested URL returned error: 404"));
  CHECK_THAT(line, Contains("its SHA-256 is 15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225, wanted"));
  CHECK_THAT(line, Contains("put by hand into " + (folder / "cache").string() + ": file.bin from " +
                            server.url("/missing") + " or " + server.url("/wrong")));
  // Neither the 404's page nor the wrong bytes are left, and the file that could be had is there.
  CHECK((!fs::exists(folder / "cache/file.bin.part") || fs::file_size(folder / "cache/file.bin.part") == 0));
  CHECK(read_file(folder / "cache/good.bin") == kBytes);
}

TEST_CASE("offline and unwritable are said", "[data]") {
  const TempDir folder;
  std::string closed;
  {
    const HTTPServer server{};
    closed = server.url("/file.bin");  // nobody listens there afterwards
  }
  CHECK_THAT(error_of(one_file({closed}), folder / "cache"), Contains("put by hand into"));
  write(folder / "file", "");
  CHECK_THAT(error_of(one_file({closed}), folder / "file/below"), Contains((folder / "file").string()));
}

TEST_CASE("what can be fetched is a data set, with digests that are ones", "[data]") {
  std::set<std::string_view> names;
  for (const DatasetEntry& entry : datasets()) names.insert(entry.name);
  for (const RemoteDataset& set : fetchable()) {
    INFO(set.name);
    CHECK(names.contains(set.name));
    for (const RemoteFile& file : set.files) {
      INFO(file.name);
      CHECK(file.urls.size() >= 2);
      CHECK(std::regex_match(file.sha256, std::regex("[0-9a-f]{64}")));
    }
  }
}

TEST_CASE("the digest of tiny_shakespeare is that of the file at hand", "[data]") {
  const auto folder = data_dir("tiny_shakespeare");
  if (!folder) SKIP("no $GENZOO_DATA/tiny_shakespeare");
  for (const RemoteDataset& set : fetchable()) {
    if (set.name == "tiny_shakespeare") {
      CHECK(sha256_of_file(*folder / "tinyshakespeare.txt") == set.files.at(0).sha256);
    }
  }
}

}  // namespace genzoo
