"""Gives models of a run other names, so that its cells are compared with those of another run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import nearest_names
from benchmark.records.record import Record


def read_renames(text: str) -> dict[str, str]:
    """Read the option `--rename`, as `old=new,other=another`; empty: no names.

    Raises:
        BenchmarkError: a part is malformed, or a name stands twice on one side.
    """
    parts = [part.strip().split("=") for part in text.split(",")] if text else []
    if any(len(part) != 2 or not all(part) for part in parts):
        raise BenchmarkError(f"--rename: {text!r} is malformed: give OLD=NEW, as DDIM=mine")
    pairs = dict(parts)
    if not len(parts) == len(pairs) == len(set(pairs.values())):
        raise BenchmarkError(f"--rename: {text!r}: a name stands twice: give each once")
    return pairs


def renamed(records: Sequence[Record], names: Mapping[str, str], run: str) -> list[Record]:
    """Return the records of a run with other names of models, in the ids of cells too.

    Args:
        records: of the run.
        names: new names by the old ones.
        run: what messages call the run.

    Raises:
        BenchmarkError: the run has no model of an old name, or has one of a new name already.
    """
    models = {record.cell.model for record in records if record.cell}
    for old, new in names.items():
        if old not in models:
            raise BenchmarkError(f"--rename: {run}: no model {old!r}: {nearest_names(old, models)}")
        if new in models - names.keys():
            raise BenchmarkError(f"--rename: {run}: has a model {new!r} already: rename it too")
    cells = [record.cell for record in records if record.cell and record.cell.model in names]
    ids: dict[str | None, str] = {}
    for cell in cells:
        for name in filter(None, (cell.id, cell.trained_as)):
            if name.startswith(f"{cell.model}-"):  # not of a network that models share
                ids[name] = names[cell.model] + name.removeprefix(cell.model)
    return [_renamed(record, names, ids) for record in records]


def _renamed(record: Record, names: Mapping[str, str], ids: Mapping[str | None, str]) -> Record:
    """Return a record with other names; `ids` has the new ids of cells and trainings."""
    cell = record.cell
    if cell is None or cell.model not in names:
        is_trained = record.kind == "train" and record.id in ids
        return record.model_copy(update={"id": ids[record.id]}) if is_trained else record
    change = {
        "id": ids.get(cell.id, cell.id),
        "model": names[cell.model],
        "trained_as": ids.get(cell.trained_as, cell.trained_as),
    }
    update = {"id": change["id"], "cell": cell.model_copy(update=change)}
    return record.model_copy(update=update)
