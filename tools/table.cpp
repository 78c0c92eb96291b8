#include "tools/table.h"

#include <algorithm>

namespace genzoo {

std::string Table::text() const {
  std::vector<size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - row[i].size() + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);  // empty cells at the end leave no blanks
    text += line + "\n";
  }
  return text;
}

std::string Table::markdown() const {
  std::string text;
  for (const auto& row : rows_) {
    text += "|";
    for (const std::string& cell : row) text += " " + cell + " |";
    text += "\n";
    if (&row != &rows_.front()) continue;
    text += "|";
    for (size_t i = 0; i < row.size(); ++i) text += " --- |";
    text += "\n";
  }
  return text;
}

}  // namespace genzoo
