"""Docstrings of public functions that take or return arrays say which shapes these have."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "benchmark"
ARRAY = re.compile(r"\b(Tensor|NDArray|ndarray|Array|ArrayLike|Float64|Index|Features|Images)\b")
SHAPE = re.compile(r"×|\bshape|\b[nNM] values|\([A-Za-z]\)")  # B×C×H×W, "of shape (n,)", (N)
TEXT = re.compile("'[^']*'|\"[^\"]*\"")  # in an annotation: the help of an option
# Networks say it in the docstring of the class.
NETWORKS = {"dit.py", "unet.py", "unet_2015.py"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def layers() -> list[str]:
    folders = (path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists())
    return sorted(folders)


def public(body: list[ast.stmt]) -> Iterator[Function]:
    for node in body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            if isinstance(node, ast.ClassDef):
                yield from public(node.body)
            else:
                yield node


def has_arrays(function: Function) -> bool:
    arguments = [*function.args.args, *function.args.kwonlyargs, function.args.vararg]
    types = [argument.annotation for argument in arguments if argument] + [function.returns]
    return any(ARRAY.search(TEXT.sub("", ast.unparse(kind))) for kind in types if kind)


@pytest.mark.parametrize("layer", layers())
def test_does_every_docstring_of_arrays_say_their_shapes(layer: str) -> None:
    silent = [
        f"{path.relative_to(PACKAGE)}:{function.lineno} {function.name}"
        for path in sorted((PACKAGE / layer).rglob("*.py"))
        if path.name not in NETWORKS
        for function in public(ast.parse(path.read_text()).body)
        if has_arrays(function) and not SHAPE.search(ast.get_docstring(function) or "")
    ]
    assert silent == []
