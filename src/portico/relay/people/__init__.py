"""Users, sign-ins, tokens, and the pages on which people say who they are."""
