"""From upstream's wheel to a payload: no build, but an attempt all the same, whose record says what it is."""

from __future__ import annotations

from pybuilder.errors import BuildError
from pybuilder.plan import Plan
from pybuilder.stages import Adapters, Source
from pybuilder.stages.attempt import Built, UnderWay
from pybuilder.timing import timed
from pybuilder.wheel.check import problems


def take_wheel(adapters: Adapters, source: Source, plan: Plan, *, reason: str) -> Built:
    """Make an attempt at a plan whose source is upstream's wheel: nothing is run, the wheel is made canonical.

    Args:
        adapters: The world.
        source: The wheel.
        plan: Its recipe has the wheel's digest, its environment is empty.
        reason: Why it is not built, as the spec says.

    Raises:
        BuildError: It is no sound wheel of this version; the attempt and its log are kept all the same.
    """
    with timed(adapters.listen, name=source.name, version=source.version, phase="prebuilt"):
        attempt = UnderWay.begin(adapters, source, plan, phase="prebuilt")
        with attempt.ending():
            came = f"from {source.origin}" if source.origin else "found in the store"
            attempt.note(
                f"[pybuild: nothing is built: upstream's wheel is used, since its spec says: {reason}]\n"
                f"{source.file.name}\nsha256 {source.sha256}\n{came}\n"
            )
            if wrong := problems(source.file, name=source.name, version=source.version):
                raise BuildError(
                    f"upstream's wheel {source.file.name} is no sound wheel of {source.name} {source.version}: "
                    + "; ".join(wrong),
                    where=str(attempt.kept_log),
                    cure="choose another version, or build it: take [prebuilt] out of its spec",
                )
            return attempt.keep(source.file)
