#pragma once
// A conversation with a model, answer by answer.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/chat.h"
#include "data/dataset.h"
#include "data/tokenizers/tokenizer.h"
#include "models/model.h"

namespace genzoo {

struct ChatOptions {
  std::string system;                   ///< what the model is told before all else; empty: nothing
  GenerateOptions generate = {};        ///< of a model that continues a text
  TranslateOptions translate = {};      ///< of a model that has learned conversations, or other pairs
  std::vector<std::string> stops = {};  ///< texts that end an answer, besides what its frame ends with
  uint64_t seed = 0;
  std::function<void(std::string_view piece)> stream = {};  ///< told of an answer's pieces as they come
};

class Chat final {
 public:
  /// Throws UsageError unless the model continues texts or makes targets of sources.
  Chat(const AnyModel& model, const DataSpec& spec, ChatTemplate frames, ChatOptions options, torch::Device device);

  /// What the model answers to all that was said and now to this. Answer i of a model of texts is drawn from the stream
  /// (seed, i); a model of conversations gives the likeliest, unless options.translate draws. The
  /// oldest questions and their answers are forgotten where all together are longer than what the model sees (for
  /// texts, less what is to be generated, or half of it; of conversations the longest it learned from). Throws
  /// UsageError for a question that is too long alone or has characters without a token; then it is as if nothing had
  /// been asked.
  std::string answer(const std::string& question);

  const std::vector<Message>& messages() const { return messages_; }
  int64_t forgotten() const { return forgotten_; }  ///< messages so far

 private:
  std::string next(const std::string& question);
  std::string continued(const std::string& question);
  std::string translated(const std::string& question);
  int64_t longest_question() const;  ///< tokens
  bool forget_oldest(std::vector<Message>& messages) const;

  const AnyModel& model_;
  DataSpec spec_;
  ChatTemplate frames_;
  ChatOptions options_;
  torch::Device device_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::vector<Message> messages_;
  int64_t forgotten_ = 0;
  uint64_t answers_ = 0;
};

}  // namespace genzoo
