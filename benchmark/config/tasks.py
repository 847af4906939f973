"""The tasks of a grid: an operator, the method that answers, and how many answers it gives."""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, create_model

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import Count, Name, StrictModel
from benchmark.diffusion.methods import METHODS
from benchmark.diffusion.operators import OPERATORS, Operator
from benchmark.records.record import CellTask

if TYPE_CHECKING:
    from benchmark.diffusion.methods import Method
    from benchmark.diffusion.samplers import Sampler
else:
    Method = METHODS.union()


def _as_mapping(value: Any) -> Any:
    """Return the mapping of keys for which a name alone stands."""
    return {"kind": value} if isinstance(value, str) else value


class _Answering(StrictModel):
    """The keys that every task has, besides those of its operator."""

    method: Annotated[Method, BeforeValidator(_as_mapping)] = Field(
        description="How it is answered: the name of a method, or its options with `kind`",
        examples=["repaint"],
    )
    answers: Count = Field(
        default=1, description="Answers to each question; `samples` is a multiple of it"
    )
    name: Name | None = Field(
        default=None,
        description="Its part of the names of cells; null: the kinds of operator and method",
        examples=["half"],
    )


if TYPE_CHECKING:

    class Task(_Answering, Operator):
        """A task: an operator with the keys of a task."""

else:
    _TASKS = [
        create_model(part.__name__, __base__=(_Answering, part), __doc__=part.__doc__)
        for part in OPERATORS.classes.values()
    ]
    Task = Annotated[functools.reduce(operator.or_, _TASKS), Field(discriminator="kind")]


def of_cell(task: Task) -> CellTask:
    """Return what a cell says of its task."""
    keys = {*_Answering.model_fields}
    return CellTask(
        label=task.name or f"{task.label}-{task.method.kind}",
        question=task.label,
        operator={key: value for key, value in task.spec().items() if key not in keys},
        method=task.method.model_dump(mode="json"),
        answers=task.answers,
    )


def modules_of(task: Task | None) -> list[str]:
    """Return the modules of the operator and of the method of a task; None: none."""
    if task is None:
        return []
    return [OPERATORS.get(task.kind).__module__, type(task.method).__module__]


def check_task(at: str, task: Task, resolution: int, channels: int) -> None:
    """Refuse a task that is not defined for some images; the error begins with the key.

    Args:
        at: key of the task.
        task: the task.
        resolution: height and width of the images.
        channels: number of their channels.

    Raises:
        ValueError: it is not.
    """
    try:
        task.check(resolution, channels)
    except ValueError as error:
        raise ValueError(f"{at}.{error}") from None


def check_method(at: str, task: Task, sampler: Sampler, steps: int) -> None:
    """Refuse a method that is not defined for a sampler; the error begins with the key.

    Args:
        at: key of the task.
        task: the task.
        sampler: a sampler of the grid.
        steps: a number of its steps.

    Raises:
        ValueError: it is not.
    """
    try:
        task.method.check(sampler, task, steps)
    except BenchmarkError as error:
        raise ValueError(f"{at}.{error}") from None


def check_counts(at: str, task: Task, samples: int, held_out: int) -> None:
    """Refuse samples that are not so many answers to each of at least two questions.

    Args:
        at: key of the block of the grid.
        task: the task.
        samples: images of a cell.
        held_out: images that can be asked about.

    Raises:
        ValueError: they are not.
    """
    questions, left = divmod(samples, task.answers)
    if left or questions < 2:
        raise ValueError(
            f"{at}.samples: {samples} samples are not {task.answers} answers to each of several "
            f"questions: choose a multiple of {task.answers}, at least {2 * task.answers}"
        )
    if questions > held_out:
        raise ValueError(
            f"{at}.samples: {samples} samples are answers to {questions} questions, and there are "
            f"{held_out} held-out images to ask about: at most {held_out * task.answers}"
        )
