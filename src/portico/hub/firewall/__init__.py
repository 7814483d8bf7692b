"""What passes between visitors and apps: header fields, arguments of URLs, cookies.

- `headers`: the firewall, both ways.
- `field_names`: the tables of fields that do not pass.
- `heads`: how many fields, arguments and escapes a head may hold.
- `queries`: takes the hub's arguments (a key, a token) out of URLs.
- `own_cookies`: the hub's own cookies, which no app sees.
- `spellings`: finds a secret in whatever spelling.
- `cors`: what the hub tells other origins.
"""
