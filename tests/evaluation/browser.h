// A real browser, without a screen, that says what it made of a page.
#pragma once

#include <fmt/format.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "tests/support.h"

namespace genzoo {

class Browser final {
 public:
  /// Chromium or Chrome on the PATH that starts here; nothing if there is none.
  static std::optional<Browser> find() {
    const char* path = std::getenv("PATH");
    std::istringstream folders(path ? path : "");
    for (std::string folder; std::getline(folders, folder, ':');) {
      for (const char* name : {"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}) {
        const auto program = std::filesystem::path(folder) / name;
        if (!std::filesystem::exists(program)) continue;
        const Browser browser(program);
        if (browser.dom("data:text/html,<p>alive", "").find("<p>alive</p>") != std::string::npos) return browser;
      }
    }
    return std::nullopt;
  }

  /// The document at `address` after its scripts ran, as HTML.
  std::string dom(const std::string& address, const std::string& options) const {
    const TempDir profile;
    const std::string command = fmt::format(
        "timeout 100 '{}' --headless --no-sandbox --disable-gpu --no-first-run --disable-dev-shm-usage "
        "--user-data-dir='{}' --virtual-time-budget=10000 {} --dump-dom '{}' 2>/dev/null",
        program_.string(), profile.path().string(), options, address);
    FILE* pipe = popen(command.c_str(), "r");
    if (!pipe) return "";
    std::string text;
    std::array<char, 65536> piece;
    for (size_t size = 0; (size = fread(piece.data(), 1, piece.size(), pipe)) > 0;) text.append(piece.data(), size);
    pclose(pipe);
    return text;
  }

  struct View {
    std::string page;  ///< HTML
    int width = 0;     ///< CSS pixels
  };

  /// What each view looks like, side by side in one window: {"width", "content" (the width that the page wants),
  /// "problems", "resources" (loaded from elsewhere), "background", "charts", "colored" (pixels of the first series'
  /// color in the emptiest chart), "pictures", "broken" (of them), "hints"}.
  std::vector<Json> look_at(const std::vector<View>& views, const std::string& options = "") const {
    const TempDir folder;
    std::string frames;
    for (size_t i = 0; i < views.size(); ++i) {
      write_file_whole(folder / fmt::format("{}.html", i), probed(views[i].page, i));
      frames += fmt::format("<iframe src=\"{}.html\" style=\"width:{}px;height:900px;border:0\"></iframe>\n", i,
                            views[i].width);
    }
    write_file_whole(folder / "all.html", std::string(kCollector) + frames);
    const std::string text = dom("file://" + (folder / "all.html").string(), options);
    std::vector<Json> seen(views.size());
    for (size_t i = 0; i < views.size(); ++i) {
      const std::string begin = fmt::format("[view {}]", i);
      const size_t at = text.find(begin);
      INFO(text.substr(0, 2000));
      REQUIRE(at != std::string::npos);
      const size_t first = at + begin.size();
      seen[i] = parse_json(text.substr(first, text.find("[end]", first) - first), begin);
    }
    return seen;
  }

 private:
  explicit Browser(std::filesystem::path program) : program_(std::move(program)) {}

  static constexpr const char* kCollector =
      R"html(<!DOCTYPE html><title>views</title><style>:root { color-scheme: light dark }</style><script>
addEventListener("message", event => document.body.append(event.data));
</script>
)html";

  // Before anything of the page: what goes wrong.
  static constexpr const char* kWatch = R"html(<script>
window.problems = [];
addEventListener("error", event => problems.push("error " + event.message), true);
addEventListener("unhandledrejection", event => problems.push("rejection " + event.reason));
for (const level of ["error", "warn"]) console[level] = (...words) => problems.push(level + " " + words.join(" "));
window.alert = words => problems.push("alert " + words);
</script>)html";

  // After all of it: what there is to see.
  static constexpr const char* kReport = R"html(<script>
addEventListener("load", () => setTimeout(() => {
  const root = document.documentElement, series = getComputedStyle(root).getPropertyValue("--series-0").trim();
  const wanted = [1, 3, 5].map(i => parseInt(series.slice(i, i + 2), 16));
  const colored = canvas => {
    const pixels = canvas.width && canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    let count = 0;
    for (let i = 0; i < pixels.length; i += 4) {
      count += pixels[i + 3] > 200 && wanted.every((value, c) => Math.abs(pixels[i + c] - value) < 12);
    }
    return count;
  };
  const canvases = [...document.querySelectorAll("canvas")], pictures = [...document.images];
  const seen = {
    width: innerWidth, content: root.scrollWidth, problems,
    resources: performance.getEntriesByType("resource").map(entry => entry.name).filter(name => !name.startsWith("data:")),
    background: getComputedStyle(document.body).backgroundColor,
    charts: canvases.length, colored: Math.min(...canvases.map(colored), 1e9),
    pictures: pictures.length, broken: pictures.filter(picture => !picture.complete || !picture.naturalWidth).length,
    hints: document.querySelectorAll("figcaption span[id]:not([hidden])").length,
  };
  parent.postMessage("[view " + window.view + "]" + JSON.stringify(seen).replace(/[<>&]/g, "?") + "[end]", "*");
}, 500));
</script>)html";

  static std::string probed(const std::string& page, size_t view) {
    const size_t head = page.find("<head>"), end = page.rfind("</body>");
    REQUIRE(head != std::string::npos);
    REQUIRE(end != std::string::npos);
    return page.substr(0, head + 6) + kWatch + page.substr(head + 6, end - head - 6) +
           fmt::format("<script>window.view = {};</script>", view) + kReport + page.substr(end);
  }

  std::filesystem::path program_;
};

}  // namespace genzoo
