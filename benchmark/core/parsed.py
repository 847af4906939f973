"""What the source of a module says: the hash of its code, and what it imports.

The hash is that of the syntax tree, so that comments, docstrings and layout do not change it. To
parse all modules of this package takes longer than to plan a run, so what was found is kept beside
Python's own compiled modules, and by the same rules: for one version of Python, and in no folder
that cannot be written.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.util
import json
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_STORE = Path(importlib.util.cache_from_source(__file__)).with_suffix(".json")
_NAME = re.compile(r"[\w-]+(\.[\w-]+)+")


class Parsed(NamedTuple):
    """What a module's source says."""

    code: str  # hash of the syntax tree
    imports: list[str]  # names of the modules that it imports, or may import
    texts: list[str]  # constants that may be names of files


class Kept:
    """What was found in the sources of modules, for later processes too.

    Args:
        store: file in which it is kept. What is not there, or cannot be read, is parsed again.
    """

    def __init__(self, store: Path = _STORE) -> None:
        self._store = store
        self._is_new = False
        try:
            content = json.loads(store.read_bytes())
            entries = content["modules"] if content["by"] == _itself() else {}
            self._modules = {name: (of, Parsed(**parsed)) for name, (of, parsed) in entries.items()}
        except (OSError, ValueError, TypeError, LookupError, AttributeError):
            self._modules = {}

    def parsed(self, source: bytes, module: str, is_package: bool) -> Parsed:
        """Return what the source of a module says; see `parse`."""
        of = hashlib.sha256(source + bytes([is_package])).hexdigest()
        before = self._modules.get(module)
        if before is not None and before[0] == of:
            return before[1]
        found = parse(source, module, is_package)
        self._modules[module] = (of, found)
        self._is_new = True
        return found

    def keep(self) -> None:
        """Write what was parsed since, if anything was, whole or not at all."""
        if not self._is_new or sys.dont_write_bytecode:
            return
        self._is_new = False
        entries = {name: (of, parsed._asdict()) for name, (of, parsed) in self._modules.items()}
        text = json.dumps({"by": _itself(), "modules": entries})
        with contextlib.suppress(OSError):
            self._store.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._store.parent, prefix=".parsed-")
            try:
                os.fchmod(handle, 0o644)  # for all users of a shared installation
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(text)
                Path(temporary).replace(self._store)
            finally:
                Path(temporary).unlink(missing_ok=True)


@functools.cache
def _itself() -> str:
    """Return the hash of this module, whose rules what is kept was found by."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def parse(source: bytes, module: str, is_package: bool) -> Parsed:
    """Return what the source of a module says.

    Args:
        source: the source.
        module: full name of the module.
        is_package: whether it is that of a package, to which its relative imports refer then.

    Raises:
        SyntaxError: the source is not Python; ValueError and RecursionError too.
    """
    with warnings.catch_warnings(action="ignore"):  # the import itself shows them
        body = ast.parse(source).body
    package = module if is_package else module.rpartition(".")[0]
    nodes = _executed(body)
    imports = {name for node in nodes for name in _imported(node, package)}
    constants = (node.value for node in nodes if isinstance(node, ast.Constant))
    texts = {text for text in constants if isinstance(text, str) and _NAME.fullmatch(text)}
    code = hashlib.sha256(_plain(body).encode()).hexdigest()
    return Parsed(code, sorted(imports), sorted(texts))


def _executed(body: Iterable[ast.AST]) -> list[ast.AST]:
    """Return all nodes except those that only a type checker reads."""
    found, waiting = [], list(body)
    while waiting:
        node = waiting.pop()
        found.append(node)
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)
    return found


def _is_type_checking(test: ast.expr) -> bool:
    is_name = isinstance(test, ast.Name | ast.Attribute)
    return is_name and ast.unparse(test).endswith("TYPE_CHECKING")


def _imported(node: ast.AST, package: str) -> list[str]:
    """Return the names of the modules that a node imports, or may import."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.Call):
        return _called(node, package)
    if not isinstance(node, ast.ImportFrom):
        return []
    origin = _absolute(node.module or "", node.level, package)
    return [origin, *(f"{origin}.{alias.name}" for alias in node.names)]


def _called(call: ast.Call, package: str) -> list[str]:
    """Return the module that a call of `import_module` or `__import__` names by a constant."""
    function = ast.unparse(call.func).rpartition(".")[2]
    name = call.args[0] if call.args else None
    if function not in {"import_module", "__import__"} or not isinstance(name, ast.Constant):
        return []
    relative = str(name.value).lstrip(".")
    return [_absolute(relative, len(str(name.value)) - len(relative), package)]


def _absolute(name: str, level: int, package: str) -> str:
    """Return the full name of a module that is imported with `level` leading dots."""
    parts = package.split(".")
    base = parts[: len(parts) - level + 1] if level else []
    return ".".join(filter(None, [*base, name]))


def _plain(node: object) -> str:
    """Return a syntax tree as text, the same in every version of Python, without docstrings."""
    if isinstance(node, list):
        return f"[{', '.join([_plain(item) for item in node if not _is_docstring(item)])}]"
    if not isinstance(node, ast.AST):
        return ascii(node)
    fields = [repr(type(node).__name__)]
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(node, ast.JoinedStr):  # some versions of Python add empty strings
            value = [v for v in node.values if not isinstance(v, ast.Constant) or v.value]
        if isinstance(node, ast.Constant) or (value is not None and value != []):
            fields.append(f"('{name}', {_plain(value)})")
    return f"[{', '.join(fields)}]"


def _is_docstring(node: object) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
