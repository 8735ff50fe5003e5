"""How the results of a sweep show themselves in a notebook."""

from collections.abc import Mapping
from typing import Any

from sweep.report.page import environment, share
from sweep.report.sheet import margin, percent, points


def table(results: Mapping[str, Any], path: str = "") -> str:
    """Verdict, cautions and the summary of the best of each method and the baselines, as HTML."""
    lines = [
        (
            line["label"],
            margin(line["mean"], line["half"]),
            percent(line["worst"]),
            percent(line["std"]),
            points(line["aopd"]),
            f"{line['orders']} × {line['seeds']}",
            line["failed"],
            line["missing"],
        )
        for line in results["table"]
        if line["place"] == 1
    ]
    template = environment().get_template("notebook.html.jinja")
    return template.render(results=results, lines=lines, share=share(results), path=path)
