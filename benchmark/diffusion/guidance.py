"""Steering by class: what a network is told of the images that it makes, and by how much."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

# Predicts from (x: B×C×H×W, condition: B, labels: B): a network that knows classes.
OfClasses: TypeAlias = Callable[[Tensor, Tensor, Tensor], Any]


# Returns log p(labels | x_t), B, from (x_t as it is given to a network: B×C×H×W, condition: B,
# labels: B): a classifier of noisy images.
Classifier: TypeAlias = Callable[[Tensor, Tensor, Tensor], Any]


def passes(scale: float | None, is_steered: bool = False) -> int:
    """Return the evaluations for an image at a time.

    Args:
        scale: that of the guidance; None: none is stated.
        is_steered: whether it is the factor of a classifier's gradient.
    """
    if is_steered:
        return 1 + ClassGradient.passes if scale else 1
    return 1 if scale in (None, 0, 1) else 2


class Told:
    """A network that knows classes, told those of a batch, so that it predicts as one without.

    With a scale w other than 1 this is classifier-free guidance, Ho and Salimans 2022, equation 6,
    whose w is w - 1 here: y(no class) + w (y(class) - y(no class)). At a given x_t and time, what
    networks predict is affine in the score whichever it is, so the same sum is that of the scores.
    The network sees the batch with and without its classes at once, as one of twice the size.

    Args:
        network: predicts from (x: B×C×H×W, condition: B, labels: B).
        labels: the numbers of the classes, int64 of shape (B,), on the network's device.
        scale: w; 1: as the network says of the class; 0: as it says of no class.
        none: the number that stands for no class; None: the network has learnt none.

    Attributes:
        passes: evaluations of the network that a call takes for an image.
    """

    def __init__(
        self, network: OfClasses, labels: Tensor, scale: float = 1.0, none: int | None = None
    ) -> None:
        if scale != 1 and none is None:
            raise ValueError("a scale other than 1 needs a network that has learnt of no class")
        self.network, self.labels, self.scale, self.none = network, labels, scale, none
        untold = labels if none is None else torch.full_like(labels, none)
        self.passes = passes(scale)
        told = labels if scale else untold
        self._told = told if self.passes == 1 else torch.cat([labels, untold])

    def __call__(self, x: Tensor, condition: Tensor) -> Tensor:
        """Predict from x: B×C×H×W and condition: B; with a scale, both halves see the same."""
        if self.passes == 1:
            out: Tensor = self.network(x, condition, self._told)
            return out
        both = self.network(torch.cat([x, x]), torch.cat([condition, condition]), self._told)
        told, untold = both.chunk(2)
        channels = x.shape[1]  # those beyond are a variance, which stays that of the class
        guided = torch.lerp(untold[:, :channels], told[:, :channels], self.scale)
        return guided if told.shape[1] == channels else torch.cat([guided, told[:, channels:]], 1)

    def of_rows(self, rows: slice) -> Told:
        """Return the same for these images of the batch alone."""
        return Told(self.network, self.labels[rows], self.scale, self.none)


class ClassGradient:
    """w ∇ log p(class | x_t) of a batch, by which a classifier of noisy images moves the score.

    With the score of a network that knows no classes, the sum is that of p(x_t) p(class | x_t)^w:
    Song et al. 2021, equation 14; Dhariwal and Nichol 2021, algorithm 1 and equation 13.

    Args:
        classifier: returns log p(labels | x_t), B.
        labels: the numbers of the classes, int64 of shape (B,), on the classifier's device.
        scale: w.

    Attributes:
        passes: evaluations that a call takes for an image: one of the classifier, and as much again
            for the gradient.
    """

    passes = 2

    def __init__(self, classifier: Classifier, labels: Tensor, scale: float) -> None:
        self.classifier, self.labels, self.scale = classifier, labels, scale

    def __call__(self, x: Tensor, factor: float, condition: Tensor) -> Tensor:
        """Return the gradient for x, B×C×H×W.

        Args:
            x: the states x_t, B×C×H×W.
            factor: by which they are multiplied before the classifier is given them.
            condition: what it is told of the time, B.
        """
        # In inference mode, in which samplers run, no gradient can be had.
        with torch.inference_mode(False), torch.enable_grad():
            leaf = x.clone().requires_grad_()
            found = self.classifier(factor * leaf, condition.clone(), self.labels.clone())
            (gradient,) = torch.autograd.grad(found.sum(), leaf)
        return self.scale * gradient

    def of_rows(self, rows: slice) -> ClassGradient:
        """Return the same for these images of the batch alone."""
        return ClassGradient(self.classifier, self.labels[rows], self.scale)
