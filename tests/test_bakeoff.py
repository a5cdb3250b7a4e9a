"""``python -m msvision run bakeoff``: faults are injected into cheap runs, and a few runs are real."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from msvision import __main__, bakeoff
from msvision.data.download import find

LABELS = ("data", "framework", "model", "seed")
FIVE = ("FCN", "PSPNet", "DeepLabV3", "DeepLabV3Plus", "FPNSegmenter")  # where it does not matter which


def label(configuration):
    return "-".join(str(configuration[key]) for key in LABELS)


def without_cost(rows):
    return [{key: value for key, value in row.items() if key != "cost"} for row in rows]


# -- runs that fail --------------------------------------------------------------------------------------------------


def cheap(configuration):
    cost = {"train_seconds": time.time(), "image_seconds": 0.001, "memory": 1_000_000, "gpu_memory": None}
    score = random.Random(label(configuration)).random()
    return {"metrics": {"mean_iou": score, "iou_sky": None}, "parameters": 7, "cost": cost}


def faulty(configuration):
    if configuration["model"] == "PSPNet":
        raise ValueError("no good\nand more about it")
    if configuration["model"] == "DeepLabV3":
        os._exit(3)  # as a crash in native code
    return cheap(configuration)


def test_a_run_that_fails_is_recorded_stops_no_other_and_is_tried_again(tmp_path):
    grid = {"preset": "smoke", "frameworks": ("torch",), "models": FIVE, "data": ("digits",)}
    options = {**grid, "output": tmp_path, "workers": 2}
    rows = bakeoff.run(**options, work=faulty)
    errors = {row["configuration"]["model"]: row["error"] for row in rows if "error" in row}
    assert errors.keys() == {"PSPNet", "DeepLabV3"}
    assert errors["PSPNet"] == "ValueError: no good"
    assert errors["DeepLabV3"].startswith("BrokenProcessPool: ")
    assert "in faulty" in next(row["traceback"] for row in rows if row["configuration"]["model"] == "PSPNet")
    lines = {line["model"]: line for line in bakeoff.summary(rows)["digits"]}
    assert lines["PSPNet"] == {"framework": "torch", "model": "PSPNet", "runs": "0 of 1"}
    assert lines["FCN"]["runs"] == "1 of 1" and lines["FCN"]["parameters"] == 7

    again = bakeoff.run(**options, work=cheap)
    assert not [row for row in again if "error" in row]
    for before, after in zip(rows, again):
        assert "error" in before or before == after  # its time too: it did not run again


def test_another_configuration_is_another_run(tmp_path, monkeypatch):
    options = {"preset": "smoke", "models": ("FCN",), "data": ("digits",), "output": tmp_path}
    before = bakeoff.run(**options, work=cheap)
    assert bakeoff.run(**options, work=cheap) == before
    monkeypatch.setitem(bakeoff.PRESETS["smoke"]["digits"], "steps", 4)
    after = bakeoff.run(**options, work=cheap)
    assert [row["configuration"]["steps"] for row in after] == [4, 4]
    assert all(new["cost"] != old["cost"] for new, old in zip(after, before))


def test_the_command_prints_a_table_and_says_what_failed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bakeoff, "train", faulty)
    command = ["run", "bakeoff", "--preset", "smoke", "--frameworks", "torch", "--data", "digits", "camvid"]
    assert __main__.main([*command, "--models", "FCN", "PSPNet", "--seeds", "4", "--output", str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:3] == ["digits", lines[2]] and lines[2].split()[:4] == ["framework", "model", "runs", "mean_iou"]
    assert "failed: digits torch PSPNet 4: ValueError: no good" in lines
    assert "failed: camvid torch PSPNet 4: ValueError: no good" in lines
    assert __main__.main([*command, "--models", "FCN", "--seeds", "4", "--output", str(tmp_path)]) == 0


def test_camvid_is_left_out_aloud_where_it_is_not(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bakeoff, "train", cheap)
    monkeypatch.setattr("msvision.data.download.find", lambda name: None)
    assert __main__.main(["run", "bakeoff", "--preset", "smoke", "--models", "FCN", "--output", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("camvid is left out") and "python -m msvision data get camvid" in out
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["digits-tensorflow-FCN-0", "digits-torch-FCN-0"]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"preset": "large"}, "preset must be"),
        ({"models": ("UNet",)}, "models must be"),
        ({"frameworks": ("jax",)}, "frameworks must be"),
        ({"data": ("imagenet",)}, "data must be"),
        ({"seeds": (-1,)}, "seeds must be"),
        ({"workers": 0}, "workers must be"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_input(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        bakeoff.run(**{"preset": "smoke", "output": tmp_path, "work": cheap} | options)


def test_a_cluster_that_does_not_answer(tmp_path):
    pytest.importorskip("ray")
    with pytest.raises(ValueError, match=r"ray must be the address .* got '127\.0\.0\.1:1'"):
        bakeoff.run("smoke", output=tmp_path, ray="127.0.0.1:1", work=cheap)
    assert not any(tmp_path.iterdir())


def test_without_ray_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ModuleNotFoundError, match=r'a cluster needs Ray: pip install "msvision\[ray\]"'):
        bakeoff.run("smoke", output=tmp_path, ray="auto", work=cheap)


# -- killed at any moment --------------------------------------------------------------------------------------------

SCRIPT = """
import os, random, sys, time
from pathlib import Path
from msvision import bakeoff

folder = Path(sys.argv[1])

def work(configuration):
    name = "-".join(str(configuration[key]) for key in ("data", "framework", "model", "seed"))
    with open(folder / "log", "a") as log:
        log.write(f"{name} {os.getpid()} {(folder / 'rows' / f'{name}.json').exists()}\\n")
    time.sleep(0.3)
    return {"metrics": {"mean_iou": random.Random(name).random()}, "parameters": 7, "cost": {"memory": time.time()}}

if __name__ == "__main__":
    models = ("FCN", "PSPNet", "DeepLabV3", "DeepLabV3Plus", "FPNSegmenter")
    bakeoff.run("smoke", models=models, output=folder / "rows", workers=2, work=work)
"""


def started(folder):
    """For each run that began: its name, its process, and whether its row was there already."""
    log = folder / "log"
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs /proc to see processes")
def test_killed_ten_times_the_rows_are_those_of_an_undisturbed_run(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    command = [sys.executable, str(script)]
    subprocess.run([*command, str(whole)], check=True, capture_output=True, timeout=120)

    dice, kills = random.Random(20), 10
    for _ in range(kills):
        process = subprocess.Popen([*command, str(killed)], stderr=subprocess.DEVNULL)
        wanted = len(started(killed)) + dice.randint(0, 2)  # what a machine gets done in a time varies too much
        wait_for(lambda wanted=wanted: len(started(killed)) >= wanted)
        time.sleep(dice.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        wait_for(lambda: not any(is_running(pid) for _, pid, _ in started(killed)))  # they end with it
    subprocess.run([*command, str(killed)], check=True, capture_output=True, timeout=120)

    rows = {
        folder: {path.name: json.loads(path.read_text()) for path in (folder / "rows").glob("*.json")}
        for folder in (whole, killed)
    }
    assert len(rows[whole]) == 20
    assert rows[killed].keys() == rows[whole].keys()
    for name, row in rows[whole].items():
        assert without_cost([rows[killed][name]]) == without_cost([row])
    assert {there for _, _, there in started(killed)} == {"False"}  # no run was repeated
    assert 20 <= len(started(killed)) <= 20 + 2 * kills  # and only those in flight were lost


STOPPED = """
import signal, sys, time
from pathlib import Path
from msvision import __main__, bakeoff

folder = Path(sys.argv[1])
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests may run where it is ignored

def work(configuration):
    with open(folder / "log", "a") as log:
        log.write(configuration["framework"] + "\\n")
    while configuration["framework"] == "tensorflow":
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            pass  # as native code, which does not look for it
    return {"metrics": {"mean_iou": 0.5}, "parameters": 7, "cost": {"memory": 1}}

if __name__ == "__main__":
    bakeoff.train = work
    options = "--preset smoke --models FCN --data digits --workers 1 --output".split()
    sys.exit(__main__.main(["run", "bakeoff", *options, str(folder / "rows")]))
"""


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs groups of processes")
def test_ctrl_c_ends_it_at_once_and_without_a_traceback(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(STOPPED)
    command = [sys.executable, str(script), str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        wait_for(lambda: len(started(tmp_path)) == 2)
        os.killpg(process.pid, signal.SIGINT)
        _, complaint = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130, complaint
    assert complaint.splitlines()[-1] == "stopped; the same command goes on from here"
    assert "Traceback" not in complaint and "Fatal" not in complaint
    assert [path.name for path in (tmp_path / "rows").iterdir()] == ["digits-torch-FCN-0.json"]


@pytest.mark.slow
def test_a_cluster_that_loses_a_node(tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        doomed = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        lost, log = doomed.node_id, tmp_path / "log"

        def work(configuration):  # by value: the nodes do not know this file
            import ray

            node = ray.get_runtime_context().get_node_id()
            name = "-".join(str(configuration[key]) for key in ("framework", "model"))
            with open(log, "a") as file:
                file.write(f"{name} {os.getpid()} {node}\n")
            time.sleep(120 if node == lost else 0.3)
            if configuration["model"] == "PSPNet":
                raise ValueError("no good")
            return {"metrics": {"mean_iou": len(name)}, "parameters": 7, "cost": {"memory": 1}}

        def lose() -> None:
            wait_for(lambda: log.exists() and lost in log.read_text(), 60)
            cluster.remove_node(doomed, allow_graceful=False)

        with ThreadPoolExecutor(1) as pool:
            losing = pool.submit(lose)
            grid = {"preset": "smoke", "models": FIVE, "data": ("digits",)}
            rows = bakeoff.run(**grid, output=tmp_path / "rows", ray=cluster.address, work=work)
            losing.result()
    finally:
        cluster.shutdown()
    failed = [row for row in rows if "error" in row]
    assert [row["configuration"]["model"] for row in failed] == ["PSPNet", "PSPNet"]
    assert failed[0]["error"] == "ValueError: no good"
    assert [row["metrics"]["mean_iou"] for row in rows if "error" not in row] == [9, 15, 19, 18, 14, 20, 24, 23]
    begun = [line.split() for line in log.read_text().splitlines()]
    again = {name for name, _, node in begun if node == lost}
    assert again and len(begun) == 10 + len(again)  # what the lost node had begun was done by the other
    assert {name for name, _, node in begun if node != lost} == {name for name, _, _ in begun}
    assert len({pid for _, pid, _ in begun}) == len(begun)  # a process for each run


# -- memory ----------------------------------------------------------------------------------------------------------


def test_memory_is_that_of_the_process_alone():
    code = (
        "from msvision.bakeoff import peak_memory; before = peak_memory()\n"
        "x = bytearray(200_000_000); del x; print(before, peak_memory())"
    )
    ballast = np.ones(50_000_000)  # 400 MB that are not the other's
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    before, after = map(int, result.stdout.split())
    assert before < ballast.nbytes / 2
    assert 190_000_000 < after - before < 260_000_000


# -- the networks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model, pretrained", [*((model, False) for model in bakeoff.MODELS), ("FPNSegmenter", True)])
def test_both_frameworks_have_the_same_networks(model, pretrained):
    import tensorflow as tf
    import torch

    from msvision.port import port
    from msvision.tensorflow import _bakeoff as tensorflow_side
    from msvision.torch import _bakeoff as torch_side

    widths = None if pretrained else (4, 6, 8, 10)
    options = {"size": (49, 67), "in_channels": 3, "classes": 5, "widths": widths, "head": 8, "rates": (1, 2)}
    networks = [side.build(model, **options) for side in (torch_side, tensorflow_side)]
    assert torch_side.parameters(networks[0]) == tensorflow_side.parameters(networks[1])
    port(*networks)
    images = np.random.default_rng(0).random((2, 49, 67, 3), np.float32)
    with torch.no_grad():
        wanted = networks[0].eval()(torch.from_numpy(images).movedim(-1, 1)).movedim(1, -1).numpy()
    actual = networks[1](tf.constant(images)).numpy()
    assert wanted.shape == (2, 49, 67, 5)
    np.testing.assert_allclose(actual, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
    for side, network in zip((torch_side, tensorflow_side), networks):
        classes = side.classifier(network)(images)
        assert (classes == wanted.argmax(-1)).mean() > 0.999


@pytest.mark.parametrize("framework", bakeoff.FRAMEWORKS)
def test_pretrained_features_are_not_trained(framework):
    import importlib

    msv = importlib.import_module(f"msvision.{framework}")
    side = importlib.import_module(f"msvision.{framework}._bakeoff")
    network = side.build("FPNSegmenter", (33, 40), 3, 4, None, 8, (1, 2))
    before, head = numbers(network.backbone.backbone), numbers(network.classifier)
    images = np.random.default_rng(0).random((4, 33, 40, 3), np.float32)
    msv.fit(network, (images, np.zeros((4, 33, 40), int)), steps=2, batch_size=2, progress=False)
    for old, new in zip(before, numbers(network.backbone.backbone)):
        np.testing.assert_array_equal(new, old)
    assert all((new != old).any() for old, new in zip(head, numbers(network.classifier)))


def numbers(module):
    if hasattr(module, "state_dict"):
        return [value.numpy().copy() for value in module.state_dict().values()]
    return [variable.numpy() for variable in module.variables]


# -- real runs -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_same_runs_give_the_same_rows(tmp_path, monkeypatch, capfd):
    options = {"preset": "smoke", "models": ("FCN",), "data": ("digits",)}
    once = bakeoff.run(**options, output=tmp_path / "once")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")  # as it is where nobody says otherwise
    again = bakeoff.run(**options, output=tmp_path / "again")
    assert "oneDNN" not in capfd.readouterr().err
    assert [row.get("error") for row in once] == [None, None]
    assert without_cost(once) == without_cost(again)
    assert once[0]["parameters"] == once[1]["parameters"] > 0
    for row in once:
        assert row["metrics"].keys() == {"mean_iou", "small_iou", "medium_iou", "large_iou"}
        assert 0 <= row["metrics"]["mean_iou"] <= 1
        cost = row["cost"]
        assert cost["train_seconds"] > cost["image_seconds"] > 0
        assert cost["memory"] > cost["memory_loaded"] > 50_000_000
        assert {"python", "msvision", row["configuration"]["framework"]} <= row["versions"].keys()
        assert row["hardware"]["cores"] == os.cpu_count()


@pytest.mark.slow
@pytest.mark.skipif(find("camvid") is None, reason="CamVid is not on this machine: python -m msvision data get camvid")
def test_camvid_in_both_frameworks(tmp_path):
    rows = bakeoff.run("smoke", models=("FPNSegmenter",), data=("camvid",), output=tmp_path)
    assert [row.get("error") for row in rows] == [None, None]
    for row in rows:
        assert {"mean_iou", "thin_iou", "large_iou", "iou_sky", "iou_cyclist"} <= row["metrics"].keys()
        assert 0 < row["metrics"]["mean_iou"] <= 1
