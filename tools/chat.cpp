#include "tools/chat.h"

#include <fmt/format.h>

#include "core/error.h"
#include "data/chat.h"
#include "tools/conversation.h"
#include "tools/translation.h"
#include "trainers/chat.h"

namespace genzoo {
namespace {

/// "plain|chatml|...".
const std::string& names_of_templates() {
  static const std::string names = [] {
    std::string all;
    for (const NamedChatTemplate& known : chat_templates()) all += (all.empty() ? "" : "|") + std::string(known.name);
    return all;
  }();
  return names;
}

ChatTemplate template_of(const Arguments& arguments, const LoadedModel& loaded) {
  if (arguments.given("chat-template")) return chat_template(arguments.text("chat-template"));
  if (!loaded.spec.chat.empty()) return ChatTemplate::from_json(loaded.spec.chat);
  if (loaded.model.can.translate) {
    throw UsageError(fmt::format(
        "generate --chat: {} has learned {}, not conversations; train it on data: {{conversations: {{file: ...}}}}, or "
        "take --interactive, which answers single lines",
        loaded.path.string(), loaded.spec.dataset));
  }
  throw UsageError(fmt::format(
      "generate --chat: {} has no chat template, so how it would tell questions from answers is not known; give "
      "--chat-template {}",
      loaded.path.string(), names_of_templates()));
}

}  // namespace

std::vector<Option> with_chat_options(std::vector<Option> own) {
  own.push_back({"chat", Takes::nothing, "",
                 "answers each line of standard input as part of one conversation, by the model's chat template"});
  own.push_back({"chat-template", Takes::word, names_of_templates().c_str(),
                 "with --chat: how a conversation is written for the model, if not as it learned"});
  own.push_back({"system", Takes::text, "TEXT", "with --chat: what the model is told before all else"});
  return own;
}

void check_chat_options(const Arguments& arguments) {
  if (!arguments.flag("chat")) {
    for (const char* other : {"chat-template", "system"}) {
      if (!arguments.given(other)) continue;
      throw UsageError(fmt::format("generate: --{} is of conversations; give --chat", other));
    }
    return;
  }
  for (const char* other : {"interactive", "prompt", "json", "n", "batch"}) {
    if (!arguments.given(other)) continue;
    throw UsageError(
        fmt::format("generate: --chat answers each line that is typed, so --{} has no meaning; leave one out", other));
  }
}

void chat(const Arguments& arguments, const LoadedModel& loaded, const TextRequest& request) {
  ChatOptions options;
  if (arguments.given("system")) options.system = arguments.text("system");
  options.generate = request.options;
  options.stops = request.stops;
  options.seed = request.seed;
  options.stream = print_at_once;
  if (loaded.model.can.translate) options.translate = translate_options(arguments, loaded);
  Chat chat(loaded.model, loaded.spec, template_of(arguments, loaded), options, loaded.device);
  int64_t forgotten = 0;
  answer_lines([&](const std::string& line, uint64_t) {
    end_line(chat.answer(line), /*always=*/true);
    if (forgotten == 0 && chat.forgotten() > 0) {
      fmt::print(stderr, "genzoo: the conversation is longer than what the model sees; it forgets the beginning\n");
    }
    forgotten = chat.forgotten();
  });
}

}  // namespace genzoo
