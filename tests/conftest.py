"""What several test files share."""

import os
from pathlib import Path

import pytest

SHARED_DATA = Path(os.environ.get("GEOMAMMUT_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the project; a test that needs it is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real data not found at {SHARED_DATA}; set GEOMAMMUT_SHARED_DATA to run this test")
    return SHARED_DATA
