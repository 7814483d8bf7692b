"""What a person is shown of a service.

`state` is the record that says it, made by the service's owner; `render` is that as HTML and as text. Neither knows
what a service is: a card can be drawn anywhere, at any time, from the record alone.
"""
