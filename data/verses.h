#pragma once
// The verses of the King James Bible, each labelled by where it stands: in which testament, division or book.

#include <string>
#include <string_view>
#include <vector>

#include "data/dataset.h"
#include "data/documents.h"

namespace genzoo {

/// What is told apart. testament: old and new. division, the customary nine of the Protestant canon: law (Genesis to
/// Deuteronomy), history (Joshua to Esther), poetry (Job to the Song of Solomon), major_prophets (Isaiah to Daniel),
/// minor_prophets (Hosea to Malachi); gospels, acts, letters (Romans to Jude) and revelation. book: 66.
enum class VerseLabels { testament, division, book };
inline constexpr const char* kVerseLabelNames[] = {"testament", "division", "book"};

struct VersesConfig : DocumentSettings {
  std::string root;
  VerseLabels labels = VerseLabels::division;

  void fields(Fields& f);
};

/// From verses.txt, lines as the program `bible` prints them, else from that program. A king_james.txt tells no book.
Dataset open(const VersesConfig& config, const DataPlaces& places);

/// The verses of a text of lines "Ge1:1 In the beginning ...", labelled. Throws RunError naming `where` and the line
/// that does not begin with a reference to one of the 66 books, or has no text.
std::vector<Document> read_verses(std::string_view printed, VerseLabels labels, const std::string& where);

}  // namespace genzoo
