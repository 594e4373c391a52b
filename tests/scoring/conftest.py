"""Property tests here are repeatable and are not timed: other work may share the machine."""

from hypothesis import settings

settings.register_profile("scoring", deadline=None, derandomize=True)
settings.load_profile("scoring")
