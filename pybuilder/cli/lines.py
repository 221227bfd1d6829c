"""Events and durations as people read them: plain text, a line each."""

from __future__ import annotations

from pybuilder import events


def event_line(event: events.Event) -> str:
    """An event in one line; empty for what nobody needs to read."""
    match event:
        case events.Chosen():
            return f"buildroot {event.buildroot}, since none is named"
        case events.Preparing():
            return event.what
        case events.Damaged():
            return f"damaged, and set aside as {event.file}: {event.what}"
        case events.Planned():
            packages = "1 package" if event.total == 1 else f"{event.total} packages"
            return f"{packages}, {event.cached} of them cached; about {watch(event.seconds)} to go"
        case events.Started():
            what = {"build": f"build, log {event.detail}", "wait": f"wait, {event.detail}"}
            return f"{event.name} {event.version}: {what.get(event.phase, event.phase)}"
        case events.Waiting(on="review"):
            return f"{event.name} {event.version}: waits for review"
        case events.Waiting():
            return f"{event.name} {event.version}: held back by {event.on}"
        case events.Cached():
            return f"{event.build}: nothing has changed"
        case events.Published():
            return f"{event.build}: published" + ("" if event.signed else ", not signed (pybuild key new)")
        case events.Failed():
            return f"{event.name} {event.version}".strip() + f": failed in {event.phase}"
        case _:
            return ""


def duration(seconds: float) -> str:
    """A duration as short as it can be told: ``12.3 s``, ``4:07 min``, ``1:02:33 h``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{watch(seconds)} {'h' if seconds >= 3600 else 'min'}"


def watch(seconds: float) -> str:
    """A duration as a stopwatch shows it, in whole seconds: ``0:07``, ``4:07``, ``1:02:33``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
