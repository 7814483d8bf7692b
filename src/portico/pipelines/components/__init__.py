"""Pipelines that are served as they are, without a wrapper: by what their components take and give.

- `yaml_pipelines`: those that a YAML file describes. `objects`: live ones. `agents`: such as chat models.
- `sockets`: what their components take and give. `declared`: which of that callers know, `socket_types`: as which
  types.
- `pipeline_function`: such a pipeline as a typed function.
"""
