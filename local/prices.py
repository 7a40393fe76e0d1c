"""Prices of AWS in dollars, for the region us-east-1 and without the free tier, each with its source.

Prices change; compare them with their sources before a large run.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Price:
    """A price in dollars per unit, and the page of AWS that has it."""

    dollars: float
    unit: str
    page: str


# Date of all prices and of the quotas in benchmarks/capacity.py.
AS_OF = "November 2026"


LAMBDA = {
    "x86_64": Price(0.0000166667, "GB-second", "https://aws.amazon.com/lambda/pricing/"),
    "arm64": Price(0.0000133334, "GB-second", "https://aws.amazon.com/lambda/pricing/"),
}
LAMBDA_REQUEST = Price(0.20e-6, "request", "https://aws.amazon.com/lambda/pricing/")
TRANSITION = Price(0.025e-3, "state transition", "https://aws.amazon.com/step-functions/pricing/")
S3_PUT = Price(0.005e-3, "PUT or LIST request", "https://aws.amazon.com/s3/pricing/")
S3_GET = Price(0.0004e-3, "GET or HEAD request", "https://aws.amazon.com/s3/pricing/")

# Transitions of archive.asl.json per batch: the start of the child execution, Read, All read?, Done.
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
        Compute time of the function.
    invocations : int
        Invocations of the function, one per batch.
    objects, written : int
        Number of objects that are read, and of results that are written.
    architecture : str
        A key of `LAMBDA`.
    """
    return Bill(
        compute=gigabyte_seconds * LAMBDA[architecture].dollars + invocations * LAMBDA_REQUEST.dollars,
        orchestration=invocations * TRANSITIONS_A_BATCH * TRANSITION.dollars,
        # One read per object, and one per result to check whether it exists.
        storage=(objects + written) * S3_GET.dollars + written * S3_PUT.dollars,
    )
