"""How laws are tried on many examples: the same each time, without a deadline, nothing kept."""

from hypothesis import HealthCheck, settings


def examples(count):
    """Settings of a law that is tried on so many examples; the same selection of tests has the same ones."""
    return settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
