"""Where visitors and links come in: which URL is whose, and the two ways of a request, past ASGI and by ASGI."""
