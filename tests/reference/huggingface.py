"""Tiny random models as `transformers` saves them, with what they compute: tests/reference/huggingface/<name>/.

    python tests/reference/huggingface.py

needs torch, transformers (5.24 made what is there), tokenizers and safetensors. Beside config.json, the weights and
tokenizer.json each folder has expected.safetensors: `input` (2, 12) int64, `logits` (2, 12, V) float32 of it, and,
but for BERT, `continued` (1, 5 + 16), the greedy continuation of the first row's first five tokens.
"""

import shutil
import sys
from pathlib import Path

sys.path.remove(str(Path(__file__).resolve().parent))  # where tokenizers.py lies, which is not the package

import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: E402
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, BertConfig, GPT2Config, GPTNeoXConfig, LlamaConfig, MptConfig  # noqa: E402

ROOT = Path(__file__).parent / "huggingface"
VOCABULARY = 280  # rows; the tokenizer has 274 tokens, the last of which ends a text, or is BERT's mask
END = 273

CASES = {
    "gpt2": (GPT2Config(vocab_size=VOCABULARY, n_positions=32, n_embd=16, n_layer=2, n_head=2, bos_token_id=END,
                        eos_token_id=END), {}),
    "gpt2_sharded": (GPT2Config(vocab_size=VOCABULARY, n_positions=32, n_embd=16, n_layer=2, n_head=2, n_inner=24,
                                activation_function="gelu", tie_word_embeddings=False, bos_token_id=END,
                                eos_token_id=END), {"max_shard_size": "25KB"}),
    "llama": (LlamaConfig(vocab_size=VOCABULARY, max_position_embeddings=32, hidden_size=16, intermediate_size=24,
                          num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2), {}),
    "llama3": (LlamaConfig(vocab_size=VOCABULARY, max_position_embeddings=64, hidden_size=16, intermediate_size=24,
                           num_hidden_layers=2, num_attention_heads=2, tie_word_embeddings=True, attention_bias=True,
                           mlp_bias=True, rope_parameters={"rope_type": "llama3", "rope_theta": 100.0, "factor": 4.0,
                                                           "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                                           "original_max_position_embeddings": 16}),
               {"dtype": torch.bfloat16}),
    "gpt_neox": (GPTNeoXConfig(vocab_size=VOCABULARY, max_position_embeddings=32, hidden_size=16, intermediate_size=24,
                               num_hidden_layers=2, num_attention_heads=2,
                               rope_parameters={"rope_type": "default", "rope_theta": 1000.0,
                                                "partial_rotary_factor": 0.5}), {}),
    "gpt_neox_serial": (GPTNeoXConfig(vocab_size=VOCABULARY, max_position_embeddings=32, hidden_size=16,
                                      intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
                                      use_parallel_residual=False, tie_word_embeddings=True, hidden_act="gelu_new",
                                      rope_parameters={"rope_type": "linear", "rope_theta": 1000.0, "factor": 2.0,
                                                       "partial_rotary_factor": 1.0}), {}),
    "mpt": (MptConfig(vocab_size=VOCABULARY, max_seq_len=32, d_model=24, n_layers=2, n_heads=3), {}),
    "bert": (BertConfig(vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                        intermediate_size=24, max_position_embeddings=32), {}),
}


def tokenizer(name):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(["the cat sat on the mat, and the other cat sat on the other mat. " * 9],
                          trainers.BpeTrainer(vocab_size=VOCABULARY - 1, special_tokens=[],
                                              initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    t.add_special_tokens(["[MASK]" if name == "bert" else "<|endoftext|>"])
    return t


def sharpened(model):
    """Weights far from their small initial values, so that mistakes show."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.add_(torch.randn(p.shape, generator=generator) * (0.2 if p.dim() == 2 else 0.1))


def make(name, config, options):
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(0)
    kind = AutoModelForMaskedLM if name == "bert" else AutoModelForCausalLM
    model = kind.from_config(config)
    sharpened(model)
    if "dtype" in options:
        model.to(options["dtype"])
    if name != "bert":
        model.generation_config.eos_token_id = None
    model.save_pretrained(folder, **{k: v for k, v in options.items() if k == "max_shard_size"})
    for extra in folder.glob("generation_config.json"):
        extra.unlink()
    tokenizer(name).save(str(folder / "tokenizer.json"))
    model = kind.from_pretrained(folder, dtype=torch.float32).eval()
    if name == "bert":
        x = torch.randint(0, VOCABULARY, (2, 12), generator=torch.Generator().manual_seed(2))
        with torch.no_grad():
            save_file({"input": x, "logits": model(x).logits.contiguous()}, folder / "expected.safetensors")
        return
    model.generation_config.eos_token_id = None
    x = torch.randint(0, VOCABULARY, (2, 12), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        logits = model(x).logits
        continued = model.generate(x[:1, :5], max_new_tokens=16, do_sample=False)
    save_file({"input": x, "logits": logits.contiguous(), "continued": continued}, folder / "expected.safetensors")


if __name__ == "__main__":
    for name, (config, options) in CASES.items():
        make(name, config, options)
