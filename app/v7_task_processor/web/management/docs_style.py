"""How `/docs` looks: readable on a telephone, and in the dark."""

STYLE = """
:root { --text: #1c1e21; --soft: #5a6270; --line: #d8dce2; --back: #fff; --field: #f4f5f7; --link: #0b57d0;
  --get: #0a7d3c; --post: #a34a00; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e4e6ea; --soft: #a0a8b4; --line: #363b44; --back: #15171a; --field: #1f2227; --link: #8ab4f8;
    --get: #6dd58c; --post: #f0a35e; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 52rem; color: var(--text); background: var(--back);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.2; }
h2 { font-size: 1.15rem; line-height: 1.3; margin: 0 0 .5rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
small { color: var(--soft); font-size: .875rem; font-weight: normal; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
code, pre { font: .875rem/1.5 ui-monospace, monospace; }
h2 code { font-size: 1rem; }
pre { margin: .25rem 0; padding: .75rem; overflow-x: auto; background: var(--field); border: 1px solid var(--line);
  border-radius: .25rem; }
section { margin-top: 2rem; padding-top: 1.5rem; border-top: 1px solid var(--line); }
#types { margin-top: 2rem; padding-top: 1.5rem; border-top: 1px solid var(--line); }
nav ul { list-style: none; padding: 0; }
nav li { margin: .35rem 0; }
b.get { color: var(--get); } b.post { color: var(--post); }
dl { margin: .25rem 0; }
dt { margin-top: .5rem; }
dd { margin: 0 0 0 1rem; }
p { margin: .5rem 0; }
details { margin-top: 1rem; }
summary { cursor: pointer; color: var(--link); }
"""
