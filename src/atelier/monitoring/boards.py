"""What Prometheus and Grafana need to watch a service, as files."""

from __future__ import annotations

from pathlib import Path

from ..storage import refuse_existing, write_text

_FOLDER = Path(__file__).parent / "provisioning"
NAMES = ("grafana.json", "alerts.yml", "prometheus.yml")


def provision(folder: str | Path = ".", *, overwrite: bool = False) -> list[Path]:
    """Write a dashboard for Grafana, alert rules for Prometheus, and an example of its settings.

    Args:
        folder: where they go; it is made where it is missing.
        overwrite: replace what stands there.

    Returns:
        The paths of the three files.

    Raises:
        StorageError: one of them exists already, no space, or no permission.
    """
    paths = [Path(folder) / name for name in NAMES]
    for path in paths:
        refuse_existing(path, overwrite=overwrite)
    for path in paths:
        write_text(path, (_FOLDER / path.name).read_text("utf-8"))
    return paths
