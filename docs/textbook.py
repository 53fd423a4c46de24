"""Make the pages of the textbook from its scripts: what a script says, what it is, what it prints and what it draws.

    python docs/textbook.py [NAME …]

A script's docstring is the page's text; the script is run in `docs/textbook`, where it leaves its pictures, whose names
begin with its own. Each takes less than a minute on one core.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "textbook"
NOTE = "<!-- Made by docs/textbook.py from {name}.py: change that, and run it. -->"


def page(name: str, printed: str) -> str:
    """A page of Markdown. printed: what the script said."""
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    words = ast.get_docstring(ast.parse(source)) or ""
    title, _, text = words.partition("\n")
    code = source[source.index('"""', source.index('"""') + 3) + 3 :].strip()
    pictures = [f"![{title.rstrip('.')}]({path.name})" for path in sorted(FOLDER.glob(f"{name}*.png"))]
    return "\n\n".join([
        NOTE.format(name=name),
        f"# {title.rstrip('.')}",
        text.strip("\n"),
        *pictures,
        f"What the script below prints:\n\n```\n{printed.strip()}\n```",
        f"The script, `docs/textbook/{name}.py`:\n\n```python\n{code}\n```",
    ]) + "\n"  # fmt: skip


def main() -> None:
    names = sys.argv[1:] or sorted(path.stem for path in FOLDER.glob("*.py"))
    for name in names:
        done = subprocess.run(
            [sys.executable, f"{name}.py"], cwd=FOLDER, check=True, capture_output=True, text=True, encoding="utf-8"
        )
        (FOLDER / f"{name}.md").write_text(page(name, done.stdout), encoding="utf-8")
        print(f"written: textbook/{name}.md")


if __name__ == "__main__":
    main()
