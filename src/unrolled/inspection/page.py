"""The shell of a report: one HTML page that needs nothing else, on any screen, by day and by night.

Whatever stands in it was escaped by who wrote it; `text` escapes. As a second lock the page's policy forbids every
connection, and every script but the report's own, by its checksum.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from html import escape as text

__all__ = ["page", "text"]

STYLE = """
:root { color-scheme: light dark; --paper: #f7f6f3; --card: #fff; --ink: #1d2126; --soft: #656c75; --line: #e2dfd8;
  --blue: 42 111 181; --red: 176 70 38; }
@media (prefers-color-scheme: dark) { :root { --paper: #121417; --card: #1a1d22; --ink: #e6e4df; --soft: #9aa1aa;
  --line: #2d323a; --blue: 110 176 240; --red: 240 142 104; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 74rem; padding: clamp(1rem, 4vw, 2.5rem); background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1 { margin: 0; font-size: clamp(1.4rem, 5vw, 2rem); line-height: 1.2; letter-spacing: -.01em;
  overflow-wrap: anywhere; }
.facts { display: flex; flex-wrap: wrap; gap: .4rem 1.6rem; margin: .9rem 0 0; }
.facts div { display: flex; gap: .5rem; min-width: 0; }
.facts dt { color: var(--soft); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
"""


def page(title: str, facts: Mapping[str, str], body: str, *, style: str, script: str, pictures: bool = False) -> str:
    """A whole page.

    Args:
        title: of the report, any text.
        facts: about the model: what, and which; any text.
        body: HTML that comes after the facts.
        style, script: of the report, beside the shell's.
        pictures: whether the script may make some, of what is on the page.
    """
    lock = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{lock}'; base-uri 'none'"
    policy += "; img-src data: blob:" if pictures else ""
    told = "".join(
        f"<div><dt>{text(name)}</dt><dd><bdi>{text(value)}</bdi></dd></div>" for name, value in facts.items()
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{text(title)}</title>
<style>{STYLE}{style}</style>
</head>
<body>
<header>
<h1>{text(title)}</h1>
<dl class="facts">{told}</dl>
</header>
{body}
<script>{script}</script>
</body>
</html>
"""
