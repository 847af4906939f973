"""Images in the rows of parquet and Arrow files, as the library `datasets` writes them."""

from __future__ import annotations

import bisect
import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from PIL import Image

from benchmark.core.errors import BenchmarkError, one_line
from benchmark.core.strict_model import shown
from benchmark.data.image_files import open_bytes, open_file
from benchmark.data.sources.base import Item

SUFFIXES = frozenset({".parquet", ".arrow"})
SHARD = re.compile(r"(.*)-\d+-of-(\d+)\.\w+$")  # the name of one of several files of a set
CACHE = re.compile(r"cache-\w+\.arrow$")
# Names of splits, as `datasets` knows them.
SPLIT = re.compile(
    r"(?<![a-z])(train(ing)?|test(ing)?|valid(ation)?|val|dev|eval(uation)?)(?![a-z])", re.I
)
ROWS = 64  # the most that are in memory at a time
ROW_BYTES = 2**25  # of these rows together, as far as their mean tells
EMBED = (
    "put that file beside, or write the images themselves: "
    "ds.with_format('arrow').map(datasets.table.embed_table_storage, batched=True)"
)


class Shard(NamedTuple):
    """A file of rows.

    Attributes:
        path: the file.
        start: number of its first row, counted over all files.
        stop: number after its last one.
    """

    path: Path
    start: int
    stop: int


class ImageTable:
    """The rows of several files, each of which has one image.

    Args:
        paths: parquet or Arrow files, in the order of their rows.
        image: name of the column of images; None: the only one that there is.

    Raises:
        BenchmarkError: a file is damaged or lacks that column.
    """

    def __init__(self, paths: Sequence[Path], image: str | None) -> None:
        self.column = image or _only_column(paths[0])
        self.shards: list[Shard] = []
        total = 0
        for path in paths:
            _check_column(path, self.column)
            count = _rows(path)
            self.shards.append(Shard(path, total, total + count))
            total += count
        self.count = total

    def read(self, indices: Sequence[int], labels: Sequence[int] | None = None) -> Iterator[Item]:
        """Read the images of ascending rows, with few rows in memory at a time.

        Args:
            indices: the rows.
            labels: number of the class of each row of all files; None: they have none.

        Yields:
            The item of each row.
        """
        for shard in self.shards:
            rows = [i - shard.start for i in indices if shard.start <= i < shard.stop]
            for row, value in _values(shard.path, self.column, rows):
                label = None if labels is None else labels[shard.start + row]
                content = value.get("bytes") if isinstance(value, dict) else value
                load = _loader(shard.path, value)
                yield Item(f"{shard.path.name}#{row}", load, label, len(content or b""))

    def columns(self) -> list[str]:
        """Return the names of the columns."""
        return list(_schema(self.shards[0].path).names)

    def labels(self, column: str) -> list[Any]:
        """Return a value for each row: a name of `datasets`' ClassLabel, or what the column holds.

        Raises:
            BenchmarkError: there is no such column.
        """
        found: list[Any] = []
        for shard in self.shards:
            schema = _schema(shard.path)
            if column not in schema.names:
                raise BenchmarkError(
                    f"label: {shard.path}: no column {column!r}, only {', '.join(schema.names)}"
                )
            try:
                for chunk in _chunks(shard.path, column):
                    for part in chunk.read():
                        found += part.to_pylist()
            except _errors() as error:
                raise _damaged(shard.path, error) from None
        return found

    def class_names(self, column: str) -> tuple[str, ...]:
        """Return the names that `datasets` keeps for the numbers of a column; none: it has none.

        Raises:
            BenchmarkError: they are others in another file, where a number means another class.
        """
        first, *others = self.shards
        names = _class_names(first.path, column)
        for shard in others:
            if (other := _class_names(shard.path, column)) != names:
                raise BenchmarkError(
                    f"label: {shard.path}: the classes of {column} are {shown(other)}, but "
                    f"{shown(names)} in {first.path.name}: files of one data set would be right"
                )
        return names


def check_complete(shards: Sequence[Path]) -> None:
    """Refuse a split with missing files, from which other images would be drawn.

    Raises:
        BenchmarkError: files are missing that the names of others count.
    """
    numbered: dict[tuple[Path, str, int], list[Path]] = {}
    for shard in shards:
        if found := SHARD.match(shard.name):
            numbered.setdefault((shard.parent, found[1], int(found[2])), []).append(shard)
    for (folder, _, count), files in numbered.items():
        if count != len(files):
            raise BenchmarkError(
                f"path: {folder}: {len(files)} of the {count} files like {files[0].name} are "
                "there; fetch the others"
            )


def names_files(path: Path) -> bool:
    """Tell whether rows of a file may have the path of an image and not its bytes."""
    try:
        return any(_lacks_bytes(path, column) for column in _candidates(_schema(path)))
    except BenchmarkError:  # of a damaged file, which is told where it is read
        return False


def _lacks_bytes(path: Path, column: str) -> bool:
    """Tell whether a column of structs has no bytes in some row."""
    if not _schema(path).field(column).type.num_fields:  # of bytes alone
        return False
    if not is_parquet(path):
        parts = (batch.column(column).field("bytes") for batch in _batches(path))
        return any(part.null_count for part in parts)
    known = _parquet(path).metadata
    for group in range(known.num_row_groups):
        for number in range(known.num_columns):
            chunk = known.row_group(group).column(number)
            if chunk.path_in_schema == f"{column}.bytes":
                told = chunk.statistics
                if told is None or not told.has_null_count or told.null_count:
                    return True
    return False


def without_caches(files: Sequence[str]) -> list[str]:
    """Return the files without those that `Dataset.map` leaves beside what `save_to_disk` wrote.

    These hold the same rows again; where there are no others, they are what is meant.
    """
    return [file for file in files if not CACHE.match(PurePosixPath(file).name)] or [*files]


def sets_of(files: Iterable[str]) -> list[str]:
    """Return a pattern for each set that files belong to, a split or a configuration, by its name.

    Shards are named after their set, as `data/train-00000-of-00002.parquet`; other files or one of
    their folders may have the name of a split. Of those that have neither, nothing is known.
    """
    found: dict[str, None] = {}
    for file in files:
        folder, slash, name = file.rpartition("/")
        if shard := SHARD.match(name):
            found[f"{folder}{slash}{shard[1]}-*"] = None
            continue
        if split := SPLIT.search(name):
            found[f"{folder}{slash}{name[: split.end()]}*"] = None
            continue
        parts = folder.split("/")
        named = [place for place, part in enumerate(parts, 1) if SPLIT.search(part)]
        if named:
            found["/".join([*parts[: named[-1]], "*"])] = None
    return [*found]


class _Chunk(NamedTuple):
    """Some rows of a file; `read` returns a column of them, a part at a time."""

    start: int
    stop: int
    read: Callable[[], Iterable[Any]]


def _chunks(path: Path, column: str) -> Iterator[_Chunk]:
    """Yield the chunks of a file, none of which is read yet."""
    start = 0
    if is_parquet(path):
        parquet = _parquet(path)
        for group in range(parquet.num_row_groups):
            stop = start + parquet.metadata.row_group(group).num_rows
            yield _Chunk(start, stop, functools.partial(_parts, parquet, group, column))
            start = stop
        return
    for batch in _batches(path):
        stop = start + batch.num_rows
        yield _Chunk(start, stop, functools.partial(_column, batch, column))
        start = stop


def _values(path: Path, column: str, rows: Sequence[int]) -> Iterator[tuple[int, Any]]:
    """Yield ascending rows of a column, with their numbers."""
    if not rows:
        return
    try:
        for chunk in _chunks(path, column):
            first, end = (bisect.bisect_left(rows, row) for row in (chunk.start, chunk.stop))
            start = chunk.start
            for part in chunk.read() if first < end else ():
                for row in rows[first : bisect.bisect_left(rows, start + len(part))]:
                    yield row, part[row - start].as_py()
                start += len(part)
                first = bisect.bisect_left(rows, start)
    except _errors() as error:
        raise _damaged(path, error) from None


def _parts(parquet: Any, group: int, column: str) -> Iterator[Any]:
    """Yield a column of a group of rows in parts, since some writers have only one group."""
    # Without threads, which would take the cores from those who open the images.
    columns = {"columns": [column], "use_threads": False}
    known = parquet.metadata.row_group(group)
    rows = ROW_BYTES * known.num_rows // max(known.total_byte_size, 1)
    for batch in parquet.iter_batches(min(max(rows, 1), ROWS), row_groups=[group], **columns):
        yield batch.column(0)


def _column(batch: Any, column: str) -> list[Any]:
    return [batch.column(column)]


def _loader(path: Path, value: Any) -> Callable[[], Image.Image]:
    """Return a function that opens the image of a row: bytes, or a mapping of bytes and path."""
    if not isinstance(value, dict):
        return functools.partial(open_bytes, value)
    content, name = value.get("bytes"), value.get("path")
    if content is None and name:
        return functools.partial(_open_beside, path.parent, str(name))
    return functools.partial(open_bytes, content)


def _open_beside(folder: Path, name: str) -> Image.Image:
    """Open the file that a row names, in the folder of the table.

    The row may name the path that the file had on another machine: its last parts are searched for.
    """
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..")]
    for first in range(len(parts)):
        if (path := folder.joinpath(*parts[first:])).is_file():
            return open_file(path)
    raise ValueError(f"holds no bytes, but the path {shown(name)}: {EMBED}")


def _rows(path: Path) -> int:
    if is_parquet(path):
        return int(_parquet(path).metadata.num_rows)
    return sum(batch.num_rows for batch in _batches(path))


def _schema(path: Path) -> Any:
    if is_parquet(path):
        return _parquet(path).schema_arrow
    return _reader(path).schema


def _only_column(path: Path) -> str:
    found = _candidates(_schema(path))
    if len(found) == 1:
        return found[0]
    names = ", ".join(found or _schema(path).names)
    told = "several columns of images" if found else "no column of images"
    right = "give one of" if found else "struct<bytes, path> or binary would be one, it has only"
    raise BenchmarkError(f"image: {path}: {told}: {right} {names}")


def _check_column(path: Path, column: str) -> None:
    schema = _schema(path)
    if column not in schema.names:
        names = ", ".join(_candidates(schema) or schema.names)
        raise BenchmarkError(f"image: {path}: no column {column!r}, only {names}")
    if not _is_image(kind := schema.field(column).type):
        told = ", ".join(_candidates(schema)) or "no other column does"
        raise BenchmarkError(
            f"image: {path}: column {column!r} is {kind} and holds no images; these do: {told}"
        )


def _candidates(schema: Any) -> list[str]:
    """Return the columns that may hold images: structs with bytes, or else binary ones."""
    import pyarrow as pa

    kinds = {name: schema.field(name).type for name in schema.names}
    structs = [n for n, kind in kinds.items() if pa.types.is_struct(kind) and _is_image(kind)]
    return structs or [name for name, kind in kinds.items() if _is_image(kind)]


def _is_image(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        place = kind.get_field_index("bytes")
        return place >= 0 and _is_image(kind.field(place).type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _class_names(path: Path, column: str) -> tuple[str, ...]:
    feature = _features(_schema(path)).get(column, {})
    names = feature.get("names") if isinstance(feature, dict) else None
    return tuple(map(str, names)) if isinstance(names, list) else ()


def is_parquet(path: Path) -> bool:
    """Tell by its name whether a file is parquet; others are Arrow."""
    return path.suffix.lower() == ".parquet"


def _features(schema: Any) -> dict[str, Any]:
    """Return what `datasets` has written about the columns."""
    try:
        told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = told["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}


def _parquet(path: Path) -> Any:
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except _errors() as error:
        raise _damaged(path, error) from None


def _reader(path: Path) -> Any:
    """Return a reader of an Arrow file: `datasets` writes streams, others files with an index."""
    import pyarrow as pa

    try:
        mapped = pa.memory_map(str(path))
        is_file = mapped.read(6) == b"ARROW1"
        mapped.seek(0)
        return pa.ipc.open_file(mapped) if is_file else pa.ipc.open_stream(mapped)
    except _errors() as error:
        raise _damaged(path, error) from None


def _batches(path: Path) -> Iterator[Any]:
    """Yield the batches of an Arrow file, which stay on disk until they are used."""
    reader = _reader(path)
    try:
        if hasattr(reader, "num_record_batches"):
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number)
        else:
            yield from reader
    except _errors() as error:
        raise _damaged(path, error) from None


def _errors() -> tuple[type[Exception], ...]:
    import pyarrow as pa

    return pa.ArrowException, OSError, EOFError


def _damaged(path: Path, error: Exception) -> BenchmarkError:
    kind = "parquet" if is_parquet(path) else "Arrow"
    reason = one_line(error)
    return BenchmarkError(f"path: {path}: not a whole {kind} file: {reason}; fetch it again")
