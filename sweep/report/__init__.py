"""One self-contained HTML page that says what a sweep found, built from records at any time of the sweep."""

from sweep.report.compare import Compared, compare
from sweep.report.export import export
from sweep.report.page import PageFacts, render, write

__all__ = ["Compared", "PageFacts", "compare", "export", "render", "write"]
