"""What is made for browsers, from outside of them: static sites, and the Python that they load.

`export` makes a site of an app, `wheels` lays out the packages beside its page, `bundle` is Pyodide with Portico,
compiled. Not here: what runs in a tab (`portico.tab`, and the core unchanged), and its TypeScript, which is in js/.
"""
