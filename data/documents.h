#pragma once
// Documents: texts, each of one of some classes. Behind the last token of the vocabulary stands one more, the end,
// which follows every text and fills up the shorter ones.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/dataset.h"
#include "data/text.h"
#include "data/tokenizers/tokenizer.h"

namespace genzoo {

/// How labelled texts become a data set.
struct DocumentSettings {
  TokensConfig tokens;
  double validation = 0.1;
  double test = 0.1;
  int64_t max_tokens = 0;
  int64_t data_seed = 0;

  void fields(Fields& f);
};

struct DocumentsConfig : DocumentSettings {
  std::string file;

  void fields(Fields& f);
};

Dataset open(const DocumentsConfig& config, const DataPlaces& places);

struct Document {
  std::string label, text;
  int64_t line = 0;  ///< of the file it stands in, from 1; 0: of none
};

/// The documents of a text of lines "LABEL TAB TEXT". Throws as read_tabbed_lines does.
std::vector<Document> read_documents(std::string_view text, const std::string& where);

/// The data set: documents in an order drawn by data_seed, the first for training, then the shares for validation and
/// test, so that any first N of the training part are a fair sample. Classes are the different labels, sorted. Rows of
/// tokens are as of pairs; what a token is, is learned as for texts: characters from all documents, byte pairs and
/// words from the training part. `where` names the documents in errors. Throws RunError for documents of fewer than two
/// classes, UsageError where a split is left without a document.
Dataset make_documents_dataset(const std::string& name, std::vector<Document> documents,
                               const DocumentSettings& settings, const std::string& where);

/// A text's tokens (L) int64 without its end, as the tokenizer's makers give a model a whole text (Tokenizer::whole).
/// Of a text that would have more than max_tokens, the end counted, the last tokens are left out: of the text, not of
/// what stands around it. 0: it is never cut. Throws UsageError if a character has no token, or there is room for none.
Tensor document_tokens(const Tokenizer& tokenizer, std::string_view text, int64_t max_tokens);

}  // namespace genzoo
