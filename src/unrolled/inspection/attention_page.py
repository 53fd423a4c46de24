"""Attention as HTML: source over target with threads between, and the weights as a table.

Pointing at a token, or tapping it, shows what it looked at, or what looked at it. All numbers are in the markup, so
that the page says everything without its script too.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import numpy as np

from unrolled.inspection.alignment import Alignment, direction, legible
from unrolled.inspection.page import page, text

LEAST = 0.005
"""A weight below it is left out: it is 0 % when rounded."""
LARGEST_TABLE = 40_000
"""Cells of a table that a phone still scrolls."""
OPEN_TABLES = 3
"""With so many sentences or fewer their tables are open at first."""

STYLE = """
.figures { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.4rem 0 0; padding: 0; list-style: none; }
.figures li { flex: 1 1 9rem; padding: .7rem 1rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .7rem; color: var(--soft); font-size: .85rem; line-height: 1.35; }
.figures b { display: block; color: var(--ink); font-size: 1.35rem; font-weight: 600; }
.seen { display: block; max-width: 100%; margin: 1rem 0 0; background: #fff; border-radius: .9rem; }
.legend { margin: 1rem 0 0; color: var(--soft); font-size: .9rem; max-width: 46rem; }
.legend i { font-style: normal; border-bottom: 3px solid rgb(var(--red)); }
.legend i.s { border-color: rgb(var(--blue)); }
section { margin: 1.4rem 0 0; padding: 1rem 0 .4rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .9rem; content-visibility: auto; contain-intrinsic-size: auto 20rem; }
section h2, .told, details { margin: 0; padding: 0 1.1rem; }
section h2 { font-size: .85rem; font-weight: 500; color: var(--soft); }
section h2 b { color: var(--ink); margin-inline-end: .4rem; }
.scroll { overflow: auto; max-height: 85vh; overscroll-behavior-x: contain; }
.loom { position: relative; display: grid; width: max-content; margin-inline: auto; padding: .9rem 1.1rem .5rem; }
.row { display: flex; justify-content: space-around; gap: .35rem; margin: 0; padding: 0; list-style: none; z-index: 1; }
.loom svg { height: 4.6rem; width: 100%; position: static; overflow: visible; pointer-events: none; }
.loom path { fill: none; stroke: rgb(var(--blue)); stroke-linecap: round; transition: opacity .12s; }
.loom.chosen path { opacity: .04; }
.loom.chosen path.on { opacity: 1; }
button { --w: 0; position: relative; font: inherit; color: inherit; white-space: pre; cursor: pointer;
  min-width: 2.1rem; max-width: 16rem; padding: 1.15rem .6rem .3rem; border: 1px solid var(--line);
  border-radius: .55rem; background: rgb(var(--tint) / calc(var(--w) * .55));
  transition: background .12s, border-color .12s; }
button bdi { display: block; overflow: hidden; text-overflow: ellipsis; }
.target button { padding: .3rem .6rem 1.15rem; }
.source button { --tint: var(--blue); }
.target button { --tint: var(--red); }
button::before { content: attr(data-p); direction: ltr; position: absolute; inset: .15rem 0 auto; line-height: 1;
  font-size: .68rem;  text-align: center; font-variant-numeric: tabular-nums; }
.target button::before { inset: auto 0 .15rem; }
button::after { content: ""; position: absolute; top: -1px; inset-inline-start: .35rem; height: 3px; border-radius: 2px;
  width: calc((100% - .7rem) * var(--bar)); background: rgb(var(--tint)); opacity: .8; }
.target button::after { top: auto; bottom: -1px; }
button[aria-pressed=true], button.now { border-color: rgb(var(--tint)); box-shadow: 0 0 0 1px rgb(var(--tint)); }
button:focus-visible { outline: 2px solid rgb(var(--tint)); outline-offset: 2px; }
.told { min-height: 3.1rem; color: var(--soft); font-size: .92rem; }
.told b { color: var(--ink); font-weight: 600; }
details { padding-bottom: .6rem; }
summary { cursor: pointer; color: var(--soft); font-size: .88rem; padding: .2rem 0; }
table { border-collapse: separate; border-spacing: 2px; font-size: .78rem; font-variant-numeric: tabular-nums;
  margin: .3rem 0 .5rem; }
th { font-weight: 400; background: var(--card); white-space: pre; }
thead th { position: sticky; top: 0; z-index: 1; vertical-align: bottom; padding: .35rem 0; }
thead th span { display: inline-block; writing-mode: vertical-rl; text-orientation: sideways;
  transform: rotate(180deg); max-height: 9rem; overflow: hidden; text-overflow: ellipsis; }
tbody th, tfoot th { position: sticky; inset-inline-start: 0; z-index: 1; text-align: end; padding: 0 .5rem 0 .2rem;
  max-width: 9rem; overflow: hidden; text-overflow: ellipsis; }
thead th:first-child { inset-inline-start: 0; z-index: 2; }
td { min-width: 1.75rem; height: 1.75rem; text-align: center; border-radius: .25rem;
  background: rgb(var(--blue) / calc(.05 + .95 * var(--w, 0))); }
td.d { color: var(--card); }
tfoot td, td.h, tfoot th, thead th:last-child { background: none; color: var(--soft); }
tr.on th, th.on { color: rgb(var(--red)); font-weight: 600; }
th.on { color: rgb(var(--blue)); }
@media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
@media print { .told { display: none; } section { break-inside: avoid; } }
"""

SCRIPT = r"""
"use strict";
const SVG = "http://www.w3.org/2000/svg", THREAD = 0.02, NAMED = 0.01, MOST = 6;
const percent = w => (100 * w).toFixed(0) + " %";
function isolated(token) { const bdi = document.createElement("bdi"); bdi.textContent = token; return bdi; }
function set(section) {
  const loom = section.querySelector(".loom"), told = section.querySelector(".told"), svg = loom.querySelector("svg");
  const table = section.querySelector("table"), advice = told.textContent;
  const side = kind => [...loom.querySelectorAll("." + kind + " button")];
  const tokens = {source: side("source"), target: side("target")};
  const looks = {source: tokens.source.map(() => []), target: tokens.target.map(() => [])};
  tokens.target.forEach((button, t) => {
    for (const pair of button.dataset.w.split(" ").filter(Boolean)) {
      const [s, w] = pair.split(":").map(Number);
      looks.target[t].push([s, w]);
      looks.source[s].push([t, w]);
    }
  });
  let threads = [], kept = null;
  function weave() {
    svg.replaceChildren();
    threads = [];
    const height = svg.clientHeight, left = svg.getBoundingClientRect().left;
    const middle = button => { const box = button.getBoundingClientRect(); return box.left + box.width / 2 - left; };
    const above = tokens.source.map(middle), below = tokens.target.map(middle);
    looks.target.forEach((pairs, t) => pairs.forEach(([s, w]) => {
      if (w < THREAD) return;
      const path = document.createElementNS(SVG, "path"), a = above[s], b = below[t], h = height;
      path.setAttribute("d", `M${a} 0C${a} ${h * .55} ${b} ${h * .45} ${b} ${h}`);
      path.setAttribute("stroke-width", (0.8 + 4.2 * w).toFixed(2));
      path.setAttribute("stroke-opacity", (0.12 + 0.75 * w).toFixed(3));
      svg.append(path);
      threads.push({path, source: s, target: t});
    }));
  }
  function show(kind, i) {
    const other = kind === "target" ? "source" : "target";
    for (const button of [...tokens.source, ...tokens.target]) {
      button.style.removeProperty("--w"); button.removeAttribute("data-p"); button.classList.remove("now");
    }
    section.querySelectorAll("table .on").forEach(cell => cell.classList.remove("on"));
    loom.classList.toggle("chosen", kind !== null);
    for (const {path, ...ends} of threads) path.classList.toggle("on", kind !== null && ends[kind] === i);
    if (kind === null) { told.textContent = advice; return; }
    const pairs = [...looks[kind][i]].sort((a, b) => b[1] - a[1]);
    tokens[kind][i].classList.add("now");
    for (const [j, w] of pairs) {
      tokens[other][j].style.setProperty("--w", Math.min(1, w));
      if (w >= NAMED) tokens[other][j].dataset.p = percent(w);
    }
    if (table && kind === "target") table.tBodies[0].rows[i].classList.add("on");
    if (table && kind === "source") table.tHead.rows[0].cells[i + 1].classList.add("on");
    const name = document.createElement("b");
    name.append(isolated(tokens[kind][i].textContent));
    told.replaceChildren(name, kind === "target" ? " looked at " : " was looked at by ");
    const named = pairs.filter(pair => pair[1] >= NAMED);
    named.slice(0, MOST).forEach(([j, w], n) =>
      told.append(n ? ", " : "", isolated(tokens[other][j].textContent), " " + percent(w)));
    if (!named.length) told.append("nothing much");
    if (named.length > MOST) told.append(", and less at others");
    told.append(". " + tokens[kind][i].title);
  }
  const again = () => kept ? show(...kept) : show(null);
  for (const kind of ["source", "target"]) tokens[kind].forEach((button, i) => {
    button.addEventListener("pointerenter", event => { if (event.pointerType !== "touch") show(kind, i); });
    button.addEventListener("pointerleave", event => { if (event.pointerType !== "touch") again(); });
    button.addEventListener("focus", () => { if (button.matches(":focus-visible")) show(kind, i); });
    button.addEventListener("blur", again);
    button.addEventListener("click", () => {
      const same = kept && kept[0] === kind && kept[1] === i;
      if (kept) tokens[kept[0]][kept[1]].setAttribute("aria-pressed", "false");
      kept = same ? null : [kind, i];
      button.setAttribute("aria-pressed", String(!same));
      again();
    });
  });
  section.addEventListener("keydown", event => {
    if (event.key !== "Escape" || !kept) return;
    tokens[kept[0]][kept[1]].setAttribute("aria-pressed", "false"); kept = null; again();
  });
  // Woven when it is first seen, and whenever its size changes: a font that comes late, a phone that is turned.
  new ResizeObserver(() => { weave(); again(); }).observe(loom);
}
document.querySelectorAll("section").forEach(set);
"""

ADVICE = "Point at a token, or tap it, to see what it looked at or what looked at it."


def attention_page(
    title: str,
    facts: Mapping[str, str],
    alignments: Sequence[Alignment],
    figures: Sequence[tuple[str, str]],
    picture: bytes | None = None,
) -> str:
    """The whole page. figures: of all sentences together, (figure, what it is) each; picture: a PNG above them."""
    cards = "".join(f"<li><b>{text(value)}</b>{text(what)}</li>" for value, what in figures)
    state = " open" if len(alignments) <= OPEN_TABLES else ""
    sections = "\n".join(_section(number, each, state) for number, each in enumerate(alignments, 1))
    seen = "" if picture is None else f'<img class="seen" alt="What each word looked at" src="{_inline(picture)}">'
    body = f"""<ul class="figures">{cards}</ul>
{seen}
<p class="legend">The source stands above, what was written below; a thread is as strong as the attention.
The line over a <i class="s">source</i> token says how much it was looked at in all (full: once or more often), the
line under a <i>written</i> token how widely it looked (none: at one token only; full: at all of them alike).</p>
<main>
{sections}
</main>"""
    return page(title, facts, body, style=STYLE, script=SCRIPT, pictures=picture is not None)


def _inline(picture: bytes) -> str:
    """The address of a PNG that is part of the page."""
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


def _section(number: int, one: Alignment, state: str) -> str:
    entropy, coverage = one.entropy(), one.coverage()
    source, target = len(one.source_tokens), len(one.target_tokens)
    widest = np.log2(source) if source > 1 else 1.0
    over = [
        _token(token, min(c, 1.0), f"Looked at {c:.2f} times in all.")
        for token, c in zip(one.source_tokens, coverage, strict=True)
    ]
    under = [
        _token(token, h / widest, f"As wide as {2**h:.1f} tokens ({h:.2f} bits).", row)
        for token, h, row in zip(one.target_tokens, entropy, one.weights, strict=True)
    ]
    mean = f" · {entropy.mean():.2f} bits a token" if target else ""
    return f"""<section>
<h2><b>{number}</b>{source} → {target} tokens{mean}</h2>
<div class="scroll"><div class="loom">
<ol class="row source" dir="{direction(one.source_tokens)}">{"".join(over)}</ol>
<svg aria-hidden="true"></svg>
<ol class="row target" dir="{direction(one.target_tokens)}">{"".join(under)}</ol>
</div></div>
<p class="told" aria-live="polite">{ADVICE if target else "Nothing was written."}</p>
{_table(one, entropy, coverage, state)}
</section>"""


def _token(token: str, bar: float, title: str, row: np.ndarray | None = None) -> str:
    held = "" if row is None else f' data-w="{" ".join(f"{s}:{_short(row[s])}" for s in np.flatnonzero(row >= LEAST))}"'
    return (
        f'<li><button type="button" aria-pressed="false" style="--bar:{_short(bar)}" title="{text(title)}"{held}>'
        f"<bdi>{text(legible(token))}</bdi></button></li>"
    )


def _table(one: Alignment, entropy: np.ndarray, coverage: np.ndarray, state: str) -> str:
    """The weights in percent, with coverage as the last row and entropy as the last column."""
    if not one.target_tokens:
        return ""
    if one.weights.size > LARGEST_TABLE:
        return f"<details{state}><summary>{one.weights.size:,} weights, too many for a table</summary></details>"
    head = "".join(f'<th scope="col"><span><bdi>{text(legible(t))}</bdi></span></th>' for t in one.source_tokens)
    rows = "\n".join(
        f'<tr><th scope="row"><bdi>{text(legible(token))}</bdi></th>{"".join(map(_cell, row))}'
        f'<td class="h">{h:.2f}</td></tr>'
        for token, row, h in zip(one.target_tokens, one.weights, entropy, strict=True)
    )
    foot = "".join(f"<td>{c:.1f}</td>" for c in coverage)
    return f"""<details{state}><summary>Weights in percent, with entropy and coverage</summary>
<div class="scroll"><table dir="{direction(one.source_tokens)}">
<thead><tr><th></th>{head}<th scope="col"><span>entropy, bits</span></th></tr></thead>
<tbody>
{rows}
</tbody>
<tfoot><tr><th scope="row">coverage</th>{foot}<td></td></tr></tfoot>
</table></div></details>"""


def _cell(weight: float) -> str:
    if weight < LEAST:
        return "<td></td>"
    dark = ' class="d"' if weight > 0.5 else ""
    return f'<td{dark} style="--w:{_short(weight)}">{100 * weight:.0f}</td>'


def _short(value: float) -> str:
    """Three places, no more signs than are needed.

    >>> _short(0.5), _short(0.0004), _short(1.0)
    ('.5', '0', '1')
    """
    return f"{value:.3f}".rstrip("0").rstrip(".").removeprefix("0") or "0"
