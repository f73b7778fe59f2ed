"""The directive ``limit-plot``: a curve that lipop draws while the site is built, as SVG inside the page.

``.. limit-plot:: counterexample NAME`` shows an orbit; ``.. limit-plot:: family NUMBER RATE`` a bound of a family and
the exact distance that it bounds; ``.. limit-plot:: depth`` the errors of the two regimes.
"""

import numpy as np
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

DEPTHS = [2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128]


class LimitPlot(SphinxDirective):
    """Draw what the arguments name."""

    required_arguments = 1
    optional_arguments = 2

    def run(self) -> list[nodes.Node]:
        """Embed the drawing."""
        kind, *rest = self.arguments
        drawn = {"counterexample": counterexample, "family": family, "depth": depth}[kind](*rest)
        return [nodes.raw("", f'<div class="limit-plot">{drawn}</div>', format="html")]


def counterexample(name: str) -> str:
    """The first coordinate of an orbit."""
    from lipop.limit import counterexamples

    return next(c for c in counterexamples.all() if c.name == name).plot(96)


def family(number: str, rate: str) -> str:
    """Bound and exact distance, both logarithmic."""
    from lipop.core.rounding import workprec
    from lipop.limit import families
    from lipop.limit.drawing import curves

    f = families.all()[int(number)]
    found = f.apply().require().rates[rate]
    bounds, exact = [], []
    for n in DEPTHS:
        radius = f.radius(n) if callable(f.radius) else f.radius
        bounds.append(found(n, None if found.uniform else radius))
        with workprec():
            exact.append(float(f.exact[rate](n).mid()))
    return curves([(DEPTHS, bounds, "bound"), (DEPTHS, exact, "exact")], f"{f.name}: {rate}", "n", log=True)


def depth() -> str:
    """The critical and the contractive error for deviations 1/i^2."""
    import sympy

    from lipop.limit import Law
    from lipop.limit.depth_error import DepthError
    from lipop.limit.drawing import curves

    k = sympy.Symbol("k")
    P = np.unique(np.geomspace(2, 2000, 24).astype(int))
    lines = [(P, [DepthError(Law(k**-2), q)(int(n)) for n in P], f"q = {q}") for q in (1.0, 0.98)]
    return curves(lines, "worst-case error for deviations 1/i^2", "depth P", log=True)


def setup(app: Sphinx) -> dict[str, object]:
    """Register the directive."""
    app.add_directive("limit-plot", LimitPlot)
    return {"version": "1", "parallel_read_safe": True}
