"""All tools of a hub behind one URL."""
