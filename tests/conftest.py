"""What holds for every test."""

from hypothesis import settings

settings.register_profile("zward", deadline=None)  # how long an example takes is the machine's business
settings.load_profile("zward")
