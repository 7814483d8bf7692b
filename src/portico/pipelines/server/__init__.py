"""The plain server of pipelines: its routes, and who may use them.

- `server`: its routes. `gate`: who may call, and deploy.
- `endpoints`: what is there whatever is deployed. `deploy_requests`: what that reads and answers.
- `documents`, `openapi`: what describes it.
"""
