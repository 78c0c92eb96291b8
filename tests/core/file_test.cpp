#include "core/file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "core/error.h"
#include "tests/support.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

size_t count_files(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

void put(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

/// Lets no file grow beyond a size, as a full disk would.
class FileSizeLimit final {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    previous_handler_ = signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &previous_);
    const rlimit limit{bytes, previous_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &previous_);
    signal(SIGXFSZ, previous_handler_);
  }

 private:
  rlimit previous_{};
  void (*previous_handler_)(int);
};

/// Runs something in a process of its own; what it returned.
int in_child(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_CASE("a file is written whole, with its folders, and nothing beside it", "[core]") {
  const TempDir dir;
  const fs::path path = dir / "a" / "b" / "c.txt";
  write_file_whole(path, "one");
  CHECK(read_file(path) == "one");
  write_file_whole(path, [](const Sink& sink) {
    sink("tw", 2);
    sink("o", 1);
  });
  CHECK(read_file(path) == "two");
  CHECK(count_files(path.parent_path()) == 1);
  const mode_t mask = umask(0);
  umask(mask);
  struct stat status {};
  REQUIRE(stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == (0666 & ~mask));
}

TEST_CASE("a write that fails leaves the old file and no temporary one", "[core]") {
  const TempDir dir;
  const fs::path path = dir / "file";
  write_file_whole(path, "old");

  SECTION("because the disk takes no more") {
    const FileSizeLimit limit(10'000);
    CHECK_THROWS_WITH(write_file_whole(path, std::string(20'000, 'x')),
                      Contains(path.string()) && Contains("File too large"));
  }
  SECTION("because its writer gave up") {
    CHECK_THROWS_WITH(write_file_whole(path,
                                       [](const Sink& sink) {
                                         sink("new", 3);
                                         throw std::runtime_error("gave up");
                                       }),
                      "gave up");
  }
  CHECK(read_file(path) == "old");
  CHECK(count_files(dir.path()) == 1);
}

TEST_CASE("what a killed writer left is overwritten, not kept", "[core]") {
  const TempDir dir;
  const fs::path path = dir / "file";
  in_child([&] {
    write_file_whole(path, [](const Sink& sink) {
      sink("half a fi", 9);
      kill(getpid(), SIGKILL);
    });
    return 0;
  });
  CHECK_FALSE(fs::exists(path));
  CHECK(count_files(dir.path()) == 1);
  write_file_whole(path, "ok");
  CHECK(read_file(path) == "ok");
  CHECK(count_files(dir.path()) == 1);
}

TEST_CASE("two writers of one file do not mix", "[core]") {
  const TempDir dir;
  const fs::path path = dir / "file";
  write_file_whole(path, [&](const Sink& sink) {
    sink("outer", 5);
    write_file_whole(path, "inner");
    CHECK(read_file(path) == "inner");
    sink(" whole", 6);
  });
  CHECK(read_file(path) == "outer whole");
  CHECK(count_files(dir.path()) == 1);
}

TEST_CASE("a file is written through a link, to a device directly, and never over a folder", "[core]") {
  const TempDir dir;
  write_file_whole(dir / "real", "old");
  fs::create_symlink("real", dir / "link");
  write_file_whole(dir / "link", "new");
  CHECK(fs::is_symlink(dir / "link"));
  CHECK(read_file(dir / "real") == "new");

  write_file_whole("/dev/null", "gone");
  CHECK(fs::is_character_file("/dev/null"));
  CHECK_THROWS_WITH(write_file_whole("/dev/full", "x"), "cannot write /dev/full: No space left on device");

  CHECK_THROWS_WITH(write_file_whole(dir.path(), "x"), Contains("it is a folder"));
  CHECK_THROWS_AS(write_file_whole(dir / "real" / "below", "x"), RunError);
}

TEST_CASE("reading tells a missing file from one that cannot be read", "[core]") {
  const TempDir dir;
  CHECK_THROWS_AS(read_file(dir / "none"), UsageError);
  CHECK_THROWS_WITH(read_file(dir / "none"), "there is no file " + (dir / "none").string());
  CHECK_THROWS_AS(read_file(dir.path()), RunError);
  const std::string bytes("\0\n\xff", 3);
  write_file_whole(dir / "file", bytes);
  CHECK(read_file(dir / "file") == bytes);
  CHECK(read_file(dir / "file", 3) == bytes);
  CHECK_THROWS_AS(read_file(dir / "file", 2), RunError);
  write_file_whole(dir / "empty", "");
  CHECK(read_file(dir / "empty").empty());
  CHECK_FALSE(read_file("/proc/self/status").empty());  // a file whose size is said to be 0
  CHECK_THROWS_AS(read_file("/dev/zero", 100'000), RunError);
}

TEST_CASE("appended lines are in the file at once, and a line cut short is dropped", "[core]") {
  const TempDir dir;
  const fs::path path = dir / "log" / "log.jsonl";
  {
    AppendedLines lines(path);
    lines.write("one");
    CHECK(read_file(path) == "one\n");
    AppendedLines moved(std::move(lines));
    moved.write("two");
    CHECK(read_file(path) == "one\ntwo\n");
  }
  for (const size_t cut : {size_t{1}, size_t{5000}, size_t{4096}}) {
    put(path, "one\ntwo\n" + std::string(cut, 'x'));
    AppendedLines(path).write("three");
    CHECK(read_file(path) == "one\ntwo\nthree\n");
  }
  put(path, "no newline at all");
  AppendedLines(path).write("first");
  CHECK(read_file(path) == "first\n");
}

TEST_CASE("a line that does not fit on the disk leaves whole lines behind", "[core]") {
  const TempDir dir;
  AppendedLines lines(dir / "log");
  lines.write("one");
  {
    const FileSizeLimit limit(100);
    CHECK_THROWS_AS(lines.write(std::string(200, 'x')), RunError);
  }
  CHECK(read_file(dir / "log") == "one\n");
  lines.write("two");
  CHECK(read_file(dir / "log") == "one\ntwo\n");
  CHECK_THROWS_WITH(AppendedLines("/dev/full").write("x"), "cannot write /dev/full: No space left on device");
}

TEST_CASE("one process at a time holds a folder's lock", "[core]") {
  const TempDir dir;
  const fs::path folder = dir / "run";
  CHECK_FALSE(is_locked(folder));
  CHECK_FALSE(fs::exists(folder));
  {
    std::optional<FolderLock> lock = FolderLock::try_lock(folder);
    REQUIRE(lock);
    CHECK(is_locked(folder));
    CHECK(in_child([&] { return FolderLock::try_lock(folder) ? 1 : 7; }) == 7);
    const FolderLock moved(std::move(*lock));
    lock.reset();
    CHECK(is_locked(folder));
  }
  CHECK_FALSE(is_locked(folder));
  CHECK(in_child([&] { return FolderLock::try_lock(folder) ? 1 : 7; }) == 1);
  CHECK(FolderLock::try_lock(folder));
  CHECK_THROWS_AS(FolderLock::try_lock("/dev/null/run"), RunError);
}

TEST_CASE("kill -9 frees a lock", "[core]") {
  const TempDir dir;
  int ready[2];
  REQUIRE(pipe(ready) == 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto lock = FolderLock::try_lock(dir.path());
    const char held = lock ? 1 : 0;
    if (write(ready[1], &held, 1) == 1) pause();
    _exit(0);
  }
  char held = 0;
  REQUIRE(read(ready[0], &held, 1) == 1);
  CHECK(held == 1);
  CHECK(is_locked(dir.path()));
  CHECK_FALSE(FolderLock::try_lock(dir.path()));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  CHECK_FALSE(is_locked(dir.path()));
  CHECK(FolderLock::try_lock(dir.path()));
  close(ready[0]);
  close(ready[1]);
}

TEST_CASE("a lock is not inherited by the programs its holder starts", "[core]") {
  const TempDir dir;
  pid_t child = 0;
  {
    const auto lock = FolderLock::try_lock(dir.path());
    REQUIRE(lock);
    child = fork();
    if (child == 0) execl("/bin/sleep", "sleep", "30", nullptr);
    while (fs::read_symlink("/proc/" + std::to_string(child) + "/exe") == fs::read_symlink("/proc/self/exe")) {
      usleep(1000);
    }
  }
  CHECK_FALSE(is_locked(dir.path()));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

TEST_CASE("digests are those of the standards", "[core]") {
  // FIPS 180-2 appendix B and RFC 1321 appendix A.5.
  const TempDir dir;
  const std::string abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  write_file_whole(dir / "abc", "abc");
  CHECK(sha256_of_file(dir / "abc") == abc);
  CHECK(md5_of_file(dir / "abc") == "900150983cd24fb0d6963f7d28e17f72");
  Sha256 sha;
  sha.update("a", 1);
  sha.update("bc", 2);
  CHECK(sha.hex() == abc);
  write_file_whole(dir / "million", std::string(1'000'000, 'a') + std::string(2'000'000, 'b'));
  CHECK(sha256_of_file(dir / "million") == "ca83d44c29f60563b4b4b415bc4fc0dba25dadf2ba863f38ea74c7ab3004a84c");
  CHECK_THROWS_AS(sha256_of_file(dir / "none"), RunError);
}

}  // namespace
}  // namespace genzoo
