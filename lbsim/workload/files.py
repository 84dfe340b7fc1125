"""Workloads as files: one Parquet file with the rows and, in its metadata, the rest."""

import json
import os
from pathlib import Path

import numpy as np

from lbsim.errors import InputError
from lbsim.workload.columns import Columns
from lbsim.workload.portable import from_data, is_portable
from lbsim.workload.workload import Workload

__all__ = ["load", "save"]

KEY = b"lbsim.workload"


def save(workload: Workload, path: Path) -> None:
    """Write a workload to a temporary name beside `path`, then move it into place.

    The rows are written even if they could be drawn again: NumPy promises the same bits of a
    seed, but not the same exponential numbers, from one version to the next.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is not a directory; make it, or save somewhere else")
    table = pa.table({name: pa.array(c) for name, c in workload.columns._asdict().items()})
    about = {
        "name": workload.name,
        "kind_names": workload.kind_names,
        "parameters": dict(workload.parameters),
        "notes": workload.notes,
        "resampled": workload.resampled,
        "redraw": workload.recipe is not None and is_portable(workload.recipe),
    }
    table = table.replace_schema_metadata({KEY: json.dumps(about).encode()})
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(table, temporary, compression="zstd")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path) -> Workload:
    """Read what `save` has written.

    The rows are those of the file, bit for bit. A synthetic workload can be drawn again
    (`Workload.replicate`), unless a law or arrival process in it is not lbsim's or scipy's: such
    a one is resampled from then on, as a trace is.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise InputError(f"{path} does not exist or is not a file; give a file of Workload.save")
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read ({error}); give a file of Workload.save") from None
    metadata = table.schema.metadata or {}
    if KEY not in metadata:
        raise InputError(
            f"{path} is a Parquet file, but not one of Workload.save; use Workload.from_trace"
        )
    about = json.loads(metadata[KEY])
    columns = Columns._make(np.array(table.column(name)) for name in Columns._fields)
    return Workload(
        about["name"],
        from_data(about["parameters"]) if about["redraw"] else None,
        columns,
        tuple(about["kind_names"]),
        about["parameters"],
        tuple(about["notes"]),
        about["resampled"],
    )
