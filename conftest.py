"""Settings of all tests."""

from importlib.util import find_spec

import pytest
from hypothesis import settings

# How long an example takes says what else the machine does, not whether the code is right.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

EXTRAS = {"tt_profile.onnx": "onnxruntime"}  # modules whose examples need what an extra brings


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip examples in docstrings that need an extra which is not installed."""
    for item in items:
        for module, needed in EXTRAS.items():
            example = isinstance(item, pytest.DoctestItem) and item.name.startswith(module)
            if example and find_spec(needed) is None:
                item.add_marker(pytest.mark.skip(reason=f"needs {needed}: see {module}"))
