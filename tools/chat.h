#pragma once
// generate --chat.

#include <vector>

#include "tools/arguments.h"
#include "trainers/checkpoint.h"
#include "trainers/text_generation.h"

namespace genzoo {

/// An option list with --chat and what belongs to it.
std::vector<Option> with_chat_options(std::vector<Option> own);

/// Throws UsageError for options of chats without --chat, and with it for those that mean nothing there.
void check_chat_options(const Arguments& arguments);

/// Answers each line of standard input, as part of one conversation. `request` says how texts are continued.
void chat(const Arguments& arguments, const LoadedModel& loaded, const TextRequest& request);

}  // namespace genzoo
