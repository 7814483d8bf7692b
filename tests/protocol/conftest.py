"""Hypothesis for the protocol's tests: no deadline, because the machines of CI stall now and then."""

from hypothesis import settings

settings.register_profile("protocol", deadline=None)
settings.load_profile("protocol")
