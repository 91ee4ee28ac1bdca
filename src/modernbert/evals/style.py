"""The style sheets of the report's page and of a picture: light and dark, wide and narrow."""

_COLOURS = """
:root { color-scheme: light dark; --ink: #1c2430; --paper: #fdfdfc; --soft: #5f6a7a;
  --line: #d5dbe3; --band: #f1f4f8; --s0: #1f4fe0; --s1: #9c3d0e; --s2: #0b5a49;
  --s3: #86109e; --s4: #b5800b; --s5: #1a93ad; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --paper: #14181f; --soft: #94a0b0;
  --line: #2b333f; --band: #1b212a; --s0: #9dbcf7; --s1: #ee6a42; --s2: #58eeaa;
  --s3: #c04cf5; --s4: #ead52c; --s5: #2f86a8; } }
"""
"""The six lie far apart also for readers who see no red, no green or no blue."""
_OF_SIX = "\n".join(
    f"polyline.s{i}, path.s{i} {{ stroke: var(--s{i}); }} "
    f"circle.s{i}, path.s{i} {{ fill: var(--s{i}); }}"
    for i in range(6)
)
_MARKS = f"""
svg text {{ font-size: 11px; fill: var(--soft); }} .middle {{ text-anchor: middle; }}
.end {{ text-anchor: end; }} svg line {{ stroke: var(--line); }}
polyline {{ fill: none; stroke-width: 1.6; vector-effect: non-scaling-stroke; }}
{_OF_SIX}
"""
_PAGE = """
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 780px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .25rem .6rem;
  border-bottom: 1px solid var(--line); } td:first-child, td.n { white-space: nowrap; }
th { vertical-align: bottom; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
td:nth-child(2):last-child { overflow-wrap: anywhere; }
figure { margin: 1rem 0; } figcaption { font-weight: 600; }
svg { width: 100%; height: auto; overflow: visible; }
.b0 { fill: var(--band); } .b1 { fill: none; }
.key { font-weight: 400; margin-left: .8rem; }
figcaption, summary, .soft, th { overflow-wrap: anywhere; } th.n { min-width: 4rem; }
polyline.d1 { stroke-dasharray: 7 3; } polyline.d2 { stroke-dasharray: 2 2; }
polyline.d3 { stroke-dasharray: 9 3 2 3; }
path { stroke-width: 1.5; } path.ink { stroke: var(--soft); fill: var(--soft); }
path.through { stroke-dasharray: 3 4; stroke-width: 1; opacity: .8; }
.key svg { height: .7em; width: auto; } .key circle { r: 4px; } .signs { font-size: .85em; }
.signs .key:first-child { margin-left: 0; }
ul.notes { background: var(--band); padding: .6rem 1rem .6rem 2rem; }
pre { background: var(--band); padding: .7rem; white-space: pre-wrap;
  overflow-wrap: anywhere; font-size: .9em; } summary { cursor: pointer; }
mark { background: var(--s0); color: var(--paper); border-radius: 3px; }
.guess { white-space: pre-wrap; border: 1px solid var(--line); border-radius: 3px;
  background: var(--band); padding: 0 .2em; } .guess.right { border-color: var(--s2); }
.right { color: var(--s2); font-weight: 600; } .soft { color: var(--soft); }
.guesses { margin: -.4rem 0 2rem; }
@media (max-width: 560px) { body { margin: 1rem auto; } table { font-size: .85em; }
  td, th { padding: .25rem .3rem; } td:first-child { white-space: normal; }
  svg text { font-size: 16px; } figure > svg circle { r: 6px; } }
"""

STYLE = _COLOURS + _MARKS + _PAGE
PICTURE = (
    _COLOURS
    + _MARKS
    + """
svg { font-family: system-ui, sans-serif; } rect { fill: var(--paper); }
svg text.title { font-size: 14px; font-weight: 600; fill: var(--ink); }
svg text.s0 { fill: var(--s0); } svg text.s1 { fill: var(--s1); } svg text.s2 { fill: var(--s2); }
"""
)
