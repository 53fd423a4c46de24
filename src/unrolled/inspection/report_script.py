"""The report page's own style and script, beside the shell's and plotly's."""

from __future__ import annotations

STYLE = """
nav { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; margin: 1.2rem 0 0; }
nav a { color: rgb(var(--blue)); text-decoration: none; }
nav a:hover, nav a:focus { text-decoration: underline; }
section { margin: 1.6rem 0 0; padding: clamp(.9rem, 3vw, 1.5rem); background: var(--card);
  border: 1px solid var(--line); border-radius: .6rem; min-width: 0; }
h2 { margin: 0 0 .4rem; font-size: 1.15rem; }
h3 { margin: .8rem 0 .2rem; font-size: 1rem; font-weight: 400; overflow-wrap: anywhere; }
section > p { margin: 0 0 .8rem; color: var(--soft); max-width: 46rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .6rem;
  margin: .5rem 0 0; }
.figures div { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .8rem; }
.figures .main { border-color: rgb(var(--blue)); }
.figures dt { color: var(--soft); font-size: .85rem; }
.figures dd { margin: 0; font-size: 1.25rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.plot { width: 100%; overflow: hidden; }
section > p.keys { display: flex; flex-wrap: wrap; gap: .2rem .9rem; max-width: none; }
.keys button { font: inherit; font-size: .88rem; padding: .15rem 0; color: var(--ink); background: none; border: 0;
  cursor: pointer; overflow-wrap: anywhere; text-align: start; }
.keys button[aria-pressed="false"] { color: var(--soft); text-decoration: line-through; }
.keys i { display: inline-block; width: 1.1rem; height: .2rem; margin-inline-end: .4rem; vertical-align: middle; }
label { display: block; color: var(--soft); margin: 0 0 .4rem; }
select { max-width: 100%; font: inherit; padding: .25rem .4rem; color: var(--ink); background: var(--paper);
  border: 1px solid var(--line); border-radius: .4rem; }
table.rows { width: 100%; border-collapse: collapse; font-size: .92rem; }
table.rows th { text-align: start; color: var(--soft); font-weight: 400; }
table.rows th, table.rows td { padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: break-word; font-variant-numeric: tabular-nums; }
table.rows td.about { min-width: 12rem; overflow-wrap: anywhere; }
table.rows td:first-child, table.rows th, table.rows b { white-space: nowrap; }
.salient p { margin: 0; line-height: 1.9; overflow-wrap: anywhere; }
.w { border-radius: .25rem; padding: .1rem .15rem; }
.w.for { background: rgb(var(--blue) / calc(var(--a) * .55)); }
.w.against { background: rgb(var(--red) / calc(var(--a) * .55)); }
.absent { margin: 0; padding-inline-start: 1.2rem; }
@media (max-width: 40rem) {
  table.rows thead { display: none; }
  table.rows tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  table.rows td[data-is]:not(:empty)::before { content: attr(data-is) " "; color: var(--soft); }
  table.rows td { display: inline-block; border: 0; padding: .1rem .8rem .1rem 0; }
  table.rows td.about { display: block; min-width: 0; width: auto; }
}
"""

SCRIPT = """
(() => {
  const root = getComputedStyle(document.documentElement);
  const six = ["blue", "red", "#6a51a3", "#238b45", "#b8860b", "#c51b8a"];
  const color = name => {
    const [head, alpha] = name.split("/");
    const key = /^[0-9]$/.test(head) ? six[+head] : head;
    if (key[0] === "#") {
      const [r, g, b] = [1, 3, 5].map(k => parseInt(key.slice(k, k + 2), 16));
      return `rgba(${r},${g},${b},${alpha || 1})`;
    }
    const value = root.getPropertyValue("--" + key).trim();
    return /^[0-9 ]+$/.test(value) ? `rgba(${value.split(" ").join(",")},${alpha || 1})` : value;
  };
  const told = new Set(["text", "ticktext", "names", "customdata", "x", "y", "z", "name"]);
  const painted = value => {
    if (typeof value === "string") return value[0] === "@" ? color(value.slice(1)) : value;
    if (Array.isArray(value)) return value.map(painted);
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, told.has(k) ? v : painted(v)]));
    return value;
  };
  const axis = () => ({gridcolor: color("line"), zerolinecolor: color("line"), linecolor: color("line"),
    fixedrange: matchMedia("(pointer: coarse)").matches});
  const hidden = new Set(), key = (plot, trace) => plot + "/" + trace;
  const drawn = (name, number) => {
    const plot = PLOTS[name][number], layout = painted(plot.layout);
    const whole = {width: document.getElementById("plot-" + name).clientWidth, hovermode: "closest", showlegend: false,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: {color: color("ink"), family: "system-ui, sans-serif", size: 13},
      modebar: {bgcolor: "rgba(0,0,0,0)", color: color("soft"), activecolor: color("blue")},
      margin: {l: 62, r: plot.layout.yaxis2 ? 72 : 14, t: 34, b: 54}, ...layout};
    for (const key of ["xaxis", "yaxis", "yaxis2"])
      if (layout[key]) whole[key] = {...axis(), ...layout[key]};
    const traces = painted(plot.data).map(trace =>
      ({...trace, visible: !hidden.has(key(name, trace.legendgroup || trace.name))}));
    const data = traces.map(trace => trace.type === "heatmap" ?
      {colorbar: {thickness: 10, outlinewidth: 0}, ...trace,
        text: trace.names ? trace.z.map(() => trace.names) : trace.text} : trace);
    Plotly.react("plot-" + name, data, whole, {displaylogo: false,
      modeBarButtonsToRemove: ["select2d", "lasso2d"]});
    document.querySelectorAll(`.keys[data-plot="${name}"] button`).forEach(button => {
      const {line} = traces.find(trace => trace.name === button.dataset.trace);
      button.firstElementChild.style.background = line.color;
    });
  };
  const chosen = {};
  document.querySelectorAll(".keys button").forEach(button => button.addEventListener("click", () => {
    const {plot} = button.parentElement.dataset, which = key(plot, button.dataset.trace);
    const shown = hidden.delete(which) || !hidden.add(which);
    button.setAttribute("aria-pressed", shown);
    drawn(plot, chosen[plot] || 0);
  }));
  const all = () => Object.keys(PLOTS).forEach(name => drawn(name, chosen[name] || 0));
  document.querySelectorAll("select[data-plot]").forEach(select => select.addEventListener("change", () => {
    chosen[select.dataset.plot] = +select.value;
    drawn(select.dataset.plot, +select.value);
  }));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
  all();
  const watcher = new ResizeObserver(seen => seen.forEach(({target}) => {
    if (Math.abs(target.clientWidth - target.layout.width) > 1) Plotly.relayout(target, {width: target.clientWidth});
  }));
  document.querySelectorAll(".plot").forEach(plot => watcher.observe(plot));
})();
"""
