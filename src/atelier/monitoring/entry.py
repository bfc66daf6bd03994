"""The public function that looks for drift in a prediction log."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..extras import require
from ..storage import refuse_existing
from .findings import Drift

if TYPE_CHECKING:
    from ..data import Dataset
    from ..runs import Run
    from .reference import Reference


def drift(
    log: str | Path,
    reference: Reference | Run | str | Path,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    model: str | None = None,
    version: str | None = None,
    data: Dataset | str | Path | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    device: str = "auto",
    progress: bool = False,
) -> Drift:
    """Whether what a service was asked, or what it answered, differs from a reference.

    A dozen tests of the answers, of what the network sees and of how the pictures look, at 5 % for
    all of them together: where nothing has changed, one search in twenty or fewer finds something.

    Args:
        log: the address of the prediction log, as `atelier.serve` was given it, or its file.
        reference: what the answers should look like; see `reference_of`.
        since: predictions from this moment on; one without a time zone is in UTC.
        until: predictions before this moment.
        model: whose, where the log has several.
        version: of the model; None is that of the reference, or else the newest.
        data: what the reference is made of, where it is missing and the run does not name it.
        out: an HTML file to write the report to.
        overwrite: replace what stands at `out`.
        device: of a run that must make its reference.
        progress: show bars on standard error.

    Raises:
        LogError: the log cannot be read, or has too few or other predictions.
        RunError: the reference cannot be used.
        ExportError: likewise.
        DataError: a reference is to be made, and there are no data.
        ConfigError: no moment is between `since` and `until`.
        StorageError: something stands at `out`, no space, or no permission.
        ExtraError: a library is not installed.
    """
    since, until = _moment(since), _moment(until)
    if since is not None and until is not None and since >= until:
        raise ConfigError("there is no time between since and until", got=f"{since} and {until}")
    for module in ("sqlalchemy", "scipy", *(("matplotlib", "jinja2") if out else ())):
        require(module, extra="monitor")
    if out is not None:
        refuse_existing(Path(out), overwrite=overwrite)
    from .comparison import compared
    from .reference import Reference, reference_of
    from .store import Store
    from .traffic import read_traffic

    store = Store(str(log))
    try:
        with store.reading():  # a log that cannot be read is told before a reference is made
            pass
        if not isinstance(reference, Reference):
            reference = reference_of(reference, data, device=device, progress=progress)
        traffic = read_traffic(
            store, reference, since=since, until=until, model=model, version=version
        )
    finally:
        store.close()
    result = compared(reference, traffic, progress=progress)
    if out is not None:
        from .page import write_drift_report

        write_drift_report(result, reference, traffic, out)
    return result


def _moment(time: datetime | None) -> datetime | None:
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time
