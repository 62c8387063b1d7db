"""Plain files are answered quickly: nothing heavy is loaded for them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from tests.diagnose.conftest import gaussian

HEAVY = ("torch", "torchvision", "sklearn", "mlflow", "dvc", "matplotlib", "jinja2", "pandas", "timm", "ruamel")


def test_plain_files_load_nothing_heavy(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", gaussian())
    code = (
        "import sys\n"
        "from collapselab.cli import main\n"
        f"sys.argv = ['collapselab', 'diagnose', {str(tmp_path / 'f.npy')!r}, '--draws', '0']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    printed = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "[]"
