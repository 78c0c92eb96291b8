#include "data/verses.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "data/places.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

struct Book {
  std::string_view printed;  ///< as the program `bible` writes it before the chapter
  std::string_view name;
};

// In the order of the canon.
constexpr std::array<Book, 66> kBooks = {{{"Ge", "Genesis"},          {"Exo", "Exodus"},
                                          {"Lev", "Leviticus"},       {"Num", "Numbers"},
                                          {"Deu", "Deuteronomy"},     {"Josh", "Joshua"},
                                          {"Jdgs", "Judges"},         {"Ruth", "Ruth"},
                                          {"1Sm", "1 Samuel"},        {"2Sm", "2 Samuel"},
                                          {"1Ki", "1 Kings"},         {"2Ki", "2 Kings"},
                                          {"1Chr", "1 Chronicles"},   {"2Chr", "2 Chronicles"},
                                          {"Ezra", "Ezra"},           {"Neh", "Nehemiah"},
                                          {"Est", "Esther"},          {"Job", "Job"},
                                          {"Psa", "Psalms"},          {"Prv", "Proverbs"},
                                          {"Eccl", "Ecclesiastes"},   {"SSol", "Song of Solomon"},
                                          {"Isa", "Isaiah"},          {"Jer", "Jeremiah"},
                                          {"Lam", "Lamentations"},    {"Eze", "Ezekiel"},
                                          {"Dan", "Daniel"},          {"Hos", "Hosea"},
                                          {"Joel", "Joel"},           {"Amos", "Amos"},
                                          {"Obad", "Obadiah"},        {"Jonah", "Jonah"},
                                          {"Mic", "Micah"},           {"Nahum", "Nahum"},
                                          {"Hab", "Habakkuk"},        {"Zep", "Zephaniah"},
                                          {"Hag", "Haggai"},          {"Zec", "Zechariah"},
                                          {"Mal", "Malachi"},         {"Mat", "Matthew"},
                                          {"Mark", "Mark"},           {"Luke", "Luke"},
                                          {"John", "John"},           {"Acts", "Acts"},
                                          {"Rom", "Romans"},          {"1Cor", "1 Corinthians"},
                                          {"2Cor", "2 Corinthians"},  {"Gal", "Galatians"},
                                          {"Eph", "Ephesians"},       {"Phi", "Philippians"},
                                          {"Col", "Colossians"},      {"1Th", "1 Thessalonians"},
                                          {"2Th", "2 Thessalonians"}, {"1Tim", "1 Timothy"},
                                          {"2Tim", "2 Timothy"},      {"Titus", "Titus"},
                                          {"Phmn", "Philemon"},       {"Heb", "Hebrews"},
                                          {"Jas", "James"},           {"1Pet", "1 Peter"},
                                          {"2Pet", "2 Peter"},        {"1Jn", "1 John"},
                                          {"2Jn", "2 John"},          {"3Jn", "3 John"},
                                          {"Jude", "Jude"},           {"Rev", "Revelation"}}};

struct Division {
  std::string_view name, last_book;
};
constexpr Division kDivisions[] = {{"law", "Deuteronomy"},
                                   {"history", "Esther"},
                                   {"poetry", "Song of Solomon"},
                                   {"major_prophets", "Daniel"},
                                   {"minor_prophets", "Malachi"},
                                   {"gospels", "John"},
                                   {"acts", "Acts"},
                                   {"letters", "Jude"},
                                   {"revelation", "Revelation"}};
constexpr std::string_view kFirstOfNewTestament = "Matthew";

size_t place_in_canon(std::string_view name) {
  return static_cast<size_t>(std::ranges::find(kBooks, name, &Book::name) - kBooks.begin());
}

std::string label_of(size_t book, VerseLabels labels) {
  if (labels == VerseLabels::book) return std::string(kBooks[book].name);
  if (labels == VerseLabels::testament) return book < place_in_canon(kFirstOfNewTestament) ? "old" : "new";
  const auto division =
      std::ranges::find_if(kDivisions, [&](const Division& d) { return book <= place_in_canon(d.last_book); });
  return std::string(division->name);
}

/// The place in the canon of the book in a reference "1Cor13:4"; 66 when it is none.
size_t book_of(std::string_view reference) {
  constexpr std::string_view kDigits = "0123456789";
  const size_t colon = reference.find(':');
  if (colon == reference.npos || colon + 1 == reference.size()) return kBooks.size();
  if (reference.find_first_not_of(kDigits, colon + 1) != reference.npos) return kBooks.size();
  const size_t letter = reference.substr(0, colon).find_last_not_of(kDigits);
  if (letter == reference.npos || letter + 1 == colon) return kBooks.size();
  const auto found = std::ranges::find(kBooks, reference.substr(0, letter + 1), &Book::printed);
  return static_cast<size_t>(found - kBooks.begin());
}

}  // namespace

void VersesConfig::fields(Fields& f) {
  f("root", root, "the folder with verses.txt; empty: looked for in the usual places, else the program bible");
  f("labels", labels, kVerseLabelNames,
    "what of a verse is to be told: its testament, its division (law, history, poetry, major_prophets, "
    "minor_prophets, gospels, acts, letters, revelation) or its book");
  DocumentSettings::fields(f);
}

std::vector<Document> read_verses(std::string_view printed, VerseLabels labels, const std::string& where) {
  std::vector<Document> verses;
  while (!printed.empty()) {
    const size_t end = std::min(printed.find('\n'), printed.size());
    const std::string_view line = printed.substr(0, end);
    const auto number = static_cast<int64_t>(verses.size()) + 1;
    const size_t space = std::min(line.find(' '), line.size()), book = book_of(line.substr(0, space));
    if (book == kBooks.size() || space + 1 >= line.size()) {
      throw RunError(
          fmt::format("{}:{}: \"{}\" is no verse behind a reference such as 1Cor13:4; wanted lines as `bible -f "
                      "Gen1:1-Rev22:21` prints them",
                      where, number, line.substr(0, 40)));
    }
    verses.push_back({label_of(book, labels), std::string(line.substr(space + 1)), number});
    printed.remove_prefix(std::min(end + 1, printed.size()));
  }
  return verses;
}

Dataset open(const VersesConfig& config, const DataPlaces& places) {
  const std::array<std::string, 1> names = {"verses.txt"};
  const std::vector<fs::path> folders = data_folders("verses", config.root, places);
  const auto made = [&](const std::string& printed, const std::string& where) {
    return make_documents_dataset("verses", read_verses(printed, config.labels, where), config, where);
  };
  const fs::path file = first_file(folders, names);
  if (!file.empty()) return made(read_file(file), file.string());
  if (!config.root.empty()) {
    throw_not_found("verses", names[0], folders,
                    "put there what `bible -f Gen1:1-Rev22:21` prints, or leave root empty; a king_james.txt has no "
                    "references, so it tells no book");
  }
  const std::string or_else =
      "or give the folder with verses.txt, which has a line \"Ge1:1 In the beginning ...\" for "
      "each verse, as data.verses.root";
  return made(printed_king_james("verses", or_else), "bible");
}

}  // namespace genzoo
