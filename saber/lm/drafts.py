"""Drafts: replies that other trials gave to the same prompts, which one pass can check many tokens at a time.

Greedy text has one continuation, so a guess that the model itself confirms token by token is that text (speculative
decoding, Leviathan et al. 2023, with the study's own past as the draft model). A wrong guess costs time, never truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MAX_TOKENS = 4096  # kept by prompt: some hundred distinct replies; beyond it the oldest are forgotten

# A node maps the next token to the node after it; the most recently seen comes last.
Node = dict[int, Any]


class Drafts:
    """Replies by prompt, as tries of tokens; ``cache`` is the class of a cache that forgets what was refused."""

    def __init__(self, n_prompts: int, cache: type) -> None:
        self.cache = cache
        self._roots: list[Node] = [{} for _ in range(n_prompts)]
        self._n_tokens = [0] * n_prompts

    def emptied(self) -> Drafts:
        """Drafts for the same prompts that remember nothing."""
        return Drafts(len(self._roots), self.cache)

    def learn(self, prompt: int, reply: Sequence[int]) -> None:
        """Remember a reply to a prompt, its end token included, as the most recent."""
        if self._n_tokens[prompt] + len(reply) > MAX_TOKENS:
            self._roots[prompt], self._n_tokens[prompt] = {}, 0
        node = self._roots[prompt]
        for token in reply:
            child = node.pop(token, None)
            if child is None:
                child = {}
                self._n_tokens[prompt] += 1
            node[token] = child
            node = child

    def after(self, prompt: int, tokens: Sequence[int]) -> Node:
        """Where the replies stand that begin with some tokens; an empty node where none does."""
        return advance(self._roots[prompt], tokens)


def advance(node: Node, tokens: Sequence[int]) -> Node:
    """The node after some more tokens, empty where no reply goes that way."""
    for token in tokens:
        node = node.get(token, {})
    return node


def proposal(node: Node, limit: int) -> list[int]:
    """The most recent continuation from a node, of at most ``limit`` tokens."""
    found: list[int] = []
    while node and len(found) < limit:
        token = next(reversed(node))
        found.append(token)
        node = node[token]
    return found
