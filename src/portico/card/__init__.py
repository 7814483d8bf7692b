"""What a person is shown of a service.

- `state`: a frozen record of all of it. The service's owner makes it (`portico.provider.service`).
- `render`: that record as HTML and as text.
- `programs`: what it gives to paste: command lines and code that call the service.

None of them knows a service: a card can be drawn anywhere, at any time, from the record alone.
"""
