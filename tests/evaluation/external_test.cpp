#include "evaluation/external.h"

#include "core/error.h"
#include "core/safetensors.h"
#include "tests/evaluation/tiny_models.h"
#include "tests/support.h"

namespace genzoo {
namespace {

std::string refusal(const std::function<void()>& act) {
  try {
    act();
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("an external model is a name, its samples, and perhaps its likelihoods", "[evaluation]") {
  const ExternalSource samples = parse_external("ddpm=a/b.safetensors");
  CHECK(samples.name == "ddpm");
  CHECK(samples.samples == "a/b.safetensors");
  CHECK(samples.log_prob.empty());
  const ExternalSource both = parse_external("x y=s.safetensors,unit=bits/dim,log_prob=l.safetensors,kind=exact");
  CHECK(both.log_prob == "l.safetensors");
  CHECK(both.unit == LikelihoodUnit::bits_per_dim);
  CHECK(both.kind == LikelihoodKind::exact);
}

TEST_CASE("an external model said wrongly is refused with the form", "[evaluation]") {
  for (const char* text : {"samples.safetensors", "=s.safetensors", "x=", "x=s,log_prob=", "x=s,log_prob=l",
                           "x=s,log_prob=l,unit=nats", "x=s,log_prob=l,unit=bits,kind=exact",
                           "x=s,log_prob=l,unit=nats,kind=sure", "x=s,unit=nats", "x=s,colour=red"}) {
    INFO(text);
    CHECK(refusal([&] { parse_external(text); }).find("NAME=samples.safetensors[,log_prob=") != std::string::npos);
  }
}

TEST_CASE("external samples are those of the data, or refused by the file's name", "[evaluation]") {
  const TempDir folder;
  const std::string path = folder / "s.safetensors";
  const Dataset dataset = tiny::images(256, 6);
  write_safetensors(path, {{"samples", tiny::pixels(5, 256)}});
  CHECK(read_external_samples(parse_external("x=" + path), dataset.spec).size(0) == 5);
  for (const Tensor& wrong : {tiny::pixels(5, 256).to(torch::kFloat), tiny::pixels(5, 256).flatten(1),
                              tiny::pixels(5, 256).narrow(3, 0, 3).contiguous()}) {
    write_safetensors(path, {{"samples", wrong}});
    const std::string why = refusal([&] { read_external_samples(parse_external("x=" + path), dataset.spec); });
    CHECK(why.find(path) != std::string::npos);
    CHECK(why.find("(N, 1, 4, 4) uint8") != std::string::npos);
  }
  write_safetensors(path, {{"x", tiny::pixels(5, 256)}});
  CHECK(refusal([&] { read_external_samples(parse_external("x=" + path), dataset.spec); }).find("'samples'") !=
        std::string::npos);
}

TEST_CASE("an external likelihood is the mean of one number an example", "[evaluation]") {
  const TempDir folder;
  const std::string path = folder / "l.safetensors";
  const Dataset dataset = tiny::images(256, 4);
  const ExternalSource source = parse_external("x=s,log_prob=" + path + ",unit=bits/dim,kind=estimate");
  const auto read = [&] { return read_external_likelihood(source, dataset, Split::test); };
  write_safetensors(path, {{"log_prob", torch::tensor({1.0, 2.0, 3.0, 6.0})}});
  const Likelihood likelihood = read();
  CHECK(likelihood.value() == 3.0);
  CHECK(likelihood.n() == 4);
  CHECK(likelihood.unit() == LikelihoodUnit::bits_per_dim);
  CHECK(likelihood.kind() == LikelihoodKind::estimate);
  CHECK(likelihood.treatment() == "pixels of 256 levels");
  const Likelihood first = read_external_likelihood(source, dataset, Split::test, /*limit=*/2);
  CHECK(first.value() == 1.5);
  CHECK(first.n() == 2);
  write_safetensors(path, {{"log_prob", torch::tensor({1.0, 2.0, 3.0})}});
  CHECK(refusal(read).find("each of the 4 examples of the test split") != std::string::npos);
  write_safetensors(path, {{"log_prob", torch::tensor({1.0, 2.0, 3.0, std::nan("")})}});
  CHECK(refusal(read).find("not finite") != std::string::npos);
}

}  // namespace
}  // namespace genzoo
