"""Writes gan*.safetensors: generative adversarial networks in plain PyTorch, trained as its DCGAN example does.

    python tests/reference/gan.py

Three variants: images with batch normalization, images with the Wasserstein loss, its gradient penalty and layer
normalization, vectors with the hinge loss, R1 and spectral normalization (torch.nn.utils.spectral_norm).

One step is n_critic discriminator updates and one of the generator, against the fakes of the last of them; turn i of
step t draws its latents, then the penalty's mixing weights, from stream (0, loss, t n_critic + i). grad.* are the
gradients that step 0's last discriminator update and its generator update applied.
"""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F

import fixture

BATCH, LATENT, WIDTH = 4, 6, 4


def named(*layers):
    return nn.Sequential(OrderedDict(layers))


def image_players(channels, norm):
    """16x16 images: two convolutions each way, down to 4x4 maps."""
    generator = named(
        ("project", nn.Linear(LATENT, 2 * WIDTH * 16, bias=False)),
        ("grid", nn.Unflatten(1, (2 * WIDTH, 4, 4))),
        ("norm4", nn.BatchNorm2d(2 * WIDTH)),
        ("relu4", nn.ReLU()),
        ("up8", nn.ConvTranspose2d(2 * WIDTH, WIDTH, 4, 2, 1, bias=False)),
        ("norm8", nn.BatchNorm2d(WIDTH)),
        ("relu8", nn.ReLU()),
        ("up16", nn.ConvTranspose2d(WIDTH, channels, 4, 2, 1)),
        ("tanh", nn.Tanh()),
    )
    discriminator = named(
        ("down8", nn.Conv2d(channels, WIDTH, 4, 2, 1)),
        ("relu8", nn.LeakyReLU(0.2)),
        ("down4", nn.Conv2d(WIDTH, 2 * WIDTH, 4, 2, 1, bias=False)),
        ("norm4", norm(2 * WIDTH)),
        ("relu4", nn.LeakyReLU(0.2)),
        ("flatten", nn.Flatten()),
        ("score", nn.Linear(2 * WIDTH * 16, 1)),
    )
    return generator, discriminator


def vector_players(dims):
    spectral = nn.utils.spectral_norm
    generator = named(
        ("hidden0", nn.Linear(LATENT, WIDTH)),
        ("relu0", nn.ReLU()),
        ("hidden1", nn.Linear(WIDTH, WIDTH)),
        ("relu1", nn.ReLU()),
        ("out", nn.Linear(WIDTH, dims)),
    )
    discriminator = named(
        ("hidden0", spectral(nn.Linear(dims, WIDTH))),
        ("relu0", nn.LeakyReLU(0.2)),
        ("hidden1", spectral(nn.Linear(WIDTH, WIDTH))),
        ("relu1", nn.LeakyReLU(0.2)),
        ("score", spectral(nn.Linear(WIDTH, 1))),
    )
    return generator, discriminator


def non_saturating(D, real, fake, generator):
    loss = nn.BCEWithLogitsLoss()
    a, b = D(real), D(fake)
    return loss(a, torch.ones_like(a)) + loss(b, torch.zeros_like(b))


def wasserstein(D, real, fake, generator):
    a, b = D(real), D(fake)
    mix = torch.rand(len(real), *[1] * (real.dim() - 1), generator=generator)
    x = (mix * real + (1 - mix) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(D(x).sum(), x, create_graph=True)
    return b.mean() - a.mean() + 10 * ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()


def hinge_r1(D, real, fake, generator):
    real = real.clone().requires_grad_()
    a, b = D(real), D(fake)
    (slope,) = torch.autograd.grad(a.sum(), real, create_graph=True)
    return F.relu(1 - a).mean() + F.relu(1 + b).mean() + 0.5 / 2 * slope.square().sum(1).mean()


def images(channels):
    return dict(
        spec=dict(kind="images", shape=[channels, 16, 16], levels=256),
        x=torch.randint(0, 256, (BATCH, channels, 16, 16), generator=torch.Generator().manual_seed(1), dtype=torch.uint8),
        seen=lambda x: x.float() / 127.5 - 1,
    )


VARIANTS = {
    "gan": dict(
        **images(1),
        players=lambda: image_players(1, nn.BatchNorm2d),
        config="discriminator_norm: batch, loss: non_saturating",
        n_critic=1,
        d_loss=non_saturating,
        g_loss=lambda s: nn.BCEWithLogitsLoss()(s, torch.ones_like(s)),
    ),
    "gan_wasserstein": dict(
        **images(3),
        players=lambda: image_players(3, lambda c: nn.GroupNorm(1, c)),
        config="discriminator_norm: layer, loss: wasserstein, gradient_penalty: 10, n_critic: 2",
        n_critic=2,
        d_loss=wasserstein,
        g_loss=lambda s: -s.mean(),
    ),
    "gan_spectral": dict(
        spec=dict(kind="vectors", shape=[2]),
        x=2 * torch.randn(BATCH, 2, generator=torch.Generator().manual_seed(1)),
        seen=lambda x: x,
        players=lambda: vector_players(2),
        config="hidden_layers: 2, discriminator_norm: spectral, loss: hinge, r1: 0.5",
        n_critic=1,
        d_loss=hinge_r1,
        g_loss=lambda s: -s.mean(),
    ),
}


def zoo_name(name):
    """PyTorch's names of a spectrally normalized layer's tensors -> the zoo's."""
    for theirs, ours in (("weight_orig", "weight"), ("weight_u", "norm.u"), ("weight_v", "norm.v")):
        if name.endswith("." + theirs):
            return name[: -len(theirs)] + ours
    return name


def state(players):
    return {zoo_name(k): v for k, v in fixture.state(players).items()}


def gradients(name, player):
    return {f"grad.{name}.{zoo_name(k)}": p.grad.clone() for k, p in player.named_parameters()}


def write(name, v):
    torch.manual_seed(0)
    G, D = v["players"]()
    players = nn.ModuleDict({"generator": G, "discriminator": D})
    tensors = {f"model.{k}": t for k, t in state(players).items()}
    tensors["x"] = v["x"]
    optimizers = {p: torch.optim.Adam(p.parameters(), lr=1e-3, betas=(0.5, 0.99)) for p in (G, D)}
    losses = {"discriminator": [], "generator": []}
    for step in range(fixture.STEPS):
        for turn in range(v["n_critic"]):
            generator = fixture.generator(0, fixture.LOSS, step * v["n_critic"] + turn)
            fake = G(torch.randn(BATCH, LATENT, generator=generator))
            d_loss = v["d_loss"](D, v["seen"](v["x"]), fake.detach(), generator)
            optimizers[D].zero_grad()
            d_loss.backward()
            optimizers[D].step()
        if step == 0:
            tensors.update(gradients("discriminator", D))
        g_loss = v["g_loss"](D(fake))
        optimizers[G].zero_grad()
        g_loss.backward()
        optimizers[G].step()
        if step == 0:
            tensors.update(gradients("generator", G))
        losses["discriminator"].append(d_loss.detach())
        losses["generator"].append(g_loss.detach())
    for player, values in losses.items():
        tensors[f"losses.{player}"] = torch.stack(values)
    tensors.update({f"after.{k}": t for k, t in state(players).items()})
    model = f"gan: {{latent_dim: {LATENT}, generator_width: {WIDTH}, discriminator_width: {WIDTH}, {v['config']}}}"
    fixture.write(name, tensors, model=model, spec=v["spec"],
                  optimizer="adam: {lr: 0.001, beta1: 0.5, beta2: 0.99}")


if __name__ == "__main__":
    for name, variant in VARIANTS.items():
        write(name, variant)
