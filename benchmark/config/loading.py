"""Reads config files, and the changes to them on the command line."""

from __future__ import annotations

import codecs
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from benchmark.config.config import Config
from benchmark.config.lacking import lacking_keys
from benchmark.core.canonical import canonical_json
from benchmark.core.errors import BenchmarkError, one_line
from benchmark.core.strict_model import explain, shown
from benchmark.core.wrong_keys import wrong_keys
from benchmark.core.yaml_text import read_yaml
from benchmark.storage.paths import Run

SEE = " (every key: docs/config.md)"


def load_config(path: Path, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read and check a config file.

    Raises:
        BenchmarkError: the config is wrong; the message has the file, the key and the nearest
            known name.
    """
    return parse_config({**read_config(path), **(overrides or {})}, str(path))


def read_config(path: Path) -> dict[str, Any]:
    """Read a config file as plain data.

    Raises:
        BenchmarkError: the file cannot be read, is neither YAML nor JSON in UTF-8, is no mapping,
            or has a key twice.
    """
    try:
        data = path.read_bytes()
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise BenchmarkError(f"{path}: is written in UTF-16: save it as UTF-8")
        content = read_yaml(data.decode("utf-8-sig"))
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        line = one_line(error)
        raise BenchmarkError(f"{path}: not YAML: {line}") from None
    if content is None:
        raise BenchmarkError(f"{path}: is empty: a config is a mapping of keys: run, data, …")
    if not isinstance(content, dict):
        raise BenchmarkError(f"{path}: a config is a mapping of keys, this is {shown(content)}")
    return content


def newest_config(run: Run) -> Path:
    """Return the file of the config with which a run was begun last.

    Raises:
        BenchmarkError: no run has begun there.
    """
    configs = sorted(run.root.glob("config-*.json"), key=lambda path: path.stat().st_mtime)
    if not configs:
        raise BenchmarkError(f"{run.root}: no run has begun there: give a folder as results/NAME")
    return configs[-1]


def merged(paths: Sequence[Path], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of several config files, joined as Snakemake does: the later one wins.

    Args:
        paths: paths of the files, which are read again here, since Snakemake reads them as YAML 1.1
            and accepts a key that stands twice.
        overrides: values of the option `--config`. Texts that YAML reads as a number, a truth value
            or null are converted, since Snakemake does not do this within braces.

    Raises:
        BenchmarkError: a file cannot be read.
    """
    content: dict[str, Any] = {}
    for layer in (*map(read_config, paths), _typed(dict(overrides))):
        _update(content, layer)
    return content


def _update(content: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for key, value in layer.items():
        if isinstance(value, Mapping) and isinstance(content.get(key), dict):
            _update(content[key], value)
        else:
            content[key] = value


def _typed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_typed(item) for item in value]
    if not isinstance(value, str):
        return value
    try:
        scalar = read_yaml(value)
    except (yaml.YAMLError, ValueError, RecursionError):
        return value
    return scalar if isinstance(scalar, bool | int | float | None) else value


def parse_config(content: Mapping[str, Any], origin: str = "config") -> Config:
    """Check a config that is given as plain data; error messages begin with `origin`."""
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        lines, mended = wrong_keys(Config, content)
        more = [*lines, *lacking_keys(mended)]
        see = SEE * bool(more)
        raise BenchmarkError(f"{origin}: {explain(error, content, more)}{see}") from None
    except RecursionError:  # an anchor of YAML that contains itself
        raise BenchmarkError(f"{origin}: it is nested without end: write it out") from None


def check_writable(folder: Path) -> None:
    """Refuse a results folder in which nothing can be written, before any job starts.

    Raises:
        BenchmarkError: the folder, or that in which it would be made, is not writable.
    """
    for existing in (folder, *folder.parents):
        if os.path.lexists(existing):
            if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
                raise BenchmarkError(
                    f"{folder}: {existing} is not a writable folder: change its permissions, or "
                    "run elsewhere"
                )
            return


def resolved(config: Config) -> str:
    """Return the config with every default filled in, as canonical JSON."""
    return canonical_json(filled_in(config))


def filled_in(config: Config) -> dict[str, Any]:
    """Return the config with every default as plain data, of which the same config can be made."""
    content = config.model_dump(mode="json")
    for key in ("samplers", "networks"):
        for name, part in getattr(config, key).items():
            for option in part.unstated:
                del content[key][name][option]
    return content
