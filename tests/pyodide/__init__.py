"""Portico in Pyodide: what runs in a tab, tested under Node. Chromium's part is in tests/browser/test_pyodide*.py."""
