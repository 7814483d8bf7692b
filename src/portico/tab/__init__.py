"""What runs in a browser tab alone: code that waits without threads, the way in from a page, and previews."""
