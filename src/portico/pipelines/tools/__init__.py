"""Pipelines as tools for agents.

- `as_tools`: those that are. `tool_results`: what they give. `core_tools`: tools that tell of pipelines, and deploy.
"""
