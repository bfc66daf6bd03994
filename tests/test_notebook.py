"""The guided notebook: it runs, and it is stored with its outputs from the real data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

NAME = "multiclass-classification-for-fashion-product.ipynb"
MOST_BYTES = 3 * 2**20
# An absolute path of Unix or Windows; neither "T-shirt/top" nor "</td>".
MACHINE_PATH = re.compile(r"(?:^|[\s'\"(=])(?:/[A-Za-z][\w.-]*/|[A-Z]:\\)", re.MULTILINE)


@pytest.fixture
def notebook(repository: Path) -> Any:
    import nbformat  # here, for every process that collects tests would wait seconds for it

    return nbformat.read(repository / NAME, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs_of(notebook: Any) -> list[Any]:
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def text_of(output: Any) -> str:
    """All that a reader can read in an output; pictures are left out."""
    texts = [text for kind, text in output.get("data", {}).items() if kind.startswith("text/")]
    return "\n".join([output.get("text", ""), *texts])


def complaints(notebook: Any) -> list[str]:
    """Errors, and whatever was written to standard error: warnings and bars."""
    return [
        output.get("text", output.get("evalue", ""))
        for output in outputs_of(notebook)
        if output.output_type == "error" or output.get("name") == "stderr"
    ]


def test_runs_from_top_to_bottom_on_the_sample(
    notebook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nbclient import NotebookClient

    monkeypatch.setenv("ATELIER_NOTEBOOK_DATA", "fashion-mnist-sample")
    # The kernel's history and connection files go where the tests may write.
    for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()

    assert complaints(notebook) == []
    written = "\n".join(map(text_of, outputs_of(notebook)))
    assert "1,000 training and 500 test images" in written
    assert "exact test of two trained models" in written
    report = tmp_path / "runs" / "notebook" / "report.html"
    assert "</html>" in report.read_text("utf-8")


def test_is_stored_with_the_outputs_of_one_run_on_the_real_data(notebook: Any) -> None:
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    assert "60,000 training and 10,000 test images" in "\n".join(map(text_of, outputs_of(notebook)))
    pictures = [o for o in outputs_of(notebook) if "image/png" in o.get("data", {})]
    assert len(pictures) >= 12


def test_is_stored_without_complaints_or_paths_of_a_machine(
    notebook: Any, repository: Path
) -> None:
    assert complaints(notebook) == []
    for cell in notebook.cells:
        for text in [cell.source, *map(text_of, cell.get("outputs", []))]:
            assert not MACHINE_PATH.search(text), text
    assert (repository / NAME).stat().st_size < MOST_BYTES


def test_writes_the_plain_loop_out_beside_the_library(notebook: Any) -> None:
    code = "\n".join(cell.source for cell in code_cells(notebook))
    plain = ("DataLoader(", "torch.optim.Adam(", "zero_grad()", "loss.backward()", "step()")
    for step in (*plain, "atelier.train(", "atelier.evaluate(", "atelier.compare("):
        assert step in code


def test_can_be_given_other_parameters(notebook: Any) -> None:
    tagged = [c for c in code_cells(notebook) if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1
    assert "ATELIER_NOTEBOOK_DATA" in tagged[0].source
