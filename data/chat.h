#pragma once
// Conversations, and how they are written as one text for a language model: chat templates.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/config.h"
#include "data/dataset.h"
#include "data/text.h"

namespace genzoo {

enum class Role { system, user, assistant };
inline constexpr const char* kRoleNames[] = {"system", "user", "assistant"};

/// What one of a conversation says.
struct Message {
  Role role = Role::user;
  std::string content;
};

/// What stands before and behind a message.
struct MessageFrame {
  std::string before, behind;
  bool operator==(const MessageFrame&) const = default;
};

/// How a conversation becomes a text: each message in the frame of who says it, one after another.
struct ChatTemplate {
  MessageFrame system, user, assistant;

  const MessageFrame& frame(Role role) const;
  /// All messages, and what stands before the assistant's next one.
  std::string question(std::span<const Message> messages) const;

  std::string to_json() const;                             ///< as text
  static ChatTemplate from_json(const std::string& text);  ///< throws RunError for anything else
  std::string to_jinja() const;                            ///< as `transformers` reads it, from a list `messages`
  bool operator==(const ChatTemplate&) const = default;
};

/// A template that is known by name.
struct NamedChatTemplate {
  const char* name;
  const char* sign;  ///< what stands in templates of its kind and in no others; nullptr: others look alike
  ChatTemplate frames;
};
std::span<const NamedChatTemplate> chat_templates();

/// Throws UsageError, telling which there are, for a name that is none.
const ChatTemplate& chat_template(const std::string& name);

/// The known template that a template in Jinja, as `transformers` keeps them, seems to be; nothing when none is. Such
/// templates are programs, which are not run: one is known by its sign, and what else it does is not done, or for being
/// what to_jinja() writes.
std::optional<ChatTemplate> recognize_chat_template(std::string_view jinja);

// The known templates, and frames of one's own, as a config names them.
struct PlainChat {
  static constexpr const char* kName = "plain";
  void fields(Fields&) {}
};
struct ChatMLChat {
  static constexpr const char* kName = "chatml";
  void fields(Fields&) {}
};
struct Llama3Chat {
  static constexpr const char* kName = "llama3";
  void fields(Fields&) {}
};
struct ZephyrChat {
  static constexpr const char* kName = "zephyr";
  void fields(Fields&) {}
};
struct AlpacaChat {
  static constexpr const char* kName = "alpaca";
  void fields(Fields&) {}
};
struct OwnChat {
  static constexpr const char* kName = "own";
  ChatTemplate frames;
  void fields(Fields& f);
};
using ChatConfig = std::variant<PlainChat, ChatMLChat, Llama3Chat, ZephyrChat, AlpacaChat, OwnChat>;

struct ConversationsConfig {
  std::string file;
  ChatConfig chat;
  TokensConfig tokens;
  double validation = 0.1;

  void fields(Fields& f);
};

/// The conversations of JSON lines {"messages": [{"role": "user", "content": "..."}, ...]}. Throws RunError naming
/// `where` and the line: no such object, a role that is none of kRoleNames, an assistant that speaks first, a system
/// message that is not the first, no answer at all, an empty answer.
std::vector<std::vector<Message>> read_conversations(std::string_view text, const std::string& where);

/// Pairs: of each answer of the assistant what was said before, as the template has it, and the answer. Conversations,
/// not answers, are split: the last `validation` share of them is for validation.
Dataset open(const ConversationsConfig& config, const DataPlaces& places);

}  // namespace genzoo
