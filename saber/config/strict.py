"""What every part of the configuration shares: unknown keys are refused, and defaults are checked like the rest."""

from pydantic import ConfigDict

STRICT = ConfigDict(extra="forbid", validate_default=True)
