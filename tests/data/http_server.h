#pragma once
// A small HTTP server on 127.0.0.1 for the tests of downloads: one connection after another, in a thread of its own.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <initializer_list>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace genzoo {

/// What is served at one path.
struct Page {
  std::string path;
  std::string bytes = {};
  bool ranges = true;             ///< answers `Range: bytes=N-` with 206 and the rest
  size_t break_after = SIZE_MAX;  ///< closes the connection after so many bytes of each answer
  std::string redirect = {};      ///< 302 to this address instead
};

class HTTPServer final {
 public:
  HTTPServer(std::initializer_list<Page> pages) : pages_(pages) {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (listener_ < 0 || bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        listen(listener_, 8) != 0 || getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::runtime_error("cannot listen on 127.0.0.1");
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~HTTPServer() {
    shutdown(listener_, SHUT_RDWR);  // ends accept
    thread_.join();
    close(listener_);
  }
  HTTPServer(const HTTPServer&) = delete;
  HTTPServer& operator=(const HTTPServer&) = delete;

  std::string url(const std::string& path) const { return "http://127.0.0.1:" + std::to_string(port_) + path; }

  /// The requests so far: "/path" or "/path from N".
  std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void serve() {
    for (int connection; (connection = accept(listener_, nullptr, nullptr)) >= 0; close(connection)) {
      std::string request;
      char piece[1024];
      while (request.find("\r\n\r\n") == std::string::npos) {
        const ssize_t n = recv(connection, piece, sizeof piece, 0);
        if (n <= 0) break;
        request.append(piece, static_cast<size_t>(n));
      }
      answer(connection, request);
    }
  }

  void answer(int connection, const std::string& request) {
    const size_t begin = request.find(' ') + 1;
    const std::string path = request.substr(begin, request.find(' ', begin) - begin);
    const size_t range = request.find("Range: bytes=");
    const size_t from = range == std::string::npos ? 0 : std::stoul(request.substr(range + 13));
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(path + (from > 0 ? " from " + std::to_string(from) : ""));
    }
    const auto page = std::find_if(pages_.begin(), pages_.end(), [&](const Page& p) { return p.path == path; });
    if (page == pages_.end()) return reply(connection, "404 Not Found", "", "<html>no such page</html>", SIZE_MAX);
    if (!page->redirect.empty()) return reply(connection, "302 Found", "Location: " + page->redirect + "\r\n", "", 0);
    if (from == 0 || !page->ranges) return reply(connection, "200 OK", "", page->bytes, page->break_after);
    const std::string total = std::to_string(page->bytes.size());
    if (from >= page->bytes.size()) {
      return reply(connection, "416 Range Not Satisfiable", "Content-Range: bytes */" + total + "\r\n", "", 0);
    }
    reply(connection, "206 Partial Content",
          "Content-Range: bytes " + std::to_string(from) + "-" + std::to_string(page->bytes.size() - 1) + "/" + total +
              "\r\n",
          page->bytes.substr(from), page->break_after);
  }

  static void reply(int connection, const std::string& status, const std::string& headers, const std::string& body,
                    size_t break_after) {
    const std::string text = "HTTP/1.1 " + status +
                             "\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
                             headers + "\r\n" + body.substr(0, break_after);
    for (size_t sent = 0; sent < text.size();) {
      const ssize_t n = send(connection, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return;
      sent += static_cast<size_t>(n);
    }
  }

  std::vector<Page> pages_;
  int listener_ = -1;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

}  // namespace genzoo
