"""What is made for browsers ahead of time, in CPython: static sites, and the Python that they load.

- `export`: an app as a static site.
- `wheels`: the packages beside its page.
- `bundle`: Pyodide together with Portico, compiled.

Not here: what runs in a tab (`portico.tab`, and the rooms below it, unchanged), and the TypeScript, which is in js/.
"""
