"""What passes between visitors and apps: header fields, arguments, cookies, and the spellings of secrets."""
