"""What moves opaque binary messages from one end of a link to the other. No transport knows the protocol.

`transport` says what one must do; `memory` is a pair in one process, public, and what tests use; `websocket` dials out
from CPython, `browser` from a tab. `sansio` and `whole_frames` are what both ends of CPython's do besides the WebSocket
library. The accepting ends of a WebSocket live with their servers.
"""
