"""Notebooks without Jupyter: cells run one after the other, and what each of them shows.

python tests/notebooks.py examples/*.ipynb      # runs them and puts what they show into the files
"""

import ast
import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

Shown = list[dict[str, Any]]


def cells(path: Path) -> list[dict[str, Any]]:
    """The cells with code."""
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == "code"]


def run(path: Path, names: dict[str, Any]) -> list[Shown]:
    """What every cell with code shows, as Jupyter would keep it; `names` is what the cells define."""
    shown = []
    with contextlib.chdir(path.parent):
        for number, cell in enumerate(cells(path), start=1):
            shown.append(_cell("".join(cell["source"]), f"{path.name}, cell {number}", names, number))
    return shown


def _cell(source: str, name: str, names: dict[str, Any], number: int) -> Shown:
    """What one cell prints, and the value of its last line if that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, name, "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), name, "eval"), names)
    shown: Shown = []
    if printed.getvalue():
        shown.append({"output_type": "stream", "name": "stdout", "text": _lines(printed.getvalue())})
    if value is not None:
        data = {"text/plain": _lines(repr(value)[:200])}
        if hasattr(value, "_repr_html_"):
            data = {"text/html": _lines(value._repr_html_())}
        result = {"output_type": "execute_result", "execution_count": number, "metadata": {}, "data": data}
        shown.append(result)
    return shown


def _lines(text: str) -> list[str]:
    return text.rstrip().splitlines(keepends=True)


def main() -> None:
    """Run notebooks and keep what they show in them."""
    for path in map(Path, sys.argv[1:]):
        shown = run(path.resolve(), {"__name__": "__main__"})
        book = json.loads(path.read_text(encoding="utf-8"))
        code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
        for number, (cell, outputs) in enumerate(zip(code, shown, strict=True), start=1):
            cell["execution_count"], cell["outputs"] = number, outputs
        path.write_text(json.dumps(book, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
