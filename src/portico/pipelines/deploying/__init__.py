"""How pipelines come and go while a server runs: each of them whole, or not at all.

- `deploying`: one of them. `startup`: those of the folder. `candidate`: one that is ready and not served yet.
  `making`: which module makes a deployment of what. `threads`: off the event loop.
- `watching`: they follow their files. `fingerprint`: whether those have changed.
- `crew`: what several processes of one server tell each other. `following`: what one does as others deploy.
- `folder`: the pipelines' folder. `names`: what may lie in it. `file_changes`: several files as one, or none.
  `staging`: where files lie while a wrapper is tried. `file_locks`: who is at it.
"""
