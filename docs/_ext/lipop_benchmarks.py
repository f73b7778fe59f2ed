"""The directive ``lipop-benchmarks``: tables and plots from the results in ``benchmarks/results``."""

import sys
from pathlib import Path

from docutils import nodes
from lipop_tables import table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


class Benchmarks(SphinxDirective):
    """A section for every file of results: what it was measured on, ratios, plots.

    The argument is a folder of results; without it, those of the repository.
    """

    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Build the sections from the committed results; a rebuild follows when one of them changes."""
        sys.path.insert(0, str(BENCHMARKS))
        try:
            import figures
        finally:
            sys.path.remove(str(BENCHMARKS))
        folder = Path(self.arguments[0]) if self.arguments else figures.RESULTS
        for file in folder.glob("*.json"):
            self.env.note_dependency(str(file))
        documents = figures.load(folder)
        if not documents:
            return [nodes.paragraph("", "This version has no results in the common format: run make bench.")]
        style = nodes.raw("", f"<style>{figures.STYLE}</style>", format="html")
        return [style, *(self.section(figures, document) for document in documents)]

    def section(self, figures, document: dict) -> nodes.section:
        """One benchmark."""
        heading = document["title"] or document["name"]
        out = nodes.section(ids=[nodes.make_id(f"bench-{document['name']}")])
        out += nodes.title("", heading)
        out += nodes.paragraph("", figures.environment(document))
        for t in figures.tables(document):
            out += nodes.paragraph("", "", nodes.strong("", t.title))
            out += table(t.head, t.rows, widths=(3, *[2] * (len(t.head) - 1)))
        out += [nodes.raw("", str(plot), format="html") for plot in figures.plots(document)]
        return out


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("lipop-benchmarks", Benchmarks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
