"""The workloads in plain PyTorch: networks, losses, optimizers, and what a step is.

Networks that train with one loss return it when called with a batch of the data's integers. A step draws a batch,
computes the loss and its gradients, and updates the weights; its result, the loss, is not read back here.
"""
from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Callable, ContextManager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import data
from data import BATCH_SIZES, GPT_SIZES, NEW_TOKENS, PROMPT_TOKENS, GPTSize


@dataclass(frozen=True)
class How:
    """What may differ between two runs of a workload."""
    mode: str = "eager"  # or compile, max-autotune
    bfloat16: bool = False
    channels_last: bool = False

    def compiled(self, function: Callable) -> Callable:
        if self.mode == "eager":
            return function
        return torch.compile(function, mode="max-autotune" if self.mode == "max-autotune" else None)

    def autocast(self) -> ContextManager:
        return torch.autocast("cpu", torch.bfloat16) if self.bfloat16 else contextlib.nullcontext()

    def laid_out(self, network: nn.Module) -> nn.Module:
        return network.to(memory_format=torch.channels_last) if self.channels_last else network


def rows(values: np.ndarray, batch: int) -> Callable[[], Tensor]:
    """Draws rows, uniformly with replacement."""
    table = torch.from_numpy(values)
    return lambda: table[torch.randint(len(table), (batch,))]


def windows(text: np.ndarray, batch: int, length: int) -> Callable[[], Tensor]:
    """Draws stretches of a text."""
    tokens, offsets = torch.from_numpy(text), torch.arange(length)
    return lambda: tokens[torch.randint(len(text) - length + 1, (batch, 1)) + offsets]


class Training:
    """One network, one loss."""

    def __init__(self, network: nn.Module, draw: Callable[[], Tensor], optimizer: torch.optim.Optimizer, how: How,
                 clip_norm: float | None = None):
        self.parameters = list(network.parameters())
        self.loss, self.draw, self.optimizer, self.how, self.clip_norm = (
            how.compiled(network), draw, optimizer, how, clip_norm)

    def step(self) -> Tensor:
        batch = self.draw()
        with self.how.autocast():
            loss = self.loss(batch)
        loss.backward()
        if self.clip_norm:
            nn.utils.clip_grad_norm_(self.parameters, self.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach()


# Variational autoencoders (Kingma & Welling, 2014).

class VAE(nn.Module):
    def __init__(self, encoder: nn.Module, decoder: nn.Module):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, pixels: Tensor) -> Tensor:
        x = pixels / 255.0
        mean, log_variance = self.encoder(x).float().chunk(2, dim=1)
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        logits = self.decoder(z).float()
        distortion = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        rate = (mean**2 + log_variance.exp() - 1 - log_variance).sum() / 2
        return (distortion + rate) / len(x)


def vae_mlp(how: How) -> tuple[Training, str]:
    images = data.fashion_mnist()
    network = VAE(nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 2 * 20)),
                  nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784)))
    draw = rows(images.values.reshape(-1, 784), BATCH_SIZES["vae_mlp"])
    return Training(network, draw, adam(network, 1e-3), how), images.description


def vae_conv(how: How) -> tuple[Training, str]:
    images = data.fashion_mnist()
    encoder = nn.Sequential(
        nn.Conv2d(1, 32, 4, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(32, 64, 4, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(64 * 7 * 7, 256), nn.ReLU(), nn.Linear(256, 2 * 32))
    decoder = nn.Sequential(
        nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 64 * 7 * 7), nn.ReLU(), nn.Unflatten(1, (64, 7, 7)),
        nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1), nn.ReLU(),
        nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1))
    network = how.laid_out(VAE(encoder, decoder))
    draw = rows(images.values[:, None], BATCH_SIZES["vae_conv"])
    return Training(network, draw, adam(network, 1e-3), how), images.description


def adam(network: nn.Module, learning_rate: float, betas: tuple[float, float] = (0.9, 0.999)) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), learning_rate, betas, fused=True)


# DCGAN (Radford et al., 2016).

def dcgan_generator() -> nn.Module:
    def grow(inputs: int, outputs: int, stride: int, padding: int) -> list[nn.Module]:
        return [nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]

    return nn.Sequential(*grow(100, 256, 1, 0), *grow(256, 128, 2, 1), *grow(128, 64, 2, 1),
                         nn.ConvTranspose2d(64, 1, 4, 2, 1, bias=False), nn.Tanh())


def dcgan_discriminator() -> nn.Module:
    def shrink(inputs: int, outputs: int, norm: nn.Module) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), norm, nn.LeakyReLU(0.2)]

    return nn.Sequential(*shrink(1, 64, nn.Identity()), *shrink(64, 128, nn.BatchNorm2d(128)),
                         *shrink(128, 256, nn.BatchNorm2d(256)), nn.Conv2d(256, 1, 4, bias=False), nn.Flatten(0))


def initialize_dcgan(layer: nn.Module) -> None:
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d)):
        mean = 1.0 if isinstance(layer, nn.BatchNorm2d) else 0.0
        nn.init.normal_(layer.weight, mean, 0.02)


class GANTraining:
    """Two players, who take turns within a step. The result is the sum of their losses."""

    def __init__(self, generator: nn.Module, discriminator: nn.Module, draw: Callable[[], Tensor], batch: int,
                 how: How):
        self.parameters = [*generator.parameters(), *discriminator.parameters()]
        self.discriminator, self.draw, self.batch, self.how = discriminator, draw, batch, how
        self.generator_optimizer = adam(generator, 2e-4, betas=(0.5, 0.999))
        self.discriminator_optimizer = adam(discriminator, 2e-4, betas=(0.5, 0.999))
        self.generate = how.compiled(generator)
        self.discriminator_loss = how.compiled(self._discriminator_loss)
        self.generator_loss = how.compiled(self._generator_loss)

    def _discriminator_loss(self, pixels: Tensor, fake: Tensor) -> Tensor:
        real = pixels / 127.5 - 1
        on_real, on_fake = self.discriminator(real).float(), self.discriminator(fake).float()
        return F.softplus(-on_real).mean() + F.softplus(on_fake).mean()  # cross-entropies with 1 and 0

    def _generator_loss(self, fake: Tensor) -> Tensor:
        return F.softplus(-self.discriminator(fake).float()).mean()

    def step(self) -> Tensor:
        pixels = self.draw()
        with self.how.autocast():
            fake = self.generate(torch.randn(self.batch, 100, 1, 1))
            discriminator_loss = self.discriminator_loss(pixels, fake.detach())
        discriminator_loss.backward()
        self.discriminator_optimizer.step()
        self.discriminator_optimizer.zero_grad()

        self.discriminator.requires_grad_(False)
        with self.how.autocast():
            generator_loss = self.generator_loss(fake)
        generator_loss.backward()
        self.generator_optimizer.step()
        self.generator_optimizer.zero_grad()
        self.discriminator.requires_grad_(True)
        return discriminator_loss.detach() + generator_loss.detach()


def dcgan32(how: How) -> tuple[GANTraining, str]:
    images, batch = data.fashion_mnist(), BATCH_SIZES["dcgan32"]
    padded = np.pad(images.values, ((0, 0), (2, 2), (2, 2)))[:, None]
    players = [how.laid_out(player.apply(initialize_dcgan)) for player in (dcgan_generator(), dcgan_discriminator())]
    return GANTraining(*players, rows(padded, batch), batch, how), images.description


# RealNVP (Dinh et al., 2017).

class RealNVP(nn.Module):
    """Couplings whose fixed half alternates. `prepare` makes real vectors of integers: (x, log-determinants)."""

    def __init__(self, dims: int, hidden: int, couplings: int, prepare: Callable[[Tensor], tuple[Tensor, Tensor]]):
        super().__init__()
        self.prepare = prepare
        self.networks = nn.ModuleList(
            nn.Sequential(nn.Linear(dims, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(),
                          nn.Linear(hidden, 2 * dims)) for _ in range(couplings))
        odd = torch.arange(dims) % 2
        self.register_buffer("masks", torch.stack([1 - odd, odd]).float()[:, None], persistent=False)

    def forward(self, integers: Tensor) -> Tensor:
        z, log_det = self.prepare(integers)
        for i, network in enumerate(self.networks):
            kept, changed = self.masks[1 - i % 2], self.masks[i % 2]  # the mask m_j = (j + i) mod 2 is `kept`
            log_scale, shift = network(kept * z).float().chunk(2, dim=1)
            log_scale = changed * torch.tanh(log_scale)
            z = z * torch.exp(log_scale) + changed * shift
            log_det = log_det + log_scale.sum(dim=1)
        log_prior = -(z**2 + math.log(2 * math.pi)).sum(dim=1) / 2
        return -(log_prior + log_det).mean()


def centered_bits(bits: Tensor) -> tuple[Tensor, Tensor]:
    """Of 0 and 1, uniform values in [-1, 0) and [0, 1)."""
    x = bits + torch.rand(bits.shape) - 1
    return x, torch.zeros(len(x))


def logits_of_pixels(pixels: Tensor, alpha: float = 1e-6) -> tuple[Tensor, Tensor]:
    """Of 0..255, the logit of dequantized pixels moved away from 0 and 1; its Jacobian counts."""
    scale = (1 - 2 * alpha) / 256
    p = alpha + scale * (pixels + torch.rand(pixels.shape))
    log_p, log_q = torch.log(p), torch.log1p(-p)
    return log_p - log_q, (math.log(scale) - log_p - log_q).sum(dim=1)


def realnvp_tab(how: How) -> tuple[Training, str]:
    table = data.nltcs()
    network = RealNVP(dims=16, hidden=128, couplings=10, prepare=centered_bits)
    draw = rows(table.values, BATCH_SIZES["realnvp_tab"])
    return Training(network, draw, adam(network, 1e-3), how), table.description


def realnvp_784(how: How) -> tuple[Training, str]:
    images = data.fashion_mnist()
    network = RealNVP(dims=784, hidden=512, couplings=8, prepare=logits_of_pixels)
    draw = rows(images.values.reshape(-1, 784), BATCH_SIZES["realnvp_784"])
    return Training(network, draw, adam(network, 1e-4), how), images.description


# Transformers (Vaswani et al., 2017; Radford et al., 2019).

@dataclass(frozen=True)
class Cache:
    """Keys and values of what has been read, (layers, batch, heads, length, width of a head)."""
    keys: Tensor
    values: Tensor

    @staticmethod
    def empty(size: GPTSize, batch: int, length: int, dtype: torch.dtype) -> Cache:
        shape = (size.layers, batch, size.heads, length, size.width // size.heads)
        return Cache(torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype))


class Block(nn.Module):
    def __init__(self, size: GPTSize):
        super().__init__()
        width, bias = size.width, size.bias
        self.heads = size.heads
        self.attention_norm = nn.LayerNorm(width, bias=bias)
        self.query_key_value = nn.Linear(width, 3 * width, bias=bias)
        self.attention_out = nn.Linear(width, width, bias=bias)
        self.mlp_norm = nn.LayerNorm(width, bias=bias)
        self.mlp_in = nn.Linear(width, 4 * width, bias=bias)
        self.mlp_out = nn.Linear(4 * width, width, bias=bias)

    def heads_of(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys, values: (batch, heads, length, width of a head)."""
        together = self.query_key_value(self.attention_norm(x))
        return together.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()

    def after_attention(self, x: Tensor, attended: Tensor) -> Tensor:
        x = x + self.attention_out(attended.transpose(1, 2).flatten(2))
        return x + self.mlp_out(F.gelu(self.mlp_in(self.mlp_norm(x)), approximate="tanh"))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.heads_of(x)
        return self.after_attention(x, F.scaled_dot_product_attention(query, key, value, is_causal=True))

    def continued(self, x: Tensor, positions: Tensor, visible: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        query, key, value = self.heads_of(x)
        keys.index_copy_(2, positions, key)
        values.index_copy_(2, positions, value)
        return self.after_attention(x, F.scaled_dot_product_attention(query, keys, values, attn_mask=visible))


class GPT(nn.Module):
    def __init__(self, size: GPTSize):
        super().__init__()
        self.token_embedding = nn.Embedding(size.vocabulary, size.width)
        self.position_embedding = nn.Embedding(size.context, size.width)
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.layers))
        self.norm = nn.LayerNorm(size.width, bias=size.bias)
        residual = 0.02 / math.sqrt(2 * size.layers)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, 0.0, residual if "_out." in name else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, text: Tensor) -> Tensor:
        tokens = text.long()
        x = self.token_embedding(tokens[:, :-1]) + self.position_embedding.weight
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.norm(x), self.token_embedding.weight)
        return F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())

    def next_tokens(self, tokens: Tensor, positions: Tensor, cache: Cache) -> Tensor:
        """The likeliest token after each text; `cache` holds what came before and takes in `tokens`."""
        visible = torch.arange(cache.keys.shape[3]) <= positions[:, None]
        x = self.token_embedding(tokens) + self.position_embedding(positions)
        for block, keys, values in zip(self.blocks, cache.keys, cache.values):
            x = block.continued(x, positions, visible, keys, values)
        return F.linear(self.norm(x[:, -1]), self.token_embedding.weight).argmax(dim=1, keepdim=True)


def gpt(workload: str, how: How) -> tuple[Training, str]:
    size, text = GPT_SIZES[workload], data.tiny_shakespeare()
    network = GPT(size)
    matrices = [parameter for parameter in network.parameters() if parameter.dim() == 2]
    vectors = [parameter for parameter in network.parameters() if parameter.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, size.learning_rate, betas=(0.9, 0.99), fused=True)
    draw = windows(text.values, BATCH_SIZES[workload], size.context + 1)
    return Training(network, draw, optimizer, how, clip_norm=1.0), text.description


class Decoding:
    """One text, the likeliest token after another. A step is a whole text; its result is the text."""

    def __init__(self, how: How):
        self.size = GPT_SIZES["decode"]
        self.dtype = torch.bfloat16 if how.bfloat16 else torch.float32
        network = GPT(self.size).to(self.dtype).eval()
        self.parameters = list(network.parameters())
        self.next_tokens = how.compiled(network.next_tokens)

    @torch.no_grad()
    def step(self) -> Tensor:
        cache = Cache.empty(self.size, BATCH_SIZES["decode"], PROMPT_TOKENS + NEW_TOKENS, self.dtype)
        positions = torch.arange(PROMPT_TOKENS + NEW_TOKENS)
        text = [positions[None, :PROMPT_TOKENS]]
        for read in range(PROMPT_TOKENS, PROMPT_TOKENS + NEW_TOKENS):
            last = text[-1]
            text.append(self.next_tokens(last, positions[read - last.shape[1]:read], cache))
        return torch.cat(text, dim=1)


WORKLOADS: dict[str, Callable[[How], tuple[Training | GANTraining | Decoding, str]]] = {
    "vae_mlp": vae_mlp,
    "vae_conv": vae_conv,
    "dcgan32": dcgan32,
    "realnvp_tab": realnvp_tab,
    "realnvp_784": realnvp_784,
    "gpt_char_cpu": lambda how: gpt("gpt_char_cpu", how),
    "gpt_char_384": lambda how: gpt("gpt_char_384", how),
    "gpt2_124m": lambda how: gpt("gpt2_124m", how),
    "decode": lambda how: (Decoding(how), "none"),
}
