"""How much a pass may build: so many attempts, and none that begins too late."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pybuilder.errors import PostponedError
from pybuilder.tree import Package, package_id


@dataclass(kw_only=True, slots=True)
class Budget:
    """A budget; any thread may ask it.

    Attributes:
        max_builds: Attempts that may begin; None for any number.
        max_seconds: Seconds from ``began`` after which none begins; None for no end. What runs then is not ended.
        began: When the pass began, by the same clock.
        clock: Seconds of a clock that never jumps.
    """

    max_builds: int | None = None
    max_seconds: float | None = None
    began: float = field(default_factory=time.monotonic)
    clock: Callable[[], float] = time.monotonic
    started: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, package: Package) -> None:
        """Count an attempt that is about to begin.

        Raises:
            PostponedError: There is no more room for it.
        """
        with self._lock:
            if self.is_spent:
                raise PostponedError(f"{package_id(package)} is built by a later pass")
            self.started += 1

    @property
    def is_spent(self) -> bool:
        """Whether no attempt may begin any more."""
        late = self.max_seconds is not None and self.clock() - self.began >= self.max_seconds
        return late or (self.max_builds is not None and self.started >= self.max_builds)
