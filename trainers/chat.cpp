#include "trainers/chat.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "trainers/growing_text.h"
#include "trainers/text_generation.h"
#include "trainers/translations.h"

namespace genzoo {
namespace {

/// The text that shows that an answer is over: what is behind it, or, where that is white space, which may be part of
/// it, also what the user's next message begins with.
std::string stop_of(const ChatTemplate& frames) {
  const std::string& behind = frames.assistant.behind;
  const size_t last = behind.find_last_not_of(" \n");
  return last == behind.npos ? behind + frames.user.before : behind.substr(0, last + 1);
}

}  // namespace

Chat::Chat(const AnyModel& model, const DataSpec& spec, ChatTemplate frames, ChatOptions options, torch::Device device)
    : model_(model), spec_(spec), frames_(std::move(frames)), options_(std::move(options)), device_(device) {
  if (!model.can.generate && !model.can.translate) {
    throw UsageError(fmt::format("chat: {} neither continues texts nor answers", model.family));
  }
  tokenizer_ = tokenizer_from_json(spec.tokenizer);
  if (!options_.system.empty()) messages_.push_back({Role::system, options_.system});
}

int64_t Chat::longest_question() const {
  if (model_.can.translate) return spec_.shape[0] - 1;  // and its end
  const int64_t context = model_.can.context;
  return context - std::min(options_.generate.tokens, context / 2);
}

bool Chat::forget_oldest(std::vector<Message>& messages) const {
  const auto is_user = [](const Message& m) { return m.role == Role::user; };
  const auto first = std::ranges::find_if(messages, is_user);
  if (first == messages.end()) return false;
  const auto second = std::find_if(first + 1, messages.end(), is_user);
  if (second == messages.end()) return false;  // only what is asked now is left
  messages.erase(first, second);
  return true;
}

std::string Chat::answer(const std::string& question) {
  std::vector<Message> messages = messages_;
  messages.push_back({Role::user, question});
  const size_t all = messages.size();
  std::string text = frames_.question(messages);
  while (tokenizer_->encode(text).numel() > longest_question() && forget_oldest(messages)) {
    text = frames_.question(messages);
  }
  if (const int64_t tokens = tokenizer_->encode(text).numel(); tokens > longest_question()) {
    throw UsageError(
        fmt::format("chat: the question has {} tokens with what stands around it; the model sees {}: ask "
                    "a shorter one{}",
                    tokens, longest_question(), model_.can.translate ? "" : ", or take fewer --tokens for the answer"));
  }
  const std::string said = next(text);
  forgotten_ += static_cast<int64_t>(all - messages.size());
  messages_ = std::move(messages);
  messages_.push_back({Role::assistant, said});
  ++answers_;
  return said;
}

std::string Chat::next(const std::string& question) {
  return model_.can.translate ? translated(question) : continued(question);
}

std::string Chat::continued(const std::string& question) {
  TextRequest request{.prompts = {question}, .options = options_.generate, .stops = options_.stops};
  request.stops.push_back(stop_of(frames_));
  request.shows_prompts = false;
  request.stream = [this](size_t, std::string_view piece) {
    if (options_.stream) options_.stream(piece);
  };
  request.first = answers_;
  request.seed = options_.seed;
  return generate_texts(model_, spec_, request, device_)[0];
}

std::string Chat::translated(const std::string& question) {
  size_t told = 0;
  GrowingText growing(*tokenizer_, spec_.end_token, {}, [&](std::string_view piece) {
    told += piece.size();
    if (options_.stream) options_.stream(piece);
  });
  TranslateOptions options = options_.translate;
  options.told = [&](int64_t token) { growing.add(token); };
  const std::string text = translate_text(model_, spec_, question, /*n=*/1, options, options_.seed, device_)[0];
  growing.finish();
  // With beams nothing is told before the end.
  if (options_.stream && told < text.size()) options_.stream(std::string_view(text).substr(told));
  return text;
}

}  // namespace genzoo
