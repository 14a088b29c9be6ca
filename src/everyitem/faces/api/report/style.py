"""How a report looks: on screens, light and dark, and on A4."""

STYLE = """
:root { color-scheme: light dark; --ink: #1b2430; --soft: #5b6878; --line: #d9dfe7; --ground: #ffffff;
  --panel: #f5f7fa; --good: #14764a; --bad: #b3261e; --mark: #2458c5; --wash: #2458c522; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf2; --soft: #9aa8b8; --line: #333e4c;
  --ground: #12171d;
  --panel: #1a2129; --good: #5cc994; --bad: #ff8a80; --mark: #86aaff; --wash: #86aaff22; } }
@media print { :root { color-scheme: light; --ink: #000; --soft: #444; --line: #bbb; --ground: #fff;
  --panel: #fff; --good: #0b5a36; --bad: #9c1c14; --mark: #1d47a0; --wash: #1d47a022; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; }
header p { color: var(--soft); margin: .2rem 0; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2.4rem 0 .7rem; padding-bottom: .3rem; border-bottom: 2px solid var(--line);
  break-after: avoid; }
.verdict { margin: 1.4rem 0; padding: .9rem 1.1rem; border-left: .4rem solid var(--good);
  background: var(--panel); }
.verdict strong { display: block; font-size: 1.25rem; color: var(--good); }
.verdict.bad { border: .2rem solid var(--bad); border-left-width: .4rem; }
.verdict.bad strong { color: var(--bad); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr));
  gap: .8rem; margin: 0; }
.figures div { background: var(--panel); border: 1px solid var(--line); border-radius: .4rem;
  padding: .6rem .8rem; break-inside: avoid; }
.figures dt { color: var(--soft); font-size: .85rem; }
.figures dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .32rem .8rem .32rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: break-word; max-width: 28rem; }
th { color: var(--soft); font-weight: 600; font-size: .85rem; }
tr { break-inside: avoid; } thead { display: table-header-group; }
td.n, th.n { text-align: right; white-space: nowrap; overflow-wrap: normal; padding-left: .4rem; }
code, .hash { font: .82em ui-monospace, "Liberation Mono", monospace;
  overflow-wrap: anywhere; }
.good { color: var(--good); } .bad { color: var(--bad); } .soft { color: var(--soft); }
.equation { font-size: 1.05rem; margin: .4rem 0;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; display: block; break-inside: avoid; }
svg .area { fill: var(--wash); } svg .line { fill: none; stroke: var(--mark); stroke-width: 1.6; }
svg .axis { stroke: var(--line); } svg text { fill: var(--soft); font-size: 12px; }
.signatures { display: grid; grid-template-columns: 1fr 1fr; gap: 3rem 2.5rem; margin-top: 3.5rem;
  break-inside: avoid; }
.signatures div { border-top: 1px solid var(--ink); padding-top: .3rem; color: var(--soft);
  font-size: .85rem; }
footer { margin-top: 2.5rem; color: var(--soft); font-size: .85rem; }
.stamp { position: fixed; inset: 0; display: grid; place-items: center; pointer-events: none;
  z-index: 1; }
.stamp span { transform: rotate(-28deg); font-size: 5.2rem; font-weight: 800; white-space: nowrap;
  color: var(--bad); opacity: .13; }
@page { size: A4; margin: 16mm 14mm 18mm; }
@media print { body { font-size: 10.5pt; } main { max-width: none; padding: 0; } h1 { font-size: 18pt; }
  .scroll { overflow: visible; } }
"""
