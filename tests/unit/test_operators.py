"""What is given of an image: linear maps, their transposes, pseudo-inverses and solutions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from benchmark.diffusion.operators import OPERATORS, Operator
from benchmark.diffusion.operators.inpaint import Inpaint
from benchmark.diffusion.question import Question
from benchmark.diffusion.schedules import SCHEDULES

SIDE = 4
ALL: dict[str, dict[str, object]] = {
    "box": {"kind": "inpaint", "mask": "box"},
    "half": {"kind": "inpaint", "mask": "half"},
    "random": {"kind": "inpaint", "mask": "random", "hidden": 0.6},
    "colourise": {"kind": "colourise"},
    "super-resolution": {"kind": "super-resolution", "factor": 2},
    "deblur": {"kind": "deblur", "width": 0.8},
    "denoise": {"kind": "denoise"},
}


def operator(name: str) -> Operator:
    options = dict(ALL[name])
    return OPERATORS.make(str(options.pop("kind")), **options)


def images(seed: int, count: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, SIDE, SIDE, generator=generator, dtype=torch.float64)


def matrix(op: Operator) -> Tensor:
    """Return A as a matrix, from the images of all unit vectors."""
    size = 3 * SIDE * SIDE
    units = torch.eye(size, dtype=torch.float64).view(size, 3, SIDE, SIDE)
    return op.forward(units).flatten(1).T


def test_are_all_operators_tested() -> None:
    assert {options["kind"] for options in ALL.values()} == set(OPERATORS.names())


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=5)
@given(seed=st.integers(0, 2**31))
def test_is_the_adjoint_the_transpose(name: str, seed: int) -> None:
    op, x = operator(name), images(seed)
    y = op.forward(images(seed + 1))
    assert float((op.forward(x) * y).sum()) == pytest.approx(float((x * op.adjoint(y)).sum()))


@pytest.mark.parametrize("name", ALL)
def test_does_the_pseudo_inverse_equal_that_of_the_matrix(name: str) -> None:
    op = operator(name)
    A = matrix(op)
    y = op.forward(images(0))
    expected = torch.linalg.pinv(A) @ y.flatten()
    assert torch.allclose(op.pseudo_inverse(y).flatten(), expected, atol=1e-9)


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=5)
@given(image=st.floats(1e-3, 10), noise=st.floats(1e-3, 10))
def test_does_the_solution_equal_that_of_the_matrix(name: str, image: float, noise: float) -> None:
    op = operator(name)
    A = matrix(op)
    y = op.forward(images(1))
    expected = torch.linalg.solve(image * A @ A.T + noise * torch.eye(len(A)), y.flatten())
    assert torch.allclose(op.solve(y, image, noise).flatten(), expected, atol=1e-9)


@pytest.mark.parametrize("name", ALL)
def test_is_what_a_completed_image_gives_what_was_asked_for(name: str) -> None:
    op = operator(name)
    y = op.forward(images(2))
    completed = Question(op, y, 0.0).completed(images(3), y)
    assert torch.allclose(op.forward(completed), y, atol=1e-9)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("kind", ["linear", "ve"])
def test_is_a_question_the_same_in_the_range_of_a_process(name: str, kind: str) -> None:
    op, process = operator(name), SCHEDULES.make(kind).process()
    x, z = images(4), images(5)
    question = Question.of(op, op.ask(x, z), process)
    expected = op.noise_from(z) * question.noise
    assert torch.allclose(question.residual(process.encode(x)), expected, atol=1e-12)
    assert question.noise == op.noise * (process.data_range[1] - process.data_range[0]) / 2


@pytest.mark.parametrize("name", ["box", "super-resolution", "colourise", "deblur", "denoise"])
def test_has_the_noise_on_what_is_given_unit_variance(name: str) -> None:
    noise = operator(name).noise_from(images(6, 1000))
    seen = noise[noise != 0]
    assert float(seen.std()) == pytest.approx(1, abs=0.02)
    assert noise.shape == operator(name).forward(images(6, 1000)).shape


def test_blurs_the_deblurring_operator_with_a_gaussian_on_a_circle() -> None:
    scipy = pytest.importorskip("scipy.ndimage")
    x = images(7)
    blurred = OPERATORS.make("deblur", width=1.2).forward(x)
    expected = scipy.gaussian_filter(x.numpy(), (0, 0, 1.2, 1.2), mode="wrap", truncate=12)
    assert np.allclose(blurred.numpy(), expected, atol=1e-9)


def test_is_the_grey_channel_orthogonal_to_the_others() -> None:
    op = OPERATORS.make("colourise")
    grey = torch.ones(1, 3, 2, 2)
    assert torch.allclose(op.adjoint(op.forward(grey)), grey)
    reddish = torch.tensor([1.0, -1.0, 0.0]).view(1, 3, 1, 1)
    assert float(op.forward(reddish)) == pytest.approx(0)


def test_how_many_pixels_masks_hide() -> None:
    shares = {mask: Inpaint(mask=mask).hides(32).mean() for mask in ("box", "half", "random")}
    assert shares == {"box": 0.25, "half": 0.5, "random": pytest.approx(0.8, abs=1e-3)}
    first, again, other = (Inpaint(mask="random", question_seed=s).hides(32) for s in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


def picture(path: Path, hidden: np.ndarray) -> Path:
    Image.fromarray(np.where(hidden, 255, 0).astype(np.uint8)).save(path)
    return path


def test_is_a_mask_read_from_a_picture(tmp_path: Path) -> None:
    hidden = np.zeros((SIDE, SIDE), bool)
    hidden[2, 3] = True
    op = Inpaint(mask="file", path=picture(tmp_path / "mask.png", hidden))
    op.check(SIDE, 3)
    assert (op.hides(SIDE) == hidden).all()
    assert "mask.png" not in str(op.spec())
    other = Inpaint(mask="file", path=picture(tmp_path / "other.png", ~hidden))
    assert op.spec() != other.spec()


def refused(op: Operator, channels: int = 3) -> str:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        op.check(SIDE, channels)
    return str(error.value)


def test_are_questions_refused_that_ask_or_give_nothing(tmp_path: Path) -> None:
    nothing, all_ = np.zeros((SIDE, SIDE), bool), np.ones((SIDE, SIDE), bool)
    assert refused(Inpaint(hidden=0.0)) == "hidden: the mask hides no pixel: nothing is asked"
    assert refused(Inpaint(hidden=1.0)) == "hidden: the mask hides all pixels: nothing is given"
    drawn = Inpaint(mask="file", path=picture(tmp_path / "none.png", nothing))
    assert refused(drawn).startswith("path: the mask hides no pixel")
    drawn = Inpaint(mask="file", path=picture(tmp_path / "all.png", all_))
    assert refused(drawn).startswith("path: the mask hides all pixels")


def test_are_masks_refused_that_are_no_pictures_of_the_size(tmp_path: Path) -> None:
    path = picture(tmp_path / "small.png", np.eye(2, dtype=bool))
    assert refused(Inpaint(mask="file", path=path)) == (
        f"path: {path} has 2×2 pixels: the images have 4×4"
    )
    text = tmp_path / "text.png"
    text.write_text("no picture")
    assert refused(Inpaint(mask="file", path=text)).startswith(f"path: {text}: no readable picture")


def test_are_operators_refused_that_do_not_fit_the_images() -> None:
    assert refused(OPERATORS.make("colourise"), channels=1) == (
        "kind: colourise is for images of 3 channels, and these have 1: nothing would be asked"
    )
    assert refused(OPERATORS.make("super-resolution", factor=3)) == (
        "factor: 4 pixels are no multiple of 3: choose one that divides 4"
    )
    assert refused(OPERATORS.make("deblur", width=9.0)).startswith(
        "width: a Gaussian of 9.0 pixels"
    )


@pytest.mark.parametrize(
    "options",
    [
        {"mask": "half", "hidden": 0.3},
        {"mask": "file"},
        {"path": "mask.png"},
        {"mask": "circle"},
        {"hidden": 1.5},
        {"noise": -1},
        {"size": 3},
    ],
)
def test_are_options_refused_that_a_mask_has_not(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        OPERATORS.make("inpaint", **options)


@pytest.mark.parametrize("kind", ["denoise", "deblur"])
def test_needs_an_operator_that_can_be_inverted_noise(kind: str) -> None:
    with pytest.raises(ValidationError):
        OPERATORS.make(kind, noise=0)
