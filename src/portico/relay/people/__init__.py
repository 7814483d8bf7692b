"""Who people and programs are to a relay: users, sign-ins, tokens, and the pages for them.

People:

- `accounts`: users with passwords, and who is signed in.
- `sign_in`: the pages on which they sign in and let programs in. `forms`: how a form is shown, and believed.
- `doorway`: ``/.portico/`` at a service's root: password and sign-in for its visitors.
- `identity`: who a service's visitor is, after that.

Programs:

- `tokens`: the tokens of providers. `grants`: what each is worth.
- `device`: how a program gets one, after its user has allowed it. `oauth`: the calls that it makes for that.
"""
