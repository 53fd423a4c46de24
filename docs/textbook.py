"""Make the pages of the textbook and of the examples from their scripts: what a script says, what it is, what it prints
and what it draws.

    python docs/textbook.py [NAME …]

A script's docstring is the page's text; the script is run in its folder, `docs/textbook` or `examples`, where it leaves
its pictures and other files, whose names begin with its own. Each takes less than a minute on one core.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = (ROOT / "docs" / "textbook", ROOT / "examples")
NOTE = "<!-- Made by docs/textbook.py from {name}.py: change that, and run it. -->"
SHOWN = (".png",)
TO_HEAR = (".mid", ".wav")


def page(script: Path, printed: str) -> str:
    """A page of Markdown. printed: what the script said."""
    name, source = script.stem, script.read_text(encoding="utf-8")
    words = ast.get_docstring(ast.parse(source)) or ""
    title, _, text = words.partition("\n")
    code = source[source.index('"""', source.index('"""') + 3) + 3 :].strip()
    files = sorted(script.parent.glob(f"{name}*"))
    pictures = [f"![{title.rstrip('.')}]({path.name})" for path in files if path.suffix in SHOWN]
    sounds = [f"To hear: [{path.name}]({path.name})" for path in files if path.suffix in TO_HEAR]
    return "\n\n".join([
        NOTE.format(name=name),
        f"# {title.rstrip('.')}",
        text.strip("\n"),
        *pictures,
        *sounds,
        f"What the script below prints:\n\n```\n{printed.strip()}\n```",
        f"The script, `{script.relative_to(ROOT)}`:\n\n```python\n{code}\n```",
    ]) + "\n"  # fmt: skip


def main() -> None:
    scripts = {path.stem: path for folder in FOLDERS for path in sorted(folder.glob("*.py"))}
    for name in sys.argv[1:] or scripts:
        script = scripts[name]
        done = subprocess.run(
            [sys.executable, script.name],
            cwd=script.parent,
            check=True,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        script.with_suffix(".md").write_text(page(script, done.stdout), encoding="utf-8")
        print(f"written: {script.relative_to(ROOT).with_suffix('.md')}")


if __name__ == "__main__":
    main()
