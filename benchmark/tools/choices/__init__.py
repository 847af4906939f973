"""Choices that people make differently when they score images, each in a file of its own.

Each is a part: a subclass of `Choice`, whose `options` say what else can be chosen.
"""

from benchmark.core.parts import Parts
from benchmark.tools.choices.base import Choice

CHOICES = Parts("choice", Choice, __name__)

__all__ = ["CHOICES", "Choice"]
