"""Writes vae*.safetensors: variational autoencoders in plain PyTorch with torch.distributions.

    python tests/reference/vae.py

Variants: a convolutional one of grey images with the discretized logistic likelihood, beta, KL warm-up and free bits; an
MLP of bits with the importance-weighted objective; an MLP of vectors and a convolutional one of dequantized color
images, both Gaussian.

Every variant draws the noise of the latents first, (B, Z) or (B, K, Z), then that of the dequantization.
"""

import math

import torch
from torch import nn
from torch.distributions import Bernoulli, Independent, Normal
from torch.distributions import kl_divergence

import fixture

LATENT = 3


def mlp(dims, hidden, maps):
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(dims, hidden), nn.ReLU(), nn.Linear(hidden, 2 * LATENT))
    decoder = nn.Sequential(nn.Linear(LATENT, hidden), nn.ReLU(), nn.Linear(hidden, maps * dims))
    return encoder, decoder


def conv(channels, maps):
    """10x10 images: one stage halves them to 5x5, the next, of odd sides, keeps that."""
    encoder = nn.Sequential(
        nn.Conv2d(channels, 4, 4, 2, 1), nn.ReLU(), nn.Conv2d(4, 6, 3, 1, 1), nn.ReLU(),
        nn.Flatten(), nn.Linear(6 * 25, 8), nn.ReLU(), nn.Linear(8, 2 * LATENT),
    )
    decoder = nn.Sequential(
        nn.Linear(LATENT, 8), nn.ReLU(), nn.Linear(8, 6 * 25), nn.ReLU(), nn.Unflatten(1, (6, 5, 5)),
        nn.ConvTranspose2d(6, 4, 3, 1, 1), nn.ReLU(), nn.ConvTranspose2d(4, maps * channels, 4, 2, 1),
    )
    return encoder, decoder


class VAE(nn.Module):
    def __init__(self, networks):
        super().__init__()
        self.encoder, self.decoder = networks
        self.prior = Independent(Normal(torch.zeros(LATENT), torch.ones(LATENT)), 1)

    def posterior(self, x):
        mean, log_var = self.encoder(x).chunk(2, 1)
        return Normal(mean, (log_var / 2).exp())

    def mean_and_scale(self, z, like):
        """The decoder's two maps, each of the shape of the examples."""
        maps = self.decoder(z).reshape(len(z), 2, *like.shape[1:])
        return maps[:, 0], maps[:, 1].clamp(min=-7).exp()


def discretized_logistic(mean, scale, level):
    """Probability of each pixel of 256 levels: differences of the logistic's cumulative distribution, in double."""
    center, half = level.double() / 127.5 - 1, 1 / 255
    upper = torch.sigmoid((center + half - mean.double()) / scale.double())
    lower = torch.sigmoid((center - half - mean.double()) / scale.double())
    upper = torch.where(level == 255, torch.ones(()).double(), upper)
    lower = torch.where(level == 0, torch.zeros(()).double(), lower)
    return upper - lower


def logistic_loss(model, x, step, generator):
    q = model.posterior(x / 255)
    z = q.mean + q.stddev * torch.randn(q.mean.shape, generator=generator)
    mean, scale = model.mean_and_scale(z, x)
    nll = -discretized_logistic(mean, scale, x).log().float().sum((1, 2, 3)).mean()
    kl = kl_divergence(q, Normal(0.0, 1.0)).mean(0)
    return nll + 2.0 * min(1.0, step / 4) * kl.clamp(min=0.05).sum()


def importance_weighted_loss(model, x, step, generator):
    K = 5
    q = model.posterior(x.float())
    q = Normal(q.mean[:, None].expand(-1, K, -1), q.stddev[:, None].expand(-1, K, -1))
    z = q.mean + q.stddev * torch.randn(q.mean.shape, generator=generator)
    p = Independent(Bernoulli(logits=model.decoder(z)), 1)
    log_w = p.log_prob(x.float().flatten(1)[:, None]) + model.prior.log_prob(z) - Independent(q, 1).log_prob(z)
    return -(log_w.logsumexp(1) - math.log(K)).mean()


def gaussian_loss(model, x, step, generator):
    pixels = x.dtype == torch.uint8
    q = model.posterior(x / 255 if pixels else x)
    z = q.mean + q.stddev * torch.randn(q.mean.shape, generator=generator)
    mean, scale = model.mean_and_scale(z, x)
    y = (x + torch.rand(x.shape, generator=generator)) / 128 - 1 if pixels else x
    nll = -Normal(mean, scale).log_prob(y) - (math.log(1 / 128) if pixels else 0)
    kl = kl_divergence(q, Normal(0.0, 1.0))
    return nll.flatten(1).sum(1).mean() + kl.sum(1).mean()


def noise(*size):
    return torch.rand(*size, generator=torch.Generator().manual_seed(1))


CONV = "network: {conv: {channels: [4, 6], hidden: 8}}"
VARIANTS = {
    "vae": dict(
        networks=lambda: conv(1, 2),
        x=(256 * noise(6, 1, 10, 10) ** 2).to(torch.uint8),
        loss=logistic_loss,
        model=f"{CONV}, likelihood: discretized_logistic, beta: 2, kl_warmup_steps: 4, free_bits: 0.05",
        spec=dict(kind="images", shape=[1, 10, 10], levels=256),
    ),
    "vae_importance_weighted": dict(
        networks=lambda: mlp(16, 8, 1),
        x=(noise(6, 1, 4, 4) < 0.3).to(torch.uint8),
        loss=importance_weighted_loss,
        model="network: {mlp: {hidden: [8]}}, likelihood: bernoulli, importance_samples: 5",
        spec=dict(kind="images", shape=[1, 4, 4], levels=2),
    ),
    "vae_gaussian": dict(
        networks=lambda: conv(3, 2),
        x=(256 * noise(6, 3, 10, 10)).to(torch.uint8),
        loss=gaussian_loss,
        model=f"{CONV}, likelihood: gaussian",
        spec=dict(kind="images", shape=[3, 10, 10], levels=256),
    ),
    "vae_vectors": dict(
        networks=lambda: mlp(2, 8, 2),
        x=3 * noise(6, 2) - 1,
        loss=gaussian_loss,
        model="network: {mlp: {hidden: [8]}}, likelihood: gaussian",
        spec=dict(kind="vectors", shape=[2]),
    ),
}


def write(name, v):
    torch.manual_seed(0)
    model = VAE(v["networks"]())
    optimizer = torch.optim.AdamW(fixture.decayed(model, 0.1), lr=1e-3, betas=(0.9, 0.99))
    tensors = fixture.trajectory(model, lambda step, g: v["loss"](model, v["x"], step, g), optimizer, clip_norm=50.0)
    fixture.write(name, tensors | {"x": v["x"]}, model=f"vae: {{latent_dim: {LATENT}, {v['model']}}}", spec=v["spec"],
                  optimizer="adamw: {lr: 0.001, beta1: 0.9, beta2: 0.99, weight_decay: 0.1}", clip_norm=50.0)


if __name__ == "__main__":
    for name, variant in VARIANTS.items():
        write(name, variant)
