// Conversations: read from files, and written as texts.
#include "data/chat.h"

#include "core/error.h"
#include "core/file.h"
#include "data/pairs.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using Catch::Matchers::Contains;

const std::vector<Message> kTalk = {
    {Role::system, "Be brief."}, {Role::user, "One and one?"}, {Role::assistant, "Two."}, {Role::user, "And one?"}};

std::string line(const std::vector<Message>& messages) {
  Json list = Json::array();
  for (const Message& m : messages) {
    list.push_back({{"role", kRoleNames[static_cast<size_t>(m.role)]}, {"content", m.content}});
  }
  return Json{{"messages", list}}.dump() + "\n";
}

TEST_CASE("a conversation is written as its template says", "[data][chat]") {
  CHECK(chat_template("chatml").question(kTalk) ==
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nOne and one?<|im_end|>\n"
        "<|im_start|>assistant\nTwo.<|im_end|>\n<|im_start|>user\nAnd one?<|im_end|>\n<|im_start|>assistant\n");
  CHECK(chat_template("llama3").question(std::span(kTalk).subspan(1, 1)) ==
        "<|start_header_id|>user<|end_header_id|>\n\nOne and one?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n");
  CHECK(chat_template("plain").question(kTalk) ==
        "Be brief.\nUser: One and one?\nAssistant: Two.\nUser: And one?\nAssistant: ");
  CHECK_THROWS_WITH(chat_template("klingon"), Contains("known are plain, chatml, llama3, zephyr, alpaca"));
  for (const NamedChatTemplate& known : chat_templates()) {
    INFO(known.name);
    CHECK(ChatTemplate::from_json(known.frames.to_json()) == known.frames);
  }
  CHECK_THROWS_AS(ChatTemplate::from_json("{}"), RunError);
  CHECK_THROWS_AS(ChatTemplate::from_json("[1]"), RunError);
}

TEST_CASE("templates are those that `transformers` reads and writes", "[data][chat]") {
  const Json fixture =
      parse_json(read_file(std::filesystem::path(GENZOO_SOURCE_DIR) / "tests/reference/chat_templates.json"),
                 "chat_templates.json");
  std::vector<Message> talk;
  for (const Json& said : fixture["talk"]) {
    const auto role = std::ranges::find(kRoleNames, said["role"].get<std::string>()) - std::begin(kRoleNames);
    talk.push_back({static_cast<Role>(role), said["content"].get<std::string>()});
  }
  REQUIRE(fixture["known"].size() == chat_templates().size());
  for (const Json& theirs : fixture["known"]) {
    const ChatTemplate& frames = chat_template(theirs["name"].get<std::string>());
    INFO(theirs["name"]);
    CHECK(frames.to_jinja() == theirs["jinja"].get<std::string>());
    CHECK(frames.question(talk) == theirs["text"].get<std::string>());
    CHECK(recognize_chat_template(frames.to_jinja()) == frames);
  }
  for (const Json& foreign : fixture["foreign"]) {
    INFO(foreign["name"]);
    const auto frames = recognize_chat_template(foreign["jinja"].get<std::string>());
    REQUIRE(frames.has_value() == !foreign["known"].is_null());
    if (!frames) continue;
    CHECK(*frames == chat_template(foreign["known"].get<std::string>()));
    CHECK(frames->question(talk) == foreign["text"].get<std::string>());
  }
}

TEST_CASE("every answer of a conversation is the target of what was said before", "[data][chat]") {
  const TempDir folder;
  std::vector<Message> talk = kTalk;
  talk.push_back({Role::assistant, "Three."});
  std::string file;
  for (int i = 0; i < 4; ++i) file += line(talk);
  write_file_whole(folder / "talk.jsonl", file);
  ConversationsConfig config;
  config.file = (folder / "talk.jsonl").string();
  config.chat = ChatMLChat{};
  config.validation = 0.25;
  const Dataset set = open(config, DataPlaces{});
  CHECK(set.spec.kind == DataKind::pairs);
  CHECK(set.count(Split::train) == 6);  // two answers of each of three conversations
  CHECK(set.count(Split::validation) == 2);
  const auto tokenizer = tokenizer_from_json(set.spec.tokenizer);
  const auto text = [&](const Tensor& row) { return text_before_end(set.spec, *tokenizer, row.to(torch::kLong)); };
  const ChatTemplate frames = ChatTemplate::from_json(set.spec.chat);
  CHECK(frames == chat_template("chatml"));
  CHECK(text(set.train.x[0]) == frames.question(std::span(talk).first(2)));
  CHECK(text(set.train.y[0]) == "Two.");
  CHECK(text(set.train.x[1]) == frames.question(std::span(talk).first(4)));
  CHECK(text(set.train.y[1]) == "Three.");
  CHECK(DataSpec::from_json(set.spec.to_json()) == set.spec);
  OwnChat own;
  own.frames.user = {"Q: ", "\n"};
  own.frames.assistant = {"A: ", "\n"};
  config.chat = own;
  const Dataset other = open(config, DataPlaces{});
  CHECK(text_before_end(other.spec, *tokenizer_from_json(other.spec.tokenizer), other.train.x[1].to(torch::kLong)) ==
        "Be brief.Q: One and one?\nA: Two.\nQ: And one?\nA: ");
}

TEST_CASE("an answer to nothing is refused", "[data][chat]") {
  const TempDir folder;
  const std::string silent = line({{Role::system, ""}, {Role::assistant, "b"}});
  write_file_whole(folder / "talk.jsonl", line({{Role::user, "a"}, {Role::assistant, "b"}}) + silent);
  ConversationsConfig config;
  config.file = (folder / "talk.jsonl").string();
  config.validation = 0.5;
  OwnChat own;
  own.frames.user.before = "Q";
  config.chat = own;
  CHECK_THROWS_WITH(open(config, DataPlaces{}), Contains("talk.jsonl:2: nothing stands before an answer"));
}

TEST_CASE("lines that are no conversation are named", "[data][chat]") {
  const auto why = [](const std::string& text) -> std::string {
    try {
      read_conversations(text, "talk.jsonl");
    } catch (const RunError& error) {
      return error.what();
    }
    return "";
  };
  const std::string good = line({{Role::user, "a"}, {Role::assistant, "b"}});
  CHECK(why(good + good).empty());
  CHECK_THAT(why(good + "{\"messages\": 3}\n"), Contains("talk.jsonl:2: no object with a list \"messages\""));
  CHECK_THAT(why(good + "\n"), Contains("talk.jsonl:2"));
  CHECK_THAT(why("{"), Contains("talk.jsonl:1"));
  CHECK_THAT(why(R"({"messages": [{"role": "tool", "content": "a"}]})"),
             Contains("the role \"tool\"; wanted system, user, assistant"));
  CHECK_THAT(why(R"({"messages": [{"role": "user"}]})"), Contains("talk.jsonl:1: the message"));
  CHECK_THAT(why(line({{Role::assistant, "b"}})), Contains("the assistant speaks first"));
  CHECK_THAT(why(line({{Role::user, "b"}, {Role::system, "c"}})), Contains("a system message that is not the first"));
  CHECK_THAT(why(line({{Role::user, "b"}, {Role::assistant, ""}})), Contains("an answer is empty"));
  CHECK_THAT(why(line({{Role::user, "b"}})), Contains("the assistant says nothing"));
}

}  // namespace
}  // namespace genzoo
