"""Frameworks that live in an environment of their own (requirements.txt), served by a relay and opened in Chromium."""
