"""The loop of a training, and how it continues after it was stopped."""

from __future__ import annotations

import functools
import math
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import torch
from torch import Tensor, nn
from torch.func import functional_call

from benchmark.core.errors import BenchmarkError
from benchmark.core.progress import track
from benchmark.core.seeds import stream_seed
from benchmark.core.values import Value
from benchmark.diffusion.adversarial import sampled_part
from benchmark.diffusion.guidance import Told
from benchmark.diffusion.objective import EVERY, Objective
from benchmark.metrics.uncertainty import median_rate
from benchmark.records.contention import ContentionMonitor
from benchmark.records.record import Curve
from benchmark.runtime.device import arithmetic, synchronise
from benchmark.runtime.machine_state import monitor_machine
from benchmark.runtime.model_range import dequantised, to_model_range
from benchmark.runtime.packing import norms_in_float32
from benchmark.runtime.process_group import ONE_PROCESS, ProcessGroup
from benchmark.runtime.stopping import (
    EXIT_RUN_AGAIN,
    Budget,
    Stopped,
    deferred_signals,
    stop_reason,
)
from benchmark.runtime.training_state import last_state, load_state, save_state

if TYPE_CHECKING:
    from benchmark.config.schema import ComputePrecision
    from benchmark.config.training import Training


DRAWS = 4  # of times and noise for each held-out image


@dataclass
class TrainingProgress:
    """How far a training has come, besides its weights.

    Attributes:
        step: number of steps done.
        seconds: time of these steps.
        losses: mean loss of each `log_every` steps.
        window: losses of the steps since the last mean.
        gradients: mean norm of the gradient of each `log_every` steps: see `Step`.
        norms: the norms of the steps since the last mean.
        lap_seconds: seconds of each lap; a lap ends where losses are logged.
        lap_steps: steps of each lap.
        held_out: the steps done and the loss of the held-out images, each time it was measured.
        contention: what else used the machine, each time that the training was started.
    """

    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    window: list[float] = field(default_factory=list)
    gradients: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    lap_seconds: list[float] = field(default_factory=list)
    lap_steps: list[int] = field(default_factory=list)
    held_out: list[tuple[int, float]] = field(default_factory=list)
    contention: list[dict[str, Any]] = field(default_factory=list)

    def end_lap(self, done: int, seconds: float, steps: int) -> None:
        """Add a lap.

        Args:
            done: number of steps done at its end.
            seconds: how long it took.
            steps: number of its steps.
        """
        self.step = done
        self.seconds += seconds
        self.lap_seconds.append(seconds)
        self.lap_steps.append(steps)


@dataclass(frozen=True)
class TrainingSet:
    """The images of a training, on the network's device.

    Attributes:
        images: the training images, uint8 N×H×W×C.
        held_out: images whose loss is measured, uint8 M×H×W×C; None: it is not.
        labels: the numbers of the training images' classes, int64 N; None: nothing tells them.
        held_out_labels: those of the held-out images, int64 M.
        none: the number that stands for no class.
    """

    images: Tensor
    held_out: Tensor | None = None
    labels: Tensor | None = None
    held_out_labels: Tensor | None = None
    none: int = 0


class Step(NamedTuple):
    """What one step of the optimiser tells: scalars on the device.

    Attributes:
        loss: its loss; with several processes, the sum of theirs is the loss.
        gradient: norm of the gradient, before it is clipped, of the network that makes samples.
    """

    loss: Tensor
    gradient: Tensor


class Keep(NamedTuple):
    """What keeps the averaged weights of a training on the way.

    Attributes:
        steps: numbers of finished steps after which they are kept.
        write: called with the number of finished steps and the averaged weights.
    """

    steps: frozenset[int]
    write: Callable[[int, dict[str, Tensor]], None]


class Trainer:
    """The training loop.

    All random numbers of step k follow from (seed, k), so that no state of a generator is saved.
    On a CPU, with the same number of threads, a training that was killed and continued ends with
    the same bits as one that was not.

    Args:
        network: predicts from (x_t: B×C×H×W, condition: B); or a generator and its critic.
        loss: the loss of the network's process.
        data: the images, and their classes.
        settings: the settings of the training in the config.
        seed: seed of the order of the images, the noise, the times and the flips.
        state: folder for saved states.
        precision: precision in which the network computes; weights and optimiser are float32.
        group: processes that train together; each draws the times and the noise of whole batches,
            of which its network computes a share.
        keep: what keeps the averaged weights on the way; of several processes the first does.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Objective,
        data: TrainingSet,
        settings: Training,
        seed: int,
        state: Path,
        precision: ComputePrecision = "float32",
        group: ProcessGroup = ONE_PROCESS,
        keep: Keep | None = None,
    ) -> None:
        self.network = network.to(memory_format=torch.channels_last)
        if data.images.device.type == "cpu":
            norms_in_float32(self.network)
        self.sampled = sampled_part(self.network)
        self.loss = loss
        self.data = data
        self.images = data.images
        self.settings = settings
        self.seed = seed
        self.state = state
        self.precision = precision
        self.group = group
        self.keep = keep or Keep(frozenset(), lambda done, weights: None)
        self.parallel = group.parallel(self.network)
        self.total = settings.total_steps(len(data.images))
        self.optimiser = torch.optim.AdamW(
            network.parameters(),
            lr=settings.lr,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.weights = network.state_dict()  # these tensors share memory with the network
        self.averaged = {k: v.detach().clone() for k, v in self.weights.items()}
        self.progress = TrainingProgress()
        self.points = (
            points(settings.held_out_points, self.total) if data.held_out is not None else set()
        )

    def run(
        self, name: str, budget: Budget | None = None, monitor: ContentionMonitor | None = None
    ) -> None:
        """Train from the last saved state, or from the start, to the last step.

        Args:
            name: name of the training, for messages.
            budget: time that the training may take; None: any.
            monitor: observes what else uses the machine; None: one that begins now.

        Raises:
            BenchmarkError: the loss became NaN or infinite.
            Stopped: a signal or the spent budget has stopped the training after a step, and its
                state is saved.
        """
        budget, monitor = budget or Budget(), monitor or monitor_machine(self.images.device)
        self._resume()
        before = list(self.progress.contention)
        self.network.train()
        monitor.begin()
        window: list[Step] = []
        clock = saved = time.monotonic()
        with deferred_signals() as signalled:
            for step in self._steps(name):
                window.append(self.step(step))
                done = step + 1
                budget.record_duration("step", (time.monotonic() - clock) / len(window))
                stop = self.group.largest(
                    signalled() or (EXIT_RUN_AGAIN if budget.is_spent() else 0)
                )
                is_logged = done % self.settings.log_every == 0 or done == self.total
                if not (stop or is_logged or done in self.points or done in self.keep.steps):
                    continue
                self._log(window, step)
                now = time.monotonic()
                budget.record_duration("step of the last window", (now - clock) / len(window))
                self.progress.end_lap(done, now - clock, len(window))
                window, clock = [], now
                if done in self.points:
                    self._measure(done)
                    clock = time.monotonic()  # neither is measuring
                if done in self.keep.steps and self.group.rank == 0:
                    self.keep.write(done, self.sampled_weights())
                    clock = time.monotonic()
                if stop or now - saved >= self.settings.save_seconds or done == self.total:
                    self.progress.contention = [*before, monitor.found().model_dump()]
                    self._save()
                    clock = saved = time.monotonic()  # saving is not training
                    budget.record_duration("saving", saved - now)
                if stop and done < self.total:
                    self._stop(name, stop)
        synchronise(self.images.device)

    def step(self, step: int) -> Step:
        """Take one step of the optimiser.

        Args:
            step: number of the step, from 0.
        """
        generator = torch.Generator(self.images.device).manual_seed(stream_seed(self.seed, step))
        batch = self._batch(step)
        x_0 = to_model_range(self.images[batch])  # (B, C, H, W)
        if self.settings.flip:
            mirrored = torch.rand(len(x_0), generator=generator, device=x_0.device) < 0.5
            x_0 = torch.where(mirrored[:, None, None, None], x_0.flip(-1), x_0)
        if self.settings.dequantise:
            uniform = torch.rand(x_0.shape, generator=generator, device=x_0.device)
            x_0 = dequantised(x_0, uniform)
        labels = self._labels(batch, generator)
        for parameters in self.optimiser.param_groups:
            parameters["lr"] = learning_rate(self.settings, step, self.total)
        self.optimiser.zero_grad(set_to_none=True)
        rows, weight = self.group.share(len(x_0))
        # No cache: each weight is used once in a step and then changed.
        with arithmetic(self.precision, self.images.device, cache=False):
            told = self.parallel if labels is None else Told(self.parallel, labels[rows])
            loss = self.loss(told, x_0, generator, rows)
        (loss * (weight * self.group.size)).backward()  # type: ignore[no-untyped-call]
        gradient = self._clipped()
        self.optimiser.step()
        self._average(step)
        return Step(weight * loss.detach(), gradient)

    def sampled_weights(self, raw: bool = False) -> dict[str, Tensor]:
        """Return weights, of any shapes, of what makes samples, by their names in it.

        Args:
            raw: whether to return those of the last step, in place of the moving average.
        """
        whole = self.weights if raw else self.averaged
        [at] = [name for name, part in self.network.named_modules() if part is self.sampled]
        return {name: whole[f"{at}.{name}" if at else name] for name in self.sampled.state_dict()}

    def values(self) -> dict[str, Value]:
        """Return the time, the last loss, and the median seconds per step with its interval."""
        step = median_rate(self.progress.lap_seconds, self.progress.lap_steps)
        return {
            "train_seconds": Value(value=self.progress.seconds),
            "train_seconds_per_step": step,
            "final_loss": Value(value=self.progress.losses[-1]),
        }

    def step_laps(self) -> list[tuple[float, int]]:
        """Return the seconds and the steps of each lap."""
        return list(zip(self.progress.lap_seconds, self.progress.lap_steps, strict=True))

    def curve(self) -> Curve:
        """Return the loss curve, whose points are means over the `log_every` steps before them."""
        every = self.settings.log_every
        steps = [min((i + 1) * every, self.total) for i in range(len(self.progress.losses))]
        rates = [learning_rate(self.settings, step - 1, self.total) for step in steps]
        held_out = self.progress.held_out
        gradient = self.progress.gradients
        return Curve(
            steps=steps, loss=self.progress.losses, lr=rates, held_out=held_out, gradient=gradient
        )

    def _clipped(self) -> Tensor:
        """Clip the gradient; return its norm before, of the network that makes samples."""
        clip, weights = self.settings.clip, self.network.parameters()
        if clip is not None and self.sampled is self.network:
            return nn.utils.clip_grad_norm_(weights, clip, foreach=True)
        gradients = [p.grad for p in self.sampled.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients, foreach=True)
        if clip is not None:
            nn.utils.clip_grad_norm_(weights, clip, foreach=True)
        return norm

    def _batch(self, step: int) -> Tensor:
        """Return the row numbers of the images of a step (B), fewer at the end of an epoch."""
        epoch, position = divmod(step, -(-len(self.images) // self.settings.batch))
        start = position * self.settings.batch
        return self._order(epoch)[start : start + self.settings.batch]

    def _labels(self, batch: Tensor, generator: torch.Generator) -> Tensor | None:
        """Return the classes of the images of a batch (B), some of them dropped; None: no classes.

        Ho and Salimans 2022, algorithm 1, line 3.
        """
        if self.data.labels is None:
            return None
        chance = torch.rand(len(batch), generator=generator, device=batch.device)
        dropped = chance < self.settings.label_dropout
        return self.data.labels[batch].masked_fill(dropped, self.data.none)

    @functools.lru_cache(maxsize=1)  # noqa: B019  one trainer a process
    def _order(self, epoch: int) -> Tensor:
        """Return the row numbers of all images (N) in the random order of an epoch."""
        generator = torch.Generator().manual_seed(stream_seed(self.seed, "order", epoch))
        order = torch.randperm(len(self.images), generator=generator)
        return order.to(self.images.device)

    @torch.no_grad()
    def _average(self, step: int) -> None:
        """Update the moving average of the weights; its decay rises to `ema` in the first steps."""
        limit = self.settings.ema or 0.0
        decay = min(limit, (1 + step) / (10 + step))
        torch._foreach_lerp_(
            list(self.averaged.values()), [self.weights[k] for k in self.averaged], 1 - decay
        )

    @torch.no_grad()
    def _measure(self, done: int) -> None:
        """Measure the loss of the held-out images with the averaged weights.

        The times and the noise are the same whenever it is measured, so that only the weights make
        a difference. Of several processes the first one measures.
        """
        held_out, labels = self.data.held_out, self.data.held_out_labels
        if held_out is None or self.group.rank != 0:
            return

        def averaged(*inputs: Tensor) -> Any:
            return functional_call(self.network, self.averaged, inputs)

        seed = stream_seed(self.seed, "held-out loss")
        generator = torch.Generator(self.images.device).manual_seed(seed)
        total = torch.zeros((), dtype=torch.float64, device=self.images.device)
        self.network.eval()
        for _ in range(DRAWS):
            for rows in torch.split(torch.arange(len(held_out)), self.settings.batch):
                batch = held_out[rows]
                told = averaged if labels is None else Told(averaged, labels[rows])
                with arithmetic(self.precision, self.images.device, cache=False):
                    loss = self.loss(told, to_model_range(batch), generator, EVERY)
                total += loss.double() * len(batch)
        self.network.train()
        self.progress.held_out.append((done, total.item() / (DRAWS * len(held_out))))

    def _steps(self, name: str) -> Iterable[int]:
        steps = range(self.progress.step, self.total)
        if self.group.rank != 0:
            return steps
        return track(steps, len(steps), f"train {name}", self._loss)

    def _loss(self) -> str:
        """Return the newest logged loss for readers; empty before the first."""
        return f"loss {self.progress.losses[-1]:.4g}" if self.progress.losses else ""

    def _log(self, window: list[Step], step: int) -> None:
        """Log losses and norms of gradients.

        Args:
            window: what the steps since the last call have told.
            step: the last of these steps.

        Raises:
            BenchmarkError: a loss is NaN or infinite.
        """
        losses = self.group.sum(torch.stack([each.loss for each in window]).double()).cpu()
        wrong = (~losses.isfinite()).nonzero()
        if len(wrong):
            at = step + 1 - len(window) + int(wrong[0])
            raise BenchmarkError(
                f"training: the loss became {losses[int(wrong[0])].item()} at step {at} with "
                f"learning rate {learning_rate(self.settings, at, self.total):.3g}; the last good "
                f"state is {last_state(self.state)}: lower training.lr or training.clip"
            )
        progress = self.progress
        progress.window += losses.tolist()
        progress.norms += torch.stack([each.gradient for each in window]).tolist()
        if (step + 1) % self.settings.log_every == 0 or step + 1 == self.total:
            for means, values in (
                (progress.losses, progress.window),
                (progress.gradients, progress.norms),
            ):
                means.append(torch.tensor(values, dtype=torch.float64).mean().item())
                values.clear()

    def _save(self) -> None:
        # Only the first process saves, even if by its own clock only; the others wait at their next
        # communication.
        if self.group.rank == 0:
            save_state(self.state, self.progress.step, self._state())

    def _stop(self, name: str, status: int) -> NoReturn:
        if self.group.rank == 0:
            print(
                f"train {name}: {stop_reason(status)}: stopped at step {self.progress.step} of "
                f"{self.total} with the state saved: run the command again to continue",
                file=sys.stderr,
                flush=True,
            )
        self.group.barrier()  # since the launcher ends the others when one process ends
        raise Stopped(status)

    def _state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "averaged": self.averaged,
            "optimiser": self.optimiser.state_dict(),
            "progress": vars(self.progress),
        }

    def _resume(self) -> None:
        is_first = self.group.rank == 0
        if not is_first:
            self.group.barrier()
        state = load_state(self.state, self.images.device, self._fits, clear=is_first)
        if is_first:
            self.group.barrier()  # the damaged states are removed: the others may read now
        if state is not None:
            self.network.load_state_dict(state["network"])
            self.averaged = state["averaged"]
            self.optimiser.load_state_dict(state["optimiser"])
            self.progress = TrainingProgress(**state["progress"])
        # This also waits until all processes have read their state.
        if not self.group.is_equal_on_all(self.progress.step):
            raise BenchmarkError(
                f"{self.state}: the processes read states of different steps: run the command again"
            )

    def _fits(self, state: dict[str, Any]) -> bool:
        """Return whether a state is of this network and this version of the program."""
        own = self._state()
        return state.keys() == own.keys() and all(
            _layout(state[part]) == _layout(own[part]) for part in own
        )


def points(count: int, total: int) -> set[int]:
    """Return the numbers of finished steps, evenly spaced to the last, at which to measure."""
    return {-(-total * i // count) for i in range(1, count + 1)}


def learning_rate(settings: Training, step: int, total: int) -> float:
    """Return the learning rate of a step: linear warm-up, then constant or half a cosine to zero.

    Args:
        settings: the settings of the training.
        step: number of the step, from 0.
        total: number of steps of the training.
    """
    if step < settings.warmup:
        return settings.lr * (step + 1) / settings.warmup
    if settings.decay == "constant":
        return settings.lr
    progress = (step - settings.warmup) / max(1, total - settings.warmup)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * progress))


def _layout(part: object) -> dict[str, object]:
    """Return the names in a part of a state, with the shapes of its tensors."""
    items = part.items() if isinstance(part, dict) else ()
    return {name: value.shape if isinstance(value, Tensor) else None for name, value in items}
