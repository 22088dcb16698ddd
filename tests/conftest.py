"""Property tests never judge the clock: a busy machine draws its examples slowly, and that is no fault."""

from hypothesis import HealthCheck, settings

settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
