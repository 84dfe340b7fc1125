"""Runs as files: several runs, simulated or measured, in one small Parquet file.

A recording lets a notebook or a report work where nothing can be measured (no Linux, no fork),
and lets anybody compare with what was measured elsewhere. Times are kept to the nanosecond.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lbsim import faults, policies
from lbsim.client import Client
from lbsim.cluster import Cluster, Master
from lbsim.engines.record import Handovers, Happenings, Record
from lbsim.errors import InputError, PolicyError
from lbsim.policy import ClusterView, Policy, Request
from lbsim.run import Run
from lbsim.workload import Workload
from lbsim.workload.columns import Columns

__all__ = ["NotKept", "about", "load", "save"]

KEY = b"lbsim.recording"
WORKLOAD, REQUEST, HANDOVER, HAPPENING = range(4)  # what a row of the file is

# Which columns each kind of row has; times, in seconds here, are nanoseconds in the file.
_FIELDS: dict[int, tuple[str, ...]] = {
    WORKLOAD: Columns._fields,
    REQUEST: ("came", "finished", "outcome", "answer"),
    HANDOVER: Handovers._fields,
    HAPPENING: Happenings._fields,
}
_TIMES = frozenset(
    (
        "arrival",
        "cpu",
        "wait",
        "think",
        "came",
        "finished",
        "dispatched",
        "started",
        "ended",
        "time",
    )
)
_REAL = frozenset(("size", "payload", "value"))


class NotKept(Policy):
    """Stands for a policy whose class was not lbsim's own: only its name is left."""

    def __init__(self, text: str) -> None:
        self.text = text

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Raise: the class is not here."""
        raise PolicyError(f"{self.text} was defined elsewhere, and its recording has only its name")

    def __repr__(self) -> str:
        return self.text


def save(runs: Mapping[str, Run], path: str | Path, facts: Mapping[str, Any] | None = None) -> None:
    """Write runs to one file, which appears complete or not at all.

    Parameters
    ----------
    runs : mapping of str to Run
        By name. Runs of one workload object share its rows.
    path : str or Path
    facts : mapping, optional
        What a reader should know: the machine, the date. JSON must be able to hold it. The
        machine of measured runs is added by itself.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    if not runs:
        raise InputError(f"{path}: there are 0 runs to save; give at least 1")
    workloads: dict[int, tuple[int, Workload]] = {}
    pieces: list[tuple[int, int, dict[str, np.ndarray]]] = []
    described = []
    for number, (name, run) in enumerate(runs.items()):
        if id(run.workload) not in workloads:
            workloads[id(run.workload)] = (len(workloads), run.workload)
            columns = run.workload.columns._asdict()
            pieces.append((WORKLOAD, len(workloads) - 1, columns))
        requests = {
            "came": run.record.arrival,
            "finished": run.record.finished,
            "outcome": run.record.outcome,
            "answer": run.record.answer,
        }
        pieces.append((REQUEST, number, requests))
        pieces.append((HANDOVER, number, run.record.handovers._asdict()))
        pieces.append((HAPPENING, number, run.record.happenings._asdict()))
        described.append(_described(name, run, workloads[id(run.workload)][0]))
    text = json.dumps(
        {
            "runs": described,
            "workloads": [
                {"name": w.name, "kind_names": w.kind_names, "notes": w.notes}
                for _, w in workloads.values()
            ],
            "facts": dict(facts or {}),
        }
    )
    table = pa.table(_columns(pieces)).replace_schema_metadata({KEY: text.encode()})
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(table, temporary, compression="zstd", compression_level=12)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: str | Path) -> dict[str, Run]:
    """Read what `save` has written.

    Returns
    -------
    dict of str to Run
        Runs with the rows that were saved. Policies that ship with lbsim are whole again; of
        others there is a stand-in with their text.
    """
    path = Path(path)
    table, text = _read(path)
    part = np.asarray(table.column("part"))
    number = np.asarray(table.column("number"))

    def rows(kind: int, which: int) -> dict[str, np.ndarray]:
        here = np.flatnonzero((part == kind) & (number == which))
        taken = table.take(here)
        return {name: _array(taken.column(name), name) for name in _FIELDS[kind]}

    workloads = [
        Workload(
            each["name"],
            None,
            Columns(**rows(WORKLOAD, i)),
            tuple(each["kind_names"]),
            {"source": path.name},
            tuple(each["notes"]),
        )
        for i, each in enumerate(text["workloads"])
    ]
    runs = {}
    for i, each in enumerate(text["runs"]):
        requests = rows(REQUEST, i)
        handovers = rows(HANDOVER, i)
        happenings = rows(HAPPENING, i)
        runs[each["name"]] = Run(
            workloads[each["workload"]],
            _policy(each["policy"]),
            _cluster(each["cluster"]),
            Client(**each["client"]),
            each["seed"],
            each["source"],
            each["copies"],
            Record(
                requests["came"],
                requests["finished"],
                requests["outcome"].astype(np.int8),
                requests["answer"],
                Handovers(
                    **handovers
                    | {
                        "ending": handovers["ending"].astype(np.int8),
                        "miss": handovers["miss"].astype(np.bool_),
                    }
                ),
                Happenings(**happenings | {"what": happenings["what"].astype(np.int8)}),
            ),
        )
    return runs


def about(path: str | Path) -> dict[str, Any]:
    """Return what a recording says of itself.

    Returns
    -------
    dict
        The facts given to `save`, and for each measured run under ``runs`` its machine and how
        late the load generator was (seconds).
    """
    _, text = _read(Path(path))
    measured = {
        run["name"]: {"machine": run["machine"], "lateness": run["lateness"]}
        for run in text["runs"]
        if run["machine"]
    }
    return {**text["facts"], "runs": measured}


# --- private parts ---------------------------------------------------------------------------


def _read(path: Path) -> tuple[Any, dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give a file of lbsim.recordings.save") from None
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path} cannot be read ({error}); give a file of lbsim.recordings.save"
        ) from None
    metadata = table.schema.metadata or {}
    if KEY not in metadata:
        raise InputError(f"{path} holds no runs; give a file of lbsim.recordings.save")
    text: dict[str, Any] = json.loads(metadata[KEY])
    return table, text


def _columns(pieces: list[tuple[int, int, dict[str, np.ndarray]]]) -> dict[str, Any]:
    """Lay all pieces end to end; a column that a piece does not have is null there."""
    import pyarrow as pa

    lengths = [len(next(iter(columns.values()))) for _, _, columns in pieces]
    table: dict[str, Any] = {
        "part": np.repeat(np.array([kind for kind, _, _ in pieces], np.int8), lengths),
        "number": np.repeat(np.array([number for _, number, _ in pieces], np.int16), lengths),
    }
    for name in dict.fromkeys(name for kind in _FIELDS for name in _FIELDS[kind]):
        is_number = name in _TIMES or name in _REAL
        values, missing = [], []
        for (kind, _, columns), length in zip(pieces, lengths, strict=True):
            if name in _FIELDS[kind]:
                column = columns[name]
                missing.append(np.isnan(column) if is_number else np.zeros(length, bool))
                values.append(np.where(missing[-1], 0, column))
            else:
                missing.append(np.ones(length, bool))
                values.append(np.zeros(length))
        whole = np.concatenate([v.astype(np.float64 if is_number else np.int64) for v in values])
        if name in _TIMES:
            whole = np.round(whole * 1e9).astype(np.int64)
        table[name] = pa.array(whole, mask=np.concatenate(missing))
    return table


def _array(column: Any, name: str) -> np.ndarray:
    if name in _TIMES:
        return np.asarray(column.to_numpy(zero_copy_only=False), np.float64) * 1e-9
    kind = np.float64 if name in _REAL else np.int64
    return np.asarray(column.to_numpy(zero_copy_only=False), kind)


def _described(name: str, run: Run, workload: int) -> dict[str, Any]:
    return {
        "name": name,
        "workload": workload,
        "policy": _policy_data(run.policy),
        "cluster": _cluster_data(run.cluster),
        "client": vars(run.client),
        "seed": run.seed,
        "source": run.source,
        "copies": run.copies,
        "machine": getattr(run, "machine", None),
        "lateness": vars(run.lateness) if hasattr(run, "lateness") else None,
    }


def _policy_data(policy: Policy) -> dict[str, Any]:
    kind = type(policy)
    if getattr(policies, kind.__name__, None) is not kind:
        return {"text": repr(policy)}
    values = {
        name: _policy_data(value) if isinstance(value, Policy) else _plain(value)
        for name, value in policy.parameters().items()
    }
    return {"class": kind.__name__, "parameters": values}


def _policy(data: Mapping[str, Any]) -> Policy:
    if "text" in data:
        return NotKept(data["text"])
    values = {
        name: _policy(value) if isinstance(value, dict) else value
        for name, value in data["parameters"].items()
    }
    policy: Policy = getattr(policies, data["class"])(**values)
    return policy


def _plain(value: Any) -> Any:
    """Return a parameter as JSON can hold it."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def _cluster_data(cluster: Cluster) -> dict[str, Any]:
    data = {name: getattr(cluster, name) for name in cluster.__dataclass_fields__}
    del data["capacity"]
    if cluster.discipline == "event_loop":
        del data["concurrency"]
    data["master"] = vars(cluster.master)
    given = {name: value for name, value in vars(cluster.faults).items() if name != "schedule"}
    schedule = [[type(fault).__name__, vars(fault)] for fault in cluster.faults.schedule]
    return {**data, "faults": {"schedule": schedule, **given}}


def _cluster(data: dict[str, Any]) -> Cluster:
    described = dict(data["faults"])
    schedule = []
    for kind, values in described.pop("schedule"):
        if values.get("workers") is not None:
            values = {**values, "workers": tuple(values["workers"])}
        schedule.append(getattr(faults, kind)(**values))
    return Cluster(
        **{
            **data,
            "master": Master(**data["master"]),
            "faults": faults.Faults(*schedule, **described),
        }
    )
