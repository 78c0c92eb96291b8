// Conversations with models.
#include "trainers/chat.h"

#include "core/error.h"
#include "data/pairs.h"
#include "tests/support.h"
#include "tests/trainers/tiny_experiment.h"
#include "trainers/checkpoint.h"
#include "trainers/growing_text.h"

namespace genzoo {
namespace {

using Catch::Matchers::Contains;

/// Ten conversations of three questions: the answer repeats what is asked.
std::string talk_file() {
  std::string file;
  for (int i = 0; i < 10; ++i) {
    Json list = Json::array();
    for (int turn = 0; turn < 3; ++turn) {
      const std::string said(1, static_cast<char>('a' + (i + turn) % 5));
      list.push_back({{"role", "user"}, {"content", said}});
      list.push_back({{"role", "assistant"}, {"content", said + said}});
    }
    file += Json{{"messages", list}}.dump() + "\n";
  }
  return file;
}

LoadedModel trained(const TempDir& folder, int64_t steps) {
  write_file_whole(folder / "talk.jsonl", talk_file());
  tiny::train(tiny::experiment("{transformer: {n_layer: 2, n_head: 2, n_embd: 32, block_size: 128, positions: rotary}}",
                               "{conversations: {file: " + (folder / "talk.jsonl").string() + ", validation: 0.2}}",
                               {"train.steps=" + std::to_string(steps), "train.ema=none", "train.batch_size=24",
                                "train.schedule=constant", "train.optimizer.adamw.lr=0.003"}),
              folder / "run");
  return load_model(folder / "run", Which::newest, Weights::raw, "cpu");
}

TEST_CASE("what was said before is part of what is asked next", "[trainers][chat]") {
  const TempDir folder;
  const LoadedModel m = trained(folder, 200);
  const ChatTemplate frames = ChatTemplate::from_json(m.spec.chat);
  std::string told;
  int pieces = 0;
  ChatOptions options;
  options.stream = [&](std::string_view piece) {
    told += piece;
    ++pieces;
  };
  Chat chat(m.model, m.spec, frames, options, torch::kCPU);
  CHECK(chat.answer("a") == "aa");
  CHECK(told == "aa");
  CHECK(pieces == 2);  // as they come
  const std::string second = chat.answer("b");
  CHECK(second == "bb");
  CHECK(chat.forgotten() == 0);
  REQUIRE(chat.messages().size() == 4);
  CHECK(chat.messages()[2].content == "b");
  CHECK(chat.messages()[3].content == second);
  // The second answer is the model's to the whole conversation, written as its template has it.
  const Tensor x = ended_tokens(m.spec, *tokenizer_from_json(m.spec.tokenizer),
                                frames.question(std::span(chat.messages()).first(3)));
  Rng rng = Rng::for_rows(0, Purpose::sample, 0, 1);
  CHECK(text_before_end(m.spec, *tokenizer_from_json(m.spec.tokenizer), m.model.can.translate(x, {}, rng)[0]) ==
        second);
  // The longest conversations it learned from have three questions; a fourth begins with the second.
  chat.answer("c");
  const std::vector<Message> before = chat.messages();
  REQUIRE(before.size() == 6);
  chat.answer("d");
  CHECK(chat.forgotten() == 2);
  CHECK(chat.messages().front().content == "b");
  CHECK(chat.messages().size() == 6);
  const std::vector<Message> then = chat.messages();
  CHECK_THROWS_WITH(chat.answer(std::string(200, 'a')), Contains("ask a shorter one"));
  CHECK_THROWS_AS(chat.answer("\xe2\x82\xac"), UsageError);  // a character it has no token for
  CHECK(chat.messages().size() == then.size());
  CHECK(chat.messages().back().content == then.back().content);
}

TEST_CASE("a model that continues texts answers until its template's end", "[trainers][chat]") {
  const TempDir folder;
  // After "A: " come two lines, and then the next question.
  std::string text;
  for (int i = 0; i < 400; ++i) text += "Q: is it so\nA: yes.\nso.\n";
  write_file_whole(folder / "a.txt", text);
  tiny::train(tiny::experiment("{transformer: {n_layer: 2, n_head: 2, n_embd: 32, block_size: 64, positions: rotary}}",
                               "{text: {file: " + (folder / "a.txt").string() + "}}",
                               {"train.steps=150", "train.ema=none", "train.batch_size=8", "train.schedule=constant",
                                "train.optimizer.adamw.lr=0.003"}),
              folder / "run");
  const LoadedModel m = load_model(folder / "run", Which::newest, Weights::raw, "cpu");
  const ChatTemplate frames{{"", "\n"}, {"Q: ", "\n"}, {"A: ", "\n"}};
  std::string told;
  ChatOptions options;
  options.generate.tokens = 20;
  options.generate.greedy = true;
  options.stream = [&](std::string_view piece) { told += piece; };
  Chat chat(m.model, m.spec, frames, options, torch::kCPU);
  CHECK(chat.answer("is it so") == "yes.\nso.");
  CHECK(told == "yes.\nso.");
  CHECK(chat.answer("is it so") == "yes.\nso.");
  CHECK(chat.forgotten() == 0);
  CHECK(chat.answer("is it so") == "yes.\nso.");  // 63 tokens, of a context of 64 of which 20 are for the answer
  CHECK(chat.forgotten() == 2);
  options.stops = {"s"};
  CHECK(Chat(m.model, m.spec, frames, options, torch::kCPU).answer("is it so") == "ye");
}

TEST_CASE("a text that grows is told in pieces that stay", "[trainers][chat]") {
  const auto tokenizer = Tokenizer::bytes();
  std::vector<std::string> pieces;
  GrowingText text(*tokenizer, /*end_token=*/-1, {"stop"}, [&](std::string_view piece) { pieces.emplace_back(piece); });
  text.begin({'a'}, /*shown=*/false);
  for (const unsigned char byte : std::string("b\xe2\x82\xacst")) CHECK(text.add(byte));
  CHECK(pieces == std::vector<std::string>{"b", "\xe2\x82\xac"});  // a character whole, a stop's beginning not yet
  CHECK(text.add('x'));
  CHECK(pieces.back() == "stx");
  for (const char byte : std::string("sto")) CHECK(text.add(byte));
  CHECK_FALSE(text.add('p'));
  CHECK(text.finish() == "b\xe2\x82\xacstx");
}

}  // namespace
}  // namespace genzoo
