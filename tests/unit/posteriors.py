"""Data whose answers to a linear question are known in closed form, and what methods answer.

Images are 3×2×2 in double precision. Everything but DPS and mixtures is affine in the noise, so
that mean and covariance of the answers follow without sampling.

    python tests/unit/posteriors.py    writes the tables of docs/steering.md
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from analytic import PROCESSES
from mixtures import steered_table
from torch import Tensor

from benchmark.core.errors import BenchmarkError
from benchmark.diffusion.denoiser import Estimate, estimate_from
from benchmark.diffusion.methods import METHODS, Method
from benchmark.diffusion.operators import OPERATORS, Operator
from benchmark.diffusion.processes.base import Process
from benchmark.diffusion.question import Question
from benchmark.diffusion.samplers import SAMPLERS, Sampler

SHAPE = (3, 2, 2)
SIZE = math.prod(SHAPE)


class Posterior(NamedTuple):
    """Mean (Q×D) of the answers to Q questions, and their covariance (D×D), which all share."""

    mean: Tensor
    covariance: Tensor

    def error(self, exact: Posterior) -> tuple[float, float]:
        """Return how far the means are off, in standard deviations, and the ratio of spreads."""
        spread = exact.covariance.trace()
        off = (self.mean - exact.mean).square().sum(1).mean()
        return float((off / spread).sqrt()), float((self.covariance.trace() / spread).sqrt())


@dataclass(frozen=True)
class Gaussian:
    """N(m, C) in [-1, 1] of pixels; m: D, C: D×D."""

    mean: Tensor
    covariance: Tensor

    @classmethod
    def of(cls, correlation: float, std: float = 0.5) -> Gaussian:
        """Return pixels of one standard deviation; two in a row are correlated, and so on."""
        place = torch.arange(SIZE, dtype=torch.float64)
        powers = correlation ** (place[:, None] - place).abs()
        return cls(torch.linspace(-0.2, 0.3, SIZE, dtype=torch.float64), std**2 * powers)

    def draw(self, count: int) -> Tensor:
        """Return images, count×3×2×2."""
        generator = torch.Generator().manual_seed(3)
        z = torch.randn(count, SIZE, generator=generator, dtype=torch.float64)
        root = torch.linalg.cholesky(self.covariance)
        return (self.mean + z @ root.T).view(count, *SHAPE)

    def answers(self, operator: Operator, y: Tensor) -> Posterior:
        """Return mean and covariance of images given y: Q×…."""
        A = matrix(operator)
        rows = independent_rows(A)
        A, given = A[rows], y.flatten(1)[:, rows]
        noise = operator.noise**2 * torch.eye(len(A), dtype=torch.float64)
        gain = torch.linalg.solve(A @ self.covariance @ A.T + noise, A @ self.covariance).T
        mean = self.mean + (given - A @ self.mean) @ gain.T
        return Posterior(mean, self.covariance - gain @ A @ self.covariance)

    def model(self, process: Process) -> Exact:
        """Return the exact model of images in the range of a process."""
        low, high = process.data_range
        scale = (high - low) / 2
        mean = process.encode(self.mean)
        values, vectors = torch.linalg.eigh(self.covariance * scale**2)

        def x0(x: Tensor, alpha: float, sigma: float) -> Tensor:
            gain = alpha * values / (alpha**2 * values + sigma**2)
            moved = ((x.flatten(1) - alpha * mean) @ vectors * gain) @ vectors.T
            return (mean + moved).view(x.shape)

        return Exact(process, x0)


@dataclass(frozen=True)
class Mixture:
    """Σ w_k N(m_k, s² I) in [-1, 1] of pixels; w: K, m: K×D."""

    weights: Tensor
    means: Tensor
    std: float

    @classmethod
    def of(cls) -> Mixture:
        """Return two classes: a brighter one, of less weight, and a darker one."""
        ramp = torch.linspace(0.1, 0.5, SIZE, dtype=torch.float64)
        weights = torch.tensor([0.3, 0.7], dtype=torch.float64)
        return cls(weights, torch.stack([ramp, -ramp]), 0.3)

    def classes(self, operator: Operator, y: Tensor) -> Tensor:
        """Return the probability of each class given y, 1×…: (K)."""
        A = matrix(operator)
        rows = independent_rows(A)
        A = A[rows]
        noise = operator.noise**2 * torch.eye(len(A), dtype=torch.float64)
        off = y.flatten()[rows] - self.means @ A.T
        solved = torch.linalg.solve(self.std**2 * A @ A.T + noise, off.T)
        return torch.softmax(self.weights.log() - 0.5 * (off.T * solved).sum(0), 0)

    def shares(self, x: Tensor) -> Tensor:
        """Return the mean probability of each class given images, B×3×2×2: (K)."""
        off = x.flatten(1)[:, None] - self.means
        log = self.weights.log() - off.square().sum(-1) / (2 * self.std**2)
        return torch.softmax(log, 1).mean(0)

    def model(self, process: Process) -> Exact:
        """Return the exact model of images in the range of a process."""
        low, high = process.data_range
        std, means = self.std * (high - low) / 2, process.encode(self.means)

        def x0(x: Tensor, alpha: float, sigma: float) -> Tensor:
            variance = alpha**2 * std**2 + sigma**2
            offsets = x.flatten(1)[:, None] - alpha * means  # (B, K, D)
            log = self.weights.log() - offsets.square().sum(-1) / (2 * variance)
            share = torch.softmax(log, 1)[..., None]
            return (share * (means + alpha * std**2 / variance * offsets)).sum(1).view(x.shape)

        return Exact(process, x0)


class Exact:
    """An exact model of known data, which counts as a network does."""

    def __init__(self, process: Process, x0: Callable[[Tensor, float, float], Tensor]) -> None:
        self.process, self.x0, self.evaluations = process, x0, 0

    def __call__(self, x: Tensor, t: float) -> Estimate:
        alpha, sigma = float(self.process.alpha(t)), float(self.process.sigma(t))
        self.evaluations += len(x)
        return estimate_from("x0", self.x0(x, alpha, sigma), x, alpha, sigma)


def matrix(operator: Operator) -> Tensor:
    """Return A of images 3×2×2 as a matrix, from the images of all unit vectors."""
    units = torch.eye(SIZE, dtype=torch.float64).view(SIZE, *SHAPE)
    return operator.forward(units).flatten(1).T


def independent_rows(A: Tensor) -> Tensor:
    """Return which rows of a matrix are not 0: what a mask hides is not given."""
    return A.abs().sum(1) > 0


def affine_answers(
    data: Gaussian,
    operator: Operator,
    method: Method,
    sampler: Sampler,
    process: Process,
    steps: int,
    truths: Tensor,
) -> Posterior:
    """Return mean and covariance of a method's answers about images, Q×3×2×2, without sampling.

    The first rows of the batch get no noise; each further one gets a unit of one source of it.
    """
    sources = _draws(data, operator, method, sampler, process, steps) * SIZE
    asked = torch.cat([truths, truths[:1].expand(sources, -1, -1, -1)])
    rows = iter(range(len(truths), len(asked), SIZE))

    def noise() -> Tensor:
        z = torch.zeros(len(asked), SIZE, dtype=torch.float64)
        first = next(rows)
        z[first : first + SIZE] = torch.eye(SIZE, dtype=torch.float64)
        return z.view(-1, *SHAPE)

    y = operator.forward(asked)  # its noise belongs to the question, and is taken for 0
    found = _answered(data.model(process), operator, method, sampler, process, steps, y, noise)
    flat = found.flatten(1)
    parts = flat[len(truths) :] - flat[0]
    return Posterior(flat[: len(truths)], parts.T @ parts)


def sampled_answers(
    data: Gaussian | Mixture,
    operator: Operator,
    method: Method,
    sampler: Sampler,
    process: Process,
    steps: int,
    y: Tensor,
    seed: int = 0,
) -> Tensor:
    """Return one answer to each question, B×3×2×2 in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)

    def noise() -> Tensor:
        return torch.randn(len(y), *SHAPE, generator=generator, dtype=torch.float64)

    return _answered(data.model(process), operator, method, sampler, process, steps, y, noise)


def _answered(
    model: Exact,
    operator: Operator,
    method: Method,
    sampler: Sampler,
    process: Process,
    steps: int,
    y: Tensor,
    noise: Callable[[], Tensor],
) -> Tensor:
    question = Question.of(operator, y, process)
    times = sampler.plan(process, steps)
    x_T = process.prior(noise())
    steered = method.steer(model, process, question, times, noise)  # type: ignore[arg-type]
    x_0 = sampler.sample(steered, process, x_T, times, noise)
    return process.decode(method.finish(x_0, question))


def _draws(
    data: Gaussian,
    operator: Operator,
    method: Method,
    sampler: Sampler,
    process: Process,
    steps: int,
) -> int:
    """Return how often noise is drawn for an answer."""
    count = 0

    def noise() -> Tensor:
        nonlocal count
        count += 1
        return torch.zeros(1, *SHAPE, dtype=torch.float64)

    y = operator.forward(data.draw(1))
    _answered(data.model(process), operator, method, sampler, process, steps, y, noise)
    return count


def class_shares(name: str, level: float) -> tuple[float, float]:
    """Return the probability of the brighter class given one half of a grey image.

    Args:
        name: of a method.
        level: of the grey, in [-1, 1].

    Returns:
        That of the posterior, and the mean one of the method's answers.
    """
    data, operator = Mixture.of(), OPERATORS.make("inpaint", mask="half")
    y = operator.forward(torch.full((1, *SHAPE), level, dtype=torch.float64))
    sampler = SAMPLERS.make("ddpm" if name in ("replacement", "repaint") else "heun")
    method = METHODS.make(name, **MIXTURE_OPTIONS.get(name, {}))
    asked = y.expand(1500, -1, -1, -1)
    found = sampled_answers(data, operator, method, sampler, PROCESSES["vp"], 30, asked)
    return float(data.classes(operator, y)[0]), float(data.shares(found)[0])


def bias_table() -> str:
    """Return the table of the biases for Gaussian data, in Markdown."""
    head = ["pixels", "question", "method", *TABLE_PROCESSES]
    lines = [_line(head), _line(["---"] * 3 + ["---:"] * len(TABLE_PROCESSES))]
    for correlation, pixels in ((0.0, "independent"), (0.9, "correlated")):
        data = Gaussian.of(correlation)
        for name, operator in ASKED.items():
            for label, (method, sampler, steps) in ANSWERED.items():
                try:
                    method.check(SAMPLERS.make(sampler), operator, steps)
                except BenchmarkError:
                    continue
                found = [_bias(data, operator, label, key) for key in TABLE_PROCESSES]
                lines.append(_line([pixels, name, label, *found]))
    return "\n".join(lines)


def _bias(data: Gaussian, operator: Operator, label: str, key: str) -> str:
    method, sampler, steps = ANSWERED[label]
    made, process, truths = SAMPLERS.make(sampler), PROCESSES[key], data.draw(4)
    y = operator.forward(truths)
    exact = data.answers(operator, y)
    if method.kind == "dps":  # not affine in the noise
        asked = y[:, None].expand(-1, 500, *y.shape[1:]).flatten(0, 1)
        found = sampled_answers(data, operator, method, made, process, steps, asked)
        own = found.view(len(y), 500, SIZE)
        centred = (own - own.mean(1, keepdim=True)).flatten(0, 1)
        answers = Posterior(own.mean(1), centred.T @ centred / (len(centred) - len(y)))
    else:
        answers = affine_answers(data, operator, method, made, process, steps, truths)
    off, spread = answers.error(exact)
    return f"{off:.2f} / {spread:.2f}"


def class_table() -> str:
    """Return the table of the classes of a mixture, in Markdown."""
    levels = (-0.1, 0.0, 0.1)
    lines = [
        _line(["answers", *(f"half of grey {level:g} given" for level in levels)]),
        _line(["---"] + ["---:"] * len(levels)),
    ]
    exact = [class_shares("pigdm", level)[0] for level in levels]
    lines.append(_line(["exact posterior", *(f"{share:.3f}" for share in exact)]))
    for name in ("pigdm", "dps", "repaint", "replacement"):
        found = [class_shares(name, level)[1] for level in levels]
        lines.append(_line([name, *(f"{share:.3f}" for share in found)]))
    return "\n".join(lines)


def classifier_table() -> str:
    """Return the table of samples that an exact classifier steers, in Markdown."""
    head = [_line(["method", *TABLE_PROCESSES]), _line(["---"] + ["---:"] * len(TABLE_PROCESSES))]
    return "\n".join([*head, *map(_line, steered_table((1.0, 2.0), TABLE_PROCESSES))])


def _line(entries: list[str]) -> str:
    return f"| {' | '.join(entries)} |"


ASKED: dict[str, Operator] = {
    "inpaint half": OPERATORS.make("inpaint", mask="half"),
    "super-resolution 2": OPERATORS.make("super-resolution", factor=2),
    "colourise": OPERATORS.make("colourise"),
    "denoise 0.5": OPERATORS.make("denoise"),
    "deblur 0.8, noise 0.2": OPERATORS.make("deblur", width=0.8, noise=0.2),
}
# Methods with their samplers and steps. Ancestral sampling has a spread too small by a few per cent
# at so few steps, whatever it is asked.
ANSWERED: dict[str, tuple[Method, str, int]] = {
    "pigdm": (METHODS.make("pigdm", data_std=0.5), "heun", 100),
    "dps, 100 steps": (METHODS.make("dps"), "ddpm", 100),
    "dps, 400 steps": (METHODS.make("dps"), "ddpm", 400),
    "repaint": (METHODS.make("repaint", jump_length=2, resamplings=5), "ddpm", 40),
    "replacement": (METHODS.make("replacement"), "ddpm", 200),
}
MIXTURE_OPTIONS: dict[str, dict[str, object]] = {
    "pigdm": {"data_std": 0.3},
    "repaint": {"jump_length": 2, "resamplings": 5},
}
TABLE_PROCESSES = ("linear", "ve", "sub-vp", "edm", "flow")


def write(page: Path) -> None:
    """Write both tables into a page, between their marks."""
    tables = {
        "biases": bias_table(),
        "classes of a mixture": class_table(),
        "classifier": classifier_table(),
    }
    text = page.read_text()
    for name, table in tables.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{table}\n{end}{rest.split(end)[1]}"
    page.write_text(text)


if __name__ == "__main__":
    write(Path(__file__).parents[2] / "docs" / "steering.md")
