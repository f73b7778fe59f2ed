"""When two reports are the same: byte for byte, but for times."""

import json

from lipop.report import files

TIMES = {"created", "seconds", "seconds_by_part"}


def untimed(value):
    """The value without times, at any depth."""
    if isinstance(value, dict):
        return {k: untimed(v) for k, v in value.items() if k not in TIMES}
    return [untimed(v) for v in value] if isinstance(value, list) else value


def content(report):
    """The bytes of a report's two files, without times, in the order in which they are written."""
    data = json.loads(report.read_text())
    return json.dumps(untimed(data)).encode(), files.arrays_path(report).read_bytes()


def leftovers(folder):
    """What lies in the folder of a finished run beside a report and the store."""
    kept = {"report.json", "report.arrays.npz", "report.html", "runs.sqlite"}
    return sorted({p.name for p in folder.iterdir()} - kept)
