"""The bake-off: networks for segmentation on one backbone, one budget and the same data, in both frameworks (chapter 9).

A run is one framework, model, seed and data set. It has a process of its own, so that its memory is its own, and becomes
a row, a file of JSON that is written whole or not at all. Killed at any moment and started again, the bake-off loses
the runs in flight and repeats nothing. On a CPU the same run gives the same row apart from its ``"cost"``, to the last bit.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import multiprocessing
import os
import platform
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from msvision import __version__, checks, geometry, metrics
from msvision.training import written_whole

FRAMEWORKS = ("torch", "tensorflow")
STEPS = {
    "FPN+ConcatFusion": ("FPN", "ConcatFusion"),
    "FPN+SumFusion": ("FPN", "SumFusion"),
    "FPN+WeightedFusion": ("FPN", "WeightedFusion"),
    "FPN+ChannelAttentionFusion": ("FPN", "ChannelAttentionFusion"),
    "FPN+CrossLevelAttention": ("FPN", "CrossLevelAttention", "SumFusion"),
    "BiFPN+SumFusion": ("BiFPN", "SumFusion"),
}
"""Names of the package, in either framework: what takes the levels of the backbone, one after the other, to one map."""
MODELS = (
    "FCN", "GlobalContext", "PSPNet", "DeepLabV3", "DeepLabV3Plus", "FPNSegmenter", *STEPS,
    "HalfSize+FPNSegmenter", "LearnableResizer+FPNSegmenter",
)  # fmt: skip
"""The heads. ``"FCN"`` is that of ``FPNSegmenter`` on the last level alone: what the others have to be better than.
``"GlobalContext"`` is ``PSPNet`` with one bin. A ``+`` joins what makes the levels and what makes one map of them, or, in
the last two, what halves the images, bilinearly with antialiasing or learned, and the network that sees them so."""
DATA = ("digits", "camvid")

PRESETS = {
    "smoke": {
        "seeds": {"digits": (0,), "camvid": (0,)},
        "digits": {
            "size": 48, "train": 32, "diameters": (8, 40), "test": 4,
            "tests": {"small": (8, 10), "medium": (18, 22), "large": (36, 42)},
            "widths": (8, 8, 16, 16), "head": 8, "rates": (1, 2, 3),
            "steps": 3, "batch_size": 4, "precision": "float32", "threads": 1,
        },
        "camvid": {
            "size": (45, 60), "train": 8, "test": 4, "scales": (1, 1),
            "head": 8, "rates": (1, 2, 4),
            "steps": 3, "batch_size": 2, "precision": "float32", "threads": 1,
        },
    },
    "cpu": {
        "seeds": {"digits": (0, 1, 2, 3, 4), "camvid": (0, 1, 2)},
        "digits": {
            "size": 64, "train": 2500, "diameters": (12, 56), "test": 200,
            "tests": {"small": (12, 16), "medium": (22, 30), "large": (44, 56)},
            "widths": (16, 24, 32, 48), "head": 32, "rates": (1, 2, 3),
            "steps": 800, "batch_size": 16, "precision": "float32", "threads": 1,
        },
        "camvid": {
            "size": (144, 192), "train": 367, "test": 101, "scales": (1, 1),
            "head": 48, "rates": (1, 2, 4),
            "steps": 150, "batch_size": 8, "precision": "float32", "threads": 1,
        },
    },
    "gpu": {
        "seeds": {"digits": (0, 1, 2, 3, 4), "camvid": (0, 1, 2)},
        "digits": {
            "size": 192, "train": 10000, "diameters": (14, 160), "test": 500,
            "tests": {"small": (14, 18), "medium": (40, 56), "large": (120, 160)},
            "widths": (32, 64, 128, 256), "head": 128, "rates": (2, 4, 6),
            "steps": 6000, "batch_size": 32, "precision": "mixed", "threads": None,
        },
        "camvid": {
            "size": (360, 480), "train": 367, "test": 101, "scales": (0.75, 1.5),
            "head": 128, "rates": (2, 4, 6),
            "steps": 3000, "batch_size": 8, "precision": "mixed", "threads": None,
        },
    },
}  # fmt: skip
"""How much is computed. One thread for each run on a CPU makes it repeatable, whatever else runs beside it."""


# -- the grid --------------------------------------------------------------------------------------------------------


def run(
    preset: str = "cpu",
    frameworks: tuple[str, ...] = FRAMEWORKS,
    models: tuple[str, ...] = MODELS,
    seeds: tuple[int, ...] | None = None,
    data: tuple[str, ...] = DATA,
    output: str | os.PathLike | None = None,
    workers: int | None = None,
    ray: str | None = None,
    work: Callable[[dict], dict] | None = None,
) -> list[dict]:
    """Do all runs of a grid that are not done yet, and return the rows of all.

    Parameters
    ----------
    preset : {"smoke", "cpu", "gpu"}
        How much is computed: in a few minutes to see that all works, on a few cores, or on a GPU.
    frameworks, models, data
        Which of :data:`FRAMEWORKS`, :data:`MODELS` and :data:`DATA`.
    seeds
        Of the first parameters, the order of samples, and the digits' training scenes; by default those of the preset.
    output
        Folder of the rows, one file each; by default ``_build/bakeoff/<preset>``.
    workers
        Runs at once on this machine. By default as many as there are cores, but one if the preset is "gpu". Times are to
        be compared only if no run waits for another: with as many cores as workers, or one worker.
    ray
        Address of a Ray cluster that the runs are spread over, such as "auto" or "10.0.0.1:6379". Each run takes a core,
        and a GPU where the cluster has any. ``msvision`` has to be installed on its nodes.
    work
        What makes a configuration a row, by default :func:`train`.

    Returns
    -------
    list of dict
        A row for each run, in the order of the grid: its ``"configuration"``, and what :func:`train` returns or, if the run
        failed, its ``"error"``, in one line, and the ``"traceback"``. A run that failed is tried again the next time.

    Raises
    ------
    ValueError
        If an argument is not one of those above, or nothing answers at ``ray``.
    ModuleNotFoundError
        If ``ray`` is given and Ray is not installed.

    Notes
    -----
    It starts processes, so that a script calls it below ``if __name__ == "__main__":``. Notebooks need not.
    """
    grid = configurations(preset, frameworks, models, seeds, data)
    folder = Path(output or Path("_build", "bakeoff", preset))
    todo = [configuration for configuration in grid if not _finished(folder, configuration)]
    if ray is not None:
        arriving = _on_ray(ray, work or train, todo)
    else:
        workers = (1 if preset == "gpu" else os.cpu_count()) if workers is None else workers
        arriving = _here(geometry.check_count("workers", workers), work or train, todo)

    from tqdm.auto import tqdm

    with tqdm(total=len(grid), initial=len(grid) - len(todo), desc="bake-off", unit="run") as bar:
        for row in arriving:
            with written_whole(_file(folder, row["configuration"])) as place:
                place.write_text(json.dumps(row, indent=1), encoding="utf8")
            bar.update()
    return [_read(_file(folder, configuration)) for configuration in grid]


def configurations(
    preset: str,
    frameworks: tuple[str, ...] = FRAMEWORKS,
    models: tuple[str, ...] = MODELS,
    seeds: tuple[int, ...] | None = None,
    data: tuple[str, ...] = DATA,
) -> list[dict]:
    """All that decides each run of a grid, in plain numbers and words.

    Examples
    --------
    >>> grid = configurations("smoke", models=("PSPNet", "FPNSegmenter"), seeds=(0, 1), data=("digits",))
    >>> len(grid), grid[0]["framework"], grid[0]["model"], grid[0]["seed"], grid[0]["steps"]
    (8, 'torch', 'PSPNet', 0, 3)
    """
    checks.check_choice("preset", preset, tuple(PRESETS))
    asked = {"frameworks": (frameworks, FRAMEWORKS), "models": (models, MODELS), "data": (data, DATA)}
    for name, (chosen, known) in asked.items():
        for choice in chosen:
            checks.check_choice(name, choice, known)
    for seed in seeds or ():
        geometry.check_count("seeds", seed, least=0)
    grid = [
        {"data": of, "framework": framework, "model": model, "seed": seed, "preset": preset, "msvision": __version__}
        | PRESETS[preset][of]
        for of in dict.fromkeys(data)
        for seed in dict.fromkeys(PRESETS[preset]["seeds"][of] if seeds is None else seeds)
        for framework in dict.fromkeys(frameworks)
        for model in dict.fromkeys(models)
    ]
    return json.loads(json.dumps(grid))  # as they come back from a file


def summary(rows: list[dict]) -> dict[str, list[dict]]:
    """For each data set, a line for each framework and model: means over the seeds that did not fail.

    Examples
    --------
    >>> which = {"data": "digits", "framework": "torch", "model": "FCN"}
    >>> cost = {"train_seconds": 40.0, "image_seconds": 0.002, "memory": 300e6, "gpu_memory": None}
    >>> rows = [{"configuration": which | {"seed": seed}, "metrics": {"mean_iou": 0.5 + seed / 10},
    ...          "parameters": 75_000, "cost": cost} for seed in (0, 1)]
    >>> summary([*rows, {"configuration": which | {"seed": 2}, "error": "ValueError: no"}])["digits"]
    [{'framework': 'torch', 'model': 'FCN', 'runs': '2 of 3', 'mean_iou': 0.55, 'parameters': 75000, 'train s': 40.0, 'image ms': 2.0, 'memory MB': 300}]
    """  # noqa: E501
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row["configuration"][key] for key in ("data", "framework", "model")), []).append(row)
    tables = {}
    for (data, framework, model), of_group in groups.items():
        line = {"framework": framework, "model": model}
        good = [row for row in of_group if "error" not in row]
        line["runs"] = f"{len(good)} of {len(of_group)}"
        if good:
            for name in good[0]["metrics"]:
                if not name.startswith("iou_"):
                    line[name] = round(_mean(row["metrics"][name] for row in good), 3)
            line["parameters"] = good[0]["parameters"]
            for name, key, unit, digits in COSTS:
                if good[0]["cost"][key] is not None:
                    line[name] = round(_mean(row["cost"][key] for row in good) / unit, digits)
        tables.setdefault(data, []).append(line)
    return tables


COSTS = (  # as what, from what, in which unit, to how many digits
    ("train s", "train_seconds", 1, 1),
    ("image ms", "image_seconds", 1e-3, 1),
    ("memory MB", "memory", 1e6, None),
    ("GPU MB", "gpu_memory", 1e6, None),
)


def _mean(values) -> float:
    values = [value for value in values if value is not None]
    return sum(values) / len(values) if values else math.nan


def _file(folder: Path, configuration: dict) -> Path:
    names = (configuration[key] for key in ("data", "framework", "model", "seed"))
    return folder / f"{'-'.join(map(str, names))}.json"


def _read(file: Path) -> dict:
    return json.loads(file.read_text(encoding="utf8"))


def _finished(folder: Path, configuration: dict) -> bool:
    try:
        row = _read(_file(folder, configuration))
    except (FileNotFoundError, ValueError):  # or it is no JSON, since somebody wrote to it
        return False
    return "error" not in row and row["configuration"] == configuration


# -- where runs happen -----------------------------------------------------------------------------------------------


def _here(workers: int, work: Callable, todo: list[dict]) -> Iterator[dict]:
    """Rows as they are ready, each from a process of its own on this machine."""
    pool = ThreadPoolExecutor(workers)  # threads that do nothing but wait for their processes
    try:
        for future in as_completed([pool.submit(_in_a_process, work, configuration) for configuration in todo]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _in_a_process(work: Callable, configuration: dict) -> dict:
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, fresh, _end_with_parent) as process:
        try:
            return process.submit(_attempt, work, configuration).result()
        except Exception as error:  # _attempt catches what Python can catch
            return _failure(configuration, error)


def _end_with_parent() -> None:
    """See to it that this process does not outlive the one that started it, even if that is killed."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # as in the background of a shell
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl+C ends both, at once

    def wait() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _on_ray(address: str, work: Callable, todo: list[dict]) -> Iterator[dict]:
    """Rows as they are ready, from all over a cluster; a run whose node is lost is tried again on another."""
    try:
        import ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise ModuleNotFoundError('a cluster needs Ray: pip install "msvision[ray]"', name="ray") from None
    _check_reachable(address)
    ray.init(address=address, log_to_driver=False)
    try:
        gpus = 1 if ray.cluster_resources().get("GPU") else 0
        attempt = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=3, max_calls=1)(_attempt)  # a process each
        pending = {attempt.remote(work, configuration): configuration for configuration in todo}
        while pending:
            (ready,), _ = ray.wait(list(pending))
            configuration = pending.pop(ready)
            try:
                yield ray.get(ready)
            except ray.exceptions.RayError as error:
                yield _failure(configuration, error)
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raise unless somebody listens there; Ray itself would try for many minutes."""
    where = urlsplit(address if "://" in address else f"//{address}")
    if where.port is None:  # "auto", "local"
        return
    try:
        socket.create_connection((where.hostname, where.port), timeout=10).close()
    except OSError as error:
        raise ValueError(f"ray must be the address of a cluster that answers, got {address!r}: {error}") from None


def _attempt(work: Callable, configuration: dict) -> dict:
    try:
        return {"configuration": configuration} | work(configuration)
    except Exception as error:
        return _failure(configuration, error)


def _failure(configuration: dict, error: Exception) -> dict:
    return {
        "configuration": configuration,
        "error": f"{type(error).__name__}: {error}".splitlines()[0],
        "traceback": "".join(traceback.format_exception(error)),
    }


# -- a run -----------------------------------------------------------------------------------------------------------


def train(configuration: dict) -> dict:
    """Train and measure one network. It is meant to be called once in a process, which it sets up.

    Parameters
    ----------
    configuration
        One of :func:`configurations`.

    Returns
    -------
    dict
        ``"parameters"``, how many were trained; ``"metrics"``, from 0 to 1, or ``None`` where nothing counted; ``"cost"``:
        seconds of training and of one image alone, and the most bytes of memory that the process had, after the framework
        was loaded and in all, and of GPU memory; ``"versions"`` and ``"hardware"``.
    """
    framework, threads, seed = (configuration[key] for key in ("framework", "threads", "seed"))
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    with _silent():  # TensorFlow says there that it uses oneDNN, through the progress bar
        msv = importlib.import_module(f"msvision.{framework}")
    dialect = importlib.import_module(f"msvision.{framework}._bakeoff")
    dialect.prepare(seed, threads)
    loaded = peak_memory()

    samples, tests, names, ignored, augment = {"digits": _digits, "camvid": _camvid}[configuration["data"]](
        configuration
    )
    channels, widths = samples[0].shape[-1], configuration.get("widths")
    head, rates = configuration["head"], tuple(configuration["rates"])
    size = samples[0].shape[1:3]
    network = dialect.build(configuration["model"], size, channels, len(names), widths and tuple(widths), head, rates)
    given = {key: configuration[key] for key in ("steps", "batch_size", "precision", "seed")}
    loss = partial(msv.cross_entropy, ignore=ignored)
    started = time.perf_counter()
    msv.fit(network, samples, loss=loss, augment=augment, progress=False, **given)
    trained = time.perf_counter() - started

    confusions = {}
    for test, (images, labels) in tests.items():
        predictions = msv.predict(network, images, configuration["batch_size"])
        confusions[test] = metrics.confusion_matrix(labels, predictions, len(names), ignored)
    found = _digits_metrics(confusions) if configuration["data"] == "digits" else _camvid_metrics(confusions, names)
    image_seconds = _image_seconds(dialect.classifier(network), next(iter(tests.values()))[0])
    gpu, gpu_memory = dialect.gpu()
    return {
        "parameters": dialect.parameters(network),
        "metrics": {name: None if math.isnan(value) else float(value) for name, value in found.items()},
        "cost": {
            "train_seconds": trained,
            "image_seconds": image_seconds,
            "memory_loaded": loaded,
            "memory": peak_memory(),
            "gpu_memory": gpu_memory,
        },
        "versions": _versions(framework),
        "hardware": {"processor": processor(), "cores": os.cpu_count(), "gpu": gpu},
    }


def _digits(configuration: dict) -> tuple:
    """Scenes to train on, which depend on the seed, and to test on, which do not: one object each, of three sizes."""
    from msvision.data import digit_scenes

    size, count = configuration["size"], configuration["test"]
    scenes = digit_scenes(configuration["train"], configuration["seed"], "train", size, configuration["diameters"])
    tests = {
        name: digit_scenes(count, 0, "val", size, diameters, objects=(1, 1))[:]
        for name, diameters in configuration["tests"].items()
    }
    return scenes[:], tests, scenes.names, None, None


def _digits_metrics(confusions: dict) -> dict:
    """Of the signs; the background is easy."""
    found = {f"{test}_iou": _mean_of(metrics.iou(confusion)[1:]) for test, confusion in confusions.items()}
    return {"mean_iou": _mean_of(found.values()), **found}


def _camvid(configuration: dict) -> tuple:
    from msvision.data import augment, camvid

    parts = []
    for split, key in (("train", "train"), ("val", "test")):
        photographs = camvid(split, tuple(configuration["size"]))
        count = min(configuration[key], len(photographs))
        chosen = np.linspace(0, len(photographs) - 1, count).round().astype(int)  # neighbours are alike
        parts.append(tuple(map(np.stack, zip(*(photographs[i] for i in chosen)))))
    samples, test = parts
    augment = partial(augment, scales=tuple(configuration["scales"]))
    return samples, {"val": test}, photographs.names, photographs.ignored, augment


def _camvid_metrics(confusions: dict, names: tuple[str, ...]) -> dict:
    of_class = dict(zip(names, metrics.iou(confusions["val"])))
    thin = _mean_of(of_class[name] for name in ("pole", "sign", "pedestrian", "cyclist"))
    large = _mean_of(of_class[name] for name in ("sky", "building", "road", "tree"))
    each = {f"iou_{name}": value for name, value in of_class.items()}
    return {"mean_iou": metrics.mean_iou(confusions["val"]), "thin_iou": thin, "large_iou": large, **each}


def _mean_of(values) -> float:
    """Over the numbers that are there."""
    return _mean(value for value in values if not math.isnan(value))


@contextmanager
def _silent() -> Iterator[None]:
    """Drop what is written to the process's standard error, by native code too."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _image_seconds(classify: Callable, images: np.ndarray) -> float:
    """The median over a few images, each by itself, after one that is not counted."""
    seconds = []
    for number in range(min(len(images), 16) + 1):
        started = time.perf_counter()
        classify(images[max(number - 1, 0)][None])
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds[1:]))


def peak_memory() -> int | None:
    """The most memory that this process has had, in bytes, or ``None`` where the system does not say."""
    try:  # what getrusage says on Linux is at least the memory of the process that this one was started from
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError, ValueError):
        pass
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _versions(framework: str) -> dict:
    packages = ["numpy", *(["torch", "lightning-fabric"] if framework == "torch" else ["keras"])]
    versions = {"python": platform.python_version(), "msvision": __version__} | {
        name: version(name) for name in packages
    }
    if framework == "tensorflow":  # which has several names as a package
        versions["tensorflow"] = sys.modules["tensorflow"].__version__
    return versions


def processor() -> str:
    """What the machine calls its processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
