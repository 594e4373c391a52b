"""Conditions that several options share: what the edit looks at, and whom it keeps."""

from __future__ import annotations

from saber.options.option import when
from saber.vocabulary import OUTPUT_READERS

INTERPOLATED = when("scope", "kernel") & when("kernel.direction", "global")
REACHES_FURTHER = when("scope", "band", "all") | INTERPOLATED
READS_INPUTS = when("reader", "inputs")
READS_OUTPUTS = when("reader", *OUTPUT_READERS)
LEAST_DRIFT = when("reader", "least_drift")
SPARES_ANSWERED = when("spares", "answered", "harmful_and_answered", "protected_and_answered")
LOOKS_AT_BORDERLINE = when("contrast", "false_refusal") | (READS_INPUTS & SPARES_ANSWERED)
KEEPS_REFUSALS = ~when("protects", "none") | when("spares", "harmful", "harmful_and_answered", "protected_and_answered")
SEVERAL_ROUNDS = ~when("max_iterations", 1)
