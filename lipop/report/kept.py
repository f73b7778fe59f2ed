"""What of an analysis is kept in a store, and under which keys: the digests of everything that determines it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lipop.core.digest import array_digest
from lipop.report.part import Part
from lipop.report.protocol import Block, Model
from lipop.runs import Store, Stored, fingerprint


class Kept:
    """The stored activations and parts of one analysis; nothing, where there is no store.

    A block's part is filed under the digests of operator and input, the settings and the code, so it is found again
    whatever model the block stands in. So that no block need be built to know its digest, that is filed under the
    model's digest, and so are the activations, with the tokens'.

    Parameters
    ----------
    store : Store or None
    model : Model
    ids : str
        Digest of the token ids.
    settings : JSON value
        Everything else that determines a part.
    """

    def __init__(self, store: Store | None, model: Model, ids: str, settings: Any) -> None:
        self.store, self.model, self.ids, self.settings = store, model, ids, settings

    def activations(self, make: Callable[[], Sequence[np.ndarray]]) -> list[np.ndarray]:
        """The input of each block in float64, found, or made and kept."""
        key = self._key("activations", self.model.digest, self.ids) if self.store else ""
        found = self.store.get(key) if self.store else None
        if found is not None:
            return [found.arrays[name] for name in found.value]
        points = [np.ascontiguousarray(x, dtype=np.float64) for x in make()]
        if self.store:
            names = [array_digest(x) for x in points]
            self.store.put(key, Stored(names, dict(zip(names, points, strict=True))))
        return points

    def find(self, index: int, x: np.ndarray, build: Callable[[], Block]) -> Part | None:
        """The part of block ``index`` at x, if there is one; builds the block only if its digest is not known yet."""
        if self.store is None:
            return None
        key = self._key("operator", self.model.digest, index)
        operator = self.store.get(key)
        if operator is None:
            operator = Stored(build().digest)
            self.store.put(key, operator)
        found = self.store.get(self._part(operator.value, x))
        return None if found is None else Part(arrays=found.arrays, **found.value)

    def related(self, index: int, make: Callable[[], dict[str, float | None]]) -> dict[str, float | None]:
        """The measures of block ``index`` beside its neighbours and at the final state, found, or made and kept."""
        key = self._key("related", self.model.digest, self.ids, index) if self.store else ""
        found = self.store.get(key) if self.store else None
        if found is None:
            found = Stored(make())
            if self.store:
                self.store.put(key, found)
        return found.value

    def keep(self, x: np.ndarray, part: Part) -> None:
        """Keep the part of a block at x; it is on the disk when this returns."""
        if self.store is not None:
            value = {"entry": part.entry, "measures": part.measures, "proofs": part.proofs}
            self.store.put(self._part(part.entry["operator"], x), Stored(value, part.arrays))

    def _part(self, operator: str, x: np.ndarray) -> str:
        return self._key("part", operator, array_digest(x), self.settings)

    def _key(self, *parts: Any) -> str:
        return Store.key(fingerprint(), *parts)


__all__ = ["Kept"]
