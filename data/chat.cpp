#include "data/chat.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "data/pairs.h"

namespace genzoo {
namespace {

/// A template whose frames are alike but for a word.
ChatTemplate of_names(const std::string& before, const std::string& between, const std::string& behind) {
  const auto frame = [&](const char* name) { return MessageFrame{before + name + between, behind}; };
  return {frame("system"), frame("user"), frame("assistant")};
}

const std::vector<NamedChatTemplate>& templates() {
  static const std::vector<NamedChatTemplate> known = {
      {"plain", nullptr, {{"", "\n"}, {"User: ", "\n"}, {"Assistant: ", "\n"}}},
      // OpenAI's, Qwen's and others'.
      {"chatml", "<|im_start|>", of_names("<|im_start|>", "\n", "<|im_end|>\n")},
      {"llama3", "<|start_header_id|>", of_names("<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>")},
      // TinyLlama's, too.
      {"zephyr", nullptr, of_names("<|", "|>\n", "</s>\n")},
      // Taori et al. (2023).
      {"alpaca", nullptr, {{"", "\n\n"}, {"### Instruction:\n", "\n\n"}, {"### Response:\n", "\n\n"}}},
  };
  return known;
}

[[noreturn]] void damaged(const std::string& what) {
  throw RunError(fmt::format("chat template: {}; the file is damaged or not of this program", what));
}

Role role_named(const Json& name, const std::string& place) {
  for (size_t i = 0; i < std::size(kRoleNames); ++i) {
    if (name == kRoleNames[i]) return static_cast<Role>(i);
  }
  throw RunError(fmt::format("{}: the role {}; wanted {}", place, name.dump(), fmt::join(kRoleNames, ", ")));
}

Message message_of(const Json& json, const std::string& place) {
  if (!json.is_object() || !json.contains("role") || !json.contains("content") || !json["content"].is_string()) {
    throw RunError(fmt::format(R"({}: the message {}; wanted {{"role": "user", "content": "..."}})", place,
                               json.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 60)));
  }
  return {role_named(json["role"], place), json["content"].get<std::string>()};
}

std::vector<Message> conversation_of(std::string_view line, const std::string& place) {
  const Json json = parse_json(std::string(line), place);
  if (!json.is_object() || !json.contains("messages") || !json["messages"].is_array()) {
    throw RunError(fmt::format(R"({}: no object with a list "messages"; mend the line)", place));
  }
  std::vector<Message> messages;
  bool answered = false;
  for (const Json& item : json["messages"]) {
    messages.push_back(message_of(item, place));
    const Message& said = messages.back();
    if (said.role == Role::system && messages.size() > 1) {
      throw RunError(fmt::format("{}: a system message that is not the first; mend the line", place));
    }
    if (said.role != Role::assistant) continue;
    if (messages.size() == 1) throw RunError(fmt::format("{}: the assistant speaks first; mend the line", place));
    if (said.content.empty()) throw RunError(fmt::format("{}: an answer is empty; mend the line", place));
    answered = true;
  }
  if (!answered) throw RunError(fmt::format("{}: the assistant says nothing; leave the conversation out", place));
  return messages;
}

/// What was said before each answer, and the answer.
void add_answers(const std::vector<Message>& messages, const ChatTemplate& frames, const std::string& where,
                 int64_t line, std::vector<TextPair>& pairs) {
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role != Role::assistant) continue;
    const std::string question = frames.question(std::span(messages).first(i));
    if (question.empty()) {
      throw RunError(
          fmt::format("{}:{}: nothing stands before an answer; mend the line, or give the template an "
                      "'assistant_before'",
                      where, line));
    }
    pairs.push_back({question, messages[i].content, line});
  }
}

ChatTemplate frames_of(const ChatConfig& config) {
  return std::visit(
      [](const auto& chosen) {
        if constexpr (requires { chosen.frames; }) {
          return chosen.frames;
        } else {
          return chat_template(chosen.kName);
        }
      },
      config);
}

}  // namespace

const MessageFrame& ChatTemplate::frame(Role role) const {
  switch (role) {
    case Role::system:
      return system;
    case Role::user:
      return user;
    case Role::assistant:
      break;
  }
  return assistant;
}

std::string ChatTemplate::question(std::span<const Message> messages) const {
  std::string text;
  for (const Message& said : messages) text += frame(said.role).before + said.content + frame(said.role).behind;
  return text + assistant.before;
}

std::string ChatTemplate::to_json() const {
  Json json = Json::object();
  for (size_t i = 0; i < std::size(kRoleNames); ++i) {
    const MessageFrame& own = frame(static_cast<Role>(i));
    json[kRoleNames[i]] = {{"before", own.before}, {"behind", own.behind}};
  }
  return json.dump();
}

ChatTemplate ChatTemplate::from_json(const std::string& text) {
  const Json json = parse_json(text, "chat template");
  const auto frame = [&](Role role) -> MessageFrame {
    const char* name = kRoleNames[static_cast<size_t>(role)];
    if (!json.is_object() || !json.contains(name)) damaged(fmt::format("no \"{}\"", name));
    const Json& own = json[name];
    for (const char* side : {"before", "behind"}) {
      if (!own.is_object() || !own.contains(side) || !own[side].is_string()) {
        damaged(fmt::format("\"{}\" has no text \"{}\"", name, side));
      }
    }
    return {own["before"].get<std::string>(), own["behind"].get<std::string>()};
  };
  return {frame(Role::system), frame(Role::user), frame(Role::assistant)};
}

std::string ChatTemplate::to_jinja() const {
  // Jinja's strings have JSON's escapes.
  const auto literal = [](const std::string& text) { return Json(text).dump(); };
  std::string text = "{% for message in messages %}";
  for (size_t i = 0; i < std::size(kRoleNames); ++i) {
    const MessageFrame& own = frame(static_cast<Role>(i));
    text += fmt::format("{{% {} message['role'] == '{}' %}}{{{{ {} + message['content'] + {} }}}}",
                        i == 0 ? "if" : "elif", kRoleNames[i], literal(own.before), literal(own.behind));
  }
  return text + "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ " + literal(assistant.before) +
         " }}{% endif %}";
}

std::span<const NamedChatTemplate> chat_templates() { return templates(); }

const ChatTemplate& chat_template(const std::string& name) {
  const auto found = std::ranges::find(templates(), name, &NamedChatTemplate::name);
  if (found != templates().end()) return found->frames;
  std::vector<std::string> names;
  for (const NamedChatTemplate& known : templates()) names.emplace_back(known.name);
  throw UsageError(
      fmt::format("chat template {}: there is none of that name; known are {}", name, fmt::join(names, ", ")));
}

std::optional<ChatTemplate> recognize_chat_template(std::string_view jinja) {
  for (const NamedChatTemplate& known : templates()) {
    if (jinja == known.frames.to_jinja()) return known.frames;
    if (known.sign && jinja.find(known.sign) != jinja.npos) return known.frames;
  }
  return std::nullopt;
}

void OwnChat::fields(Fields& f) {
  f("system_before", frames.system.before, "what stands before a system message");
  f("system_behind", frames.system.behind, "what stands behind it");
  f("user_before", frames.user.before, "what stands before what the user says");
  f("user_behind", frames.user.behind, "what stands behind it");
  f("assistant_before", frames.assistant.before, "what stands before an answer");
  f("assistant_behind", frames.assistant.behind, "what stands behind it, before what is said next");
  f.require(!frames.user.before.empty() || !frames.user.behind.empty() || !frames.assistant.before.empty(),
            "user_before", "nothing would tell questions from answers; give 'user_before' or 'assistant_before'");
}

void ConversationsConfig::fields(Fields& f) {
  f("file", file,
    "the file, a conversation a line: {\"messages\": [{\"role\": \"user\", \"content\": \"...\"}, {\"role\": "
    "\"assistant\", ...}]}",
    TextForm{"", "the path of a text file", /*required=*/true});
  f("template", chat, "how a conversation becomes a text: what stands before and behind each message");
  f("tokens", tokens,
    "what a token is: characters (Unicode code points that occur), bytes, bpe (byte pairs learned from the training "
    "part), or those of a tokenizer that is there");
  f("validation", validation, "the share of the conversations, at the end, kept for validation",
    Range{0, 1, true, true, "in (0, 1)"});
}

std::vector<std::vector<Message>> read_conversations(std::string_view text, const std::string& where) {
  std::vector<std::vector<Message>> conversations;
  for (int64_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    conversations.push_back(conversation_of(line, fmt::format("{}:{}", where, number)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return conversations;
}

Dataset open(const ConversationsConfig& config, const DataPlaces&) {
  if (config.file.empty()) throw UsageError("data.conversations.file: empty, wanted the path of a text file");
  const auto all = read_conversations(read_file(config.file), config.file);
  const auto train = static_cast<size_t>(static_cast<double>(all.size()) * (1 - config.validation));
  if (train < 1 || train == all.size()) {
    throw UsageError(fmt::format(
        "{}: {} conversations, of which a share of {} is for validation, leave {} to train on; wanted at least one for "
        "each: give more, or another share",
        config.file, all.size(), config.validation, train));
  }
  const ChatTemplate frames = frames_of(config.chat);
  PairTexts texts;
  for (size_t i = 0; i < all.size(); ++i) {
    add_answers(all[i], frames, config.file, static_cast<int64_t>(i) + 1, i < train ? texts.train : texts.validation);
  }
  Dataset dataset = make_pairs_dataset("conversations", texts, config.tokens, config.file);
  dataset.spec.chat = frames.to_json();
  return dataset;
}

}  // namespace genzoo
