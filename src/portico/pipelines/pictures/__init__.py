"""A pipeline as a picture.

- `drawing`: which form of it a client gets. `graph`: what is in it. `graph_layout`: where.
- `graph_svg`, `graph_png`, `mermaid`: how it looks.
"""
