"""A trace as it stands in its file: named columns, row by row, nothing converted yet."""

import csv
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from lbsim.errors import InputError

__all__ = ["Bad", "Table", "csv_table", "parquet_table", "swf_table"]


class Bad(NamedTuple):
    """A row that cannot be read."""

    line: int
    why: str


@dataclass
class Table:
    """What a reader of a format hands on.

    Attributes
    ----------
    columns : dict of str to sequence
        The file's names; texts, or NumPy arrays of numbers or dates.
    lines : sequence of int
        Where each row stands in the file.
    bad : list of Bad
        Rows that are not in `columns`.
    meaning : mapping of str to str
        Which column is ``arrival``, ``service``, …, where the format says it.
    units : mapping of str to float
        Seconds per unit of a column, where the format says it.
    unit : str
        Unit of the other times, if nobody says otherwise.
    service_before : bool
        True if the stamps are those of the end of a request, so that it arrived its service time
        before them.
    whole_seconds : bool
        True if the stamps are cut off to seconds, so that many requests have the same.
    counted : str
        What `lines` counts.
    """

    columns: dict[str, Sequence[Any]]
    lines: Sequence[int]
    bad: list[Bad] = field(default_factory=list)
    meaning: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, float] = field(default_factory=dict)
    unit: str = "s"
    service_before: bool = False
    whole_seconds: bool = False
    counted: str = "line"


def csv_table(path: Path, lines: Iterable[str]) -> Table:
    """Read comma-separated values (or ``;``, or tabs) with a header."""
    rows = iter(lines)
    blank = 0
    for first in rows:
        if first.strip():
            break
        blank += 1
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(itertools.chain([first], rows), delimiter=delimiter)
    places: list[int] = []
    bad: list[Bad] = []
    try:
        header = [name.strip() for name in next(reader)]
        values: list[list[str]] = [[] for _ in header]
        for row in reader:
            line = blank + reader.line_num
            if not row:
                continue
            if len(row) != len(header):
                bad.append(Bad(line, f"{len(row)} fields instead of {len(header)}"))
                continue
            places.append(line)
            for column, text in zip(values, row, strict=True):
                column.append(text.strip())
    except csv.Error as error:
        raise InputError(
            f"{path}, line {blank + reader.line_num}: {error}; is it CSV? Give another format="
        ) from None
    return Table(dict(zip(header, values, strict=True)), places, bad)


def parquet_table(path: Path) -> Table:
    """Read a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path} is not a Parquet file or is cut off ({error}); copy it again"
        ) from None
    columns: dict[str, Sequence[Any]] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        columns[name] = column.to_numpy()
    return Table(columns, range(1, table.num_rows + 1), counted="row")


def swf_table(lines: Iterable[str]) -> Table:
    """Read the Standard Workload Format (Feitelson; Chapin et al. 1999).

    Fields 2 (submit time), 4 (run time), 9 (requested time), 12 (user) and 15 (queue), all times
    in seconds; -1 means unknown. A job without a run time never ran: its row is a bad one.
    """
    names = {1: "submit", 3: "run", 8: "requested", 11: "user", 14: "queue"}
    columns: dict[str, Sequence[Any]] = {name: [] for name in names.values()}
    places: list[int] = []
    bad: list[Bad] = []
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields or line.lstrip().startswith(";"):
            continue
        if len(fields) != 18:
            bad.append(Bad(number, f"{len(fields)} fields instead of 18"))
            continue
        places.append(number)
        for place, name in names.items():
            # An unknown run time stays negative, so that its row is refused.
            unknown = fields[place] == "-1" and name != "run"
            columns[name].append("" if unknown else fields[place])  # type: ignore[attr-defined]
    return Table(
        columns,
        places,
        bad,
        meaning={
            "arrival": "submit", "service": "run", "size": "requested", "key": "user",
            "kind": "queue",
        },
        units=dict.fromkeys(names.values(), 1.0),
    )  # fmt: skip
