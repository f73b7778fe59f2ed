"""A survey as a run: the store of its folder, the progress bar, and what an interruption leaves."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from lipop.models.checkpoint import Checkpoint
from lipop.report.spectrum import Place, Row, Settings, survey
from lipop.report.survey_table import progress, speed
from lipop.runs import Store

if TYPE_CHECKING:
    from rich.console import Console


def run(
    checkpoint: Checkpoint,
    which: Sequence[Place],
    settings: Settings,
    *,
    out: Path | None,
    fresh: bool,
    console: Console,
) -> list[Row]:
    """The rows of the survey; after Ctrl-C, those that were finished.

    Parameters
    ----------
    checkpoint : Checkpoint
    which : sequence of Place
    settings : Settings
    out : Path or None
        Folder whose store keeps each matrix as soon as it is done, and gives those of earlier runs.
    fresh : bool
        Take none of earlier runs.
    console : Console
        For the progress bar.
    """
    rows: list[Row] = []
    reads = seconds = 0.0
    with nullcontext() if out is None else Store.open(out, fresh=fresh) as store, progress(console) as bar:
        task = bar.add_task("", total=sum(p.nbytes for p in which), matrix="", speed="")
        steps = survey(checkpoint, which, settings, store=store, before=lambda p: bar.update(task, matrix=p.name))
        try:
            for row in steps:
                rows.append(row)
                if not row.found:
                    reads += row.entry["bytes"] * row.entry["passes"]
                    seconds += row.entry["seconds"]
                bar.update(task, advance=row.entry["bytes"], speed=speed(reads, seconds))
        except KeyboardInterrupt:
            return rows
    return rows


__all__ = ["run"]
