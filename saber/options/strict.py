"""What every part of the configuration shares: unknown keys and infinite numbers are refused, defaults are checked."""

from pydantic import ConfigDict

STRICT = ConfigDict(extra="forbid", validate_default=True, allow_inf_nan=False)
