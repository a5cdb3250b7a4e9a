"""Run a small part of the bake-off on a cluster of two nodes: ``python tools/two_nodes.py``.

Both nodes are on this machine, with one core each. The rows go into ``book/reference/10_making_it_fast.csv``; chapter 10
reads them, and trains one of the networks again without the cluster.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from bakeoff_rows import NAMES, save

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

TABLE = Path(__file__).resolve().parents[1] / "book/reference/10_making_it_fast.csv"
GRID = {"preset": "smoke", "frameworks": ("torch",), "models": ("FCN", "PSPNet", "DeepLabV3", "FPNSegmenter"),
        "data": ("digits",)}  # fmt: skip
STEPS = 40


def work(configuration: dict) -> dict:
    import ray

    from msvision.bakeoff import train

    return train(configuration | {"steps": STEPS}) | {"node": ray.get_runtime_context().get_node_id()}


def main() -> None:
    import ray
    from ray.cluster_utils import Cluster

    from msvision import bakeoff

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        with tempfile.TemporaryDirectory() as folder:
            rows = bakeoff.run(**GRID, output=folder, ray=cluster.address, work=work)
    finally:
        cluster.shutdown()
    nodes = sorted({row["node"] for row in rows})
    lines = [
        {name: row["configuration"][name] for name in NAMES}
        | {"steps": STEPS, "node": nodes.index(row["node"]) + 1, **row["metrics"]}
        | {"processor": bakeoff.processor(), "ray": ray.__version__, **row["versions"]}
        for row in rows
    ]
    save(lines, TABLE)
    print(f"{len(lines)} rows from {len(nodes)} nodes")


if __name__ == "__main__":
    main()
