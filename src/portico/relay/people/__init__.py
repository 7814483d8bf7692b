"""Users, sign-ins, tokens, and the pages on which people say who they are.

`accounts` are users with passwords; `sign_in` is their pages, `forms` what those ask, `doorway` the same at a service's
root, and `identity` what comes of it. For programs: `tokens`, worth what `grants` says, had by the `device` flow, whose
calls are `oauth`.
"""
