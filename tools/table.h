#pragma once
// Rows of text in aligned columns.

#include <string>
#include <vector>

namespace genzoo {

/// Columns are as wide as their widest cell, two spaces apart; the last column is not padded.
class Table final {
 public:
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.empty(); }
  std::string text() const;      ///< a line each, each with its newline
  std::string markdown() const;  ///< the same as a table of Markdown, the first row its head

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace genzoo
