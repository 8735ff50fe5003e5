"""One self-contained HTML page that says what a sweep found, built from records at any time of the sweep."""

from sweep.report.page import PageFacts, render, write

__all__ = ["PageFacts", "render", "write"]
