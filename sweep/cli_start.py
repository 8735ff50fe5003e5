"""The program's first step: its help, kept as text, is answered before anything is loaded."""

import shutil
import sys
from pathlib import Path

TEXT = Path(__file__).with_name("help.txt")
"""What `python -m sweep.cli --help` prints on 80 columns or more; a test compares."""
COLUMNS = 80


def main() -> None:
    """The program `nai-sweep`."""
    if sys.argv[1:] == ["--help"] and shutil.get_terminal_size().columns >= COLUMNS:
        print(TEXT.read_text(encoding="utf-8"), end="")
        return
    from sweep.cli import main as program

    program()


if __name__ == "__main__":
    main()
