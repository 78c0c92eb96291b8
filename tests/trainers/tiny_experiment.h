// Experiments of a fraction of a second, which the tests of training and evaluation share.
#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "models/registry.h"
#include "trainers/train_experiment.h"

namespace genzoo::tiny {

inline constexpr const char* kPoints = "{eight_gaussians: {examples: 128, validation: 48, test: 40}}";
inline constexpr const char* kNoise = "{uniform_noise: {examples: 64, validation: 32, test: 32}}";
inline constexpr const char* kText = "{markov: {length: 2000, validation: 300, test: 300}}";

inline constexpr const char* kFlow = "{realnvp: {couplings: 2, hidden_dim: 8, normalization: batch_norm}}";
inline constexpr const char* kVae = "{vae: {latent_dim: 2, network: {mlp: {hidden: [8]}}, likelihood: gaussian}}";
inline constexpr const char* kGan =
    "{gan: {latent_dim: 4, generator_width: 2, discriminator_width: 2, discriminator_norm: batch, n_critic: 2}}";
inline constexpr const char* kTransformer =
    "{transformer: {n_layer: 1, n_head: 2, n_embd: 8, block_size: 8, dropout: 0.2}}";
inline constexpr const char* kPixelTransformer = "{pixel_transformer: {n_layer: 1, n_head: 2, n_embd: 8}}";

/// Six steps of a model on data, both given as YAML, and whatever `sets` (KEY=VALUE) change.
inline ExperimentConfig experiment(const std::string& model, const std::string& data,
                                   const std::vector<std::string>& sets = {}) {
  const std::string yaml = fmt::format(
      "experiment: tiny\nseed: 3\ndevice: cpu\nthreads: 1\ndata: {}\nmodel: {}\n"
      "train:\n  steps: 6\n  batch_size: 16\n  optimizer: {{adamw: {{lr: 1.0e-3}}}}\n  clip_norm: 100.0\n"
      "  ema: {{halflife_images: 64}}\n  every: {{log: 1, sample: 100, validate: 2, save: 2}}\n",
      data, model);
  ConfigSource source = ConfigSource::from_text(yaml, "tiny.yaml");
  for (const auto& assignment : sets) source.set(assignment);
  return read_config<ExperimentConfig>(source);
}

inline TrainRequest request(const std::filesystem::path& run, bool resume = false) {
  TrainRequest request;
  request.run = run;
  request.resume = resume;
  request.quiet = true;
  request.command_line = "genzoo train tiny.yaml";
  return request;
}

inline TrainOutcome train(const ExperimentConfig& config, const std::filesystem::path& run, bool resume = false) {
  return train_experiment(config, request(run, resume));
}

inline std::vector<Json> log_lines(const RunFolder& run) {
  std::vector<Json> lines;
  std::ifstream in(run.log());
  for (std::string line; std::getline(in, line);) lines.push_back(Json::parse(line));
  return lines;
}

/// The message of the error that `f` throws; empty when it throws none of that type.
template <class E, class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const E& error) {
    return error.what();
  }
  return "";
}

/// Whether two files are equal, byte for byte; a bool, so that a failed assertion does not print them.
inline bool same_bytes(const std::filesystem::path& a, const std::filesystem::path& b) {
  return read_file(a) == read_file(b);
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace genzoo::tiny
