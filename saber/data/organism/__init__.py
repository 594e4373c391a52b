"""The organism: a tiny chat model that the project trains itself, with refusals to shape and no network."""

from saber.data.organism.build import ensure_organism, make_organism, recipe_digest
from saber.data.organism.prompts import organism_splits

__all__ = ["ensure_organism", "make_organism", "organism_splits", "recipe_digest"]
