"""Settings that must stand before a framework is imported, and one profile for all property tests."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("MPLBACKEND", "agg")

import measured
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "msvision",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("msvision")


def pytest_addoption(parser):
    parser.addoption("--write-measured", action="store_true", help="write the table of the API reference (all tests)")


def pytest_sessionfinish(session, exitstatus):
    if hasattr(session.config, "workeroutput"):  # one of several processes
        session.config.workeroutput["measured"] = measured.rows()
    elif session.config.getoption("--write-measured") and exitstatus == 0:
        measured.write()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    measured.merge(getattr(node, "workeroutput", {}).get("measured", []))
