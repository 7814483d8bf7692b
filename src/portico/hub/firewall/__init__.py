"""What passes between visitors and apps: header fields, arguments, cookies, and the spellings of secrets.

`headers` is the firewall, both ways; `field_names` are its tables, `heads` says what a head may be made of. `queries`
and `own_cookies` are what of URLs and cookies is the hub's own, `spellings` finds secrets in whatever spelling, and
`cors` is what other origins are told.
"""
