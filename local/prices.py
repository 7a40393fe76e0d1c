"""Prices of AWS in dollars, for the region us-east-1 and without the free tier, each with its source and date.

Nothing was fetched from AWS: the figures are those of stored copies of its pages, of the dates given. Check them before
a large run.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Price:
    """A price in dollars per unit, its source, and the month of the copy that was read."""

    dollars: float
    unit: str
    page: str
    read: str


LAMBDA = {
    "x86_64": Price(0.0000166667, "GB-second", "https://aws.amazon.com/lambda/pricing/", "2026-11, second hand"),
    "arm64": Price(0.0000133334, "GB-second", "https://aws.amazon.com/lambda/pricing/", "2026-11, second hand"),
}
LAMBDA_REQUEST = Price(0.20e-6, "request", "https://aws.amazon.com/lambda/pricing/", "2026-11, second hand")
TRANSITION = Price(0.025e-3, "state transition", "https://aws.amazon.com/step-functions/pricing/", "2026-11")
S3_PUT = Price(0.005e-3, "PUT or LIST request", "https://aws.amazon.com/s3/pricing/", "2026-11, second hand")
S3_GET = Price(0.0004e-3, "GET or HEAD request", "https://aws.amazon.com/s3/pricing/", "2026-11, second hand")

# Of the states in archive.asl.json: starting the child of a batch, Read, All read?, Done.
TRANSITIONS_A_BATCH = 4


@dataclass(frozen=True)
class Bill:
    """Cost of a run by service, dollars."""

    compute: float
    orchestration: float
    storage: float

    @property
    def total(self) -> float:
        """Total cost."""
        return self.compute + self.orchestration + self.storage


def bill(gigabyte_seconds: float, invocations: int, objects: int, written: int, architecture: str = "x86_64") -> Bill:
    """Cost of a run of the archive.

    Parameters
    ----------
    gigabyte_seconds : float
        That the function ran.
    invocations : int
        Of the function, each for one batch.
    objects, written : int
        Objects that were read, and results that were written.
    architecture : str
        A key of `LAMBDA`.
    """
    return Bill(
        compute=gigabyte_seconds * LAMBDA[architecture].dollars + invocations * LAMBDA_REQUEST.dollars,
        orchestration=invocations * TRANSITIONS_A_BATCH * TRANSITION.dollars,
        # Of each object itself; before each result, whether it is there.
        storage=(objects + written) * S3_GET.dollars + written * S3_PUT.dollars,
    )
