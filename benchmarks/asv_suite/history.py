"""One class for every benchmark that has a ``history()``: the same functions, called by asv instead of the harness."""

import ast
import importlib
import sys
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(FOLDER))


def offers(file: Path) -> bool:
    """Whether a benchmark defines ``history``."""
    return any(
        isinstance(node, ast.FunctionDef) and node.name == "history" for node in ast.parse(file.read_text()).body
    )


def suite(module: str) -> type:
    """The class of one benchmark; its data are made once in every process of asv."""
    contenders: dict[str, Callable[[], object]] = importlib.import_module(module).history()

    class History:
        params = tuple(contenders)
        param_names = ("contender",)
        timeout = 300

        def setup(self, name: str) -> None:
            contenders[name]()  # compiles

        def time_run(self, name: str) -> None:
            contenders[name]()

    History.__name__ = History.__qualname__ = module.removeprefix("bench_").title()
    return History


for _file in sorted(FOLDER.glob("bench_*.py")):
    if offers(_file):
        _class = suite(_file.stem)
        globals()[_class.__name__] = _class
