"""What can be set about machines that may be taken away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class PreemptionSettings:
    """Where a worker hears that its machine is about to be taken away; SIGUSR1 says so always.

    It gives its work back at once then, so that another takes it over before the machine is gone.
    """

    provider: Literal["none", "gcp", "aws"] = "none"
    """Whose machine it is: `gcp` and `aws` are asked through the machine's own metadata server;
    their notice comes 30 s and about 2 minutes ahead."""
    url: str = ""
    """Address of the metadata server; the provider's own when empty."""
    file: str = ""
    """A file whose appearance is the notice; whatever else hears of it first may create it."""
    poll_s: float = 2.0
    """How often the file and AWS are looked at; GCP answers by itself."""
