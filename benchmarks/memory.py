"""A worker's peak of memory as `nai-sweep plan` foretells it, beside what a worker then holds.

    python benchmarks/memory.py [--data FOLDER] [--only NAME ...]

Each case is the search of a space with one suggestion: all its orders on one fresh Ray worker, whose peak
(VmHWM: interpreter, PyTorch and Ray included) is compared. Ends with one line of JSON: megabytes and the
ratio of foretold to measured.
"""

import argparse
import json
import os
from typing import Any

from sweep import environment
from sweep.space import Space, loads

SPACE = """
name = "memory"
[benchmark]
{benchmark}
[model]
{model}
[method]
{method}
[training]
{training}
[orders]
{orders}
[search]
suggestions = 1
"""
CASES: dict[str, dict[str, str]] = {
    "digits, mlp 64-100-100, nai, 120 orders in stacks of 32": {
        "benchmark": 'name = "split"\ndataset = "digits"',
        "model": 'name = "mlp"',
        "method": 'name = "nai"',
        "training": "epochs = 1",
        "orders": 'design = "all"',
    },
    "digits, mlp 64-100-100, joint, 120 orders": {
        "benchmark": 'name = "split"\ndataset = "digits"',
        "model": 'name = "mlp"',
        "method": 'name = "joint"',
        "training": "epochs = 1",
        "orders": 'design = "all"',
    },
    "digits, mlp 64-200-200, ewc, 24 orders in stacks of 32": {
        "benchmark": 'name = "split"\ndataset = "digits"',
        "model": 'name = "mlp"\nwidths = [200, 200]',
        "method": 'name = "ewc"',
        "training": "epochs = 1",
        "orders": 'design = "random"\ncount = 24',
    },
    "mnist, mlp 784-256-256, ewc, 2 orders": {
        "benchmark": 'name = "split"\ndataset = "mnist"',
        "model": 'name = "mlp"\nwidths = [256, 256]',
        "method": 'name = "ewc"',
        "training": "epochs = 1\nbatch = 512",
        "orders": 'design = "random"\ncount = 2',
    },
    "permuted mnist of 10 tasks, mlp 784-100-100, si, 1 order": {
        "benchmark": 'name = "permuted"\ndataset = "mnist"\ntasks = 10',
        "model": 'name = "mlp"',
        "method": 'name = "si"',
        "training": "epochs = 1\nbatch = 1024",
        "orders": 'design = "identity"',
    },
    "cifar10, conv, nai, 1 order": {
        "benchmark": 'name = "split"\ndataset = "cifar10"\nclasses = 5',
        "model": 'name = "conv"\nwidths = [8, 16, 32]',
        "method": 'name = "nai"',
        "training": "epochs = 1\nbatch = 256",
        "orders": 'design = "identity"',
    },
}


def space(parts: dict[str, str], root: str | None) -> Space:
    """A case as a search space, with its data in a folder."""
    given = dict(parts)
    if root and "digits" not in given["benchmark"]:
        given["benchmark"] += f"\nroot = {json.dumps(root)}"
    return loads(SPACE.format(**given))


def measured(one: Space) -> int:
    """Bytes at the peak of a fresh Ray worker that has done all of a space's search."""
    import ray

    from nai.trial import Named, load
    from sweep import bundle
    from sweep.contest import course
    from sweep.jobs import Job, Work, arm, as_plain

    settings = one.first()
    benchmark = load(Named.of(**settings["benchmark"]))
    run = course(one, one.tasks())
    work = Work(arm(settings, bundle.identity(benchmark.digest)), run.runs(0), run.later(0))
    given = ray.put(benchmark)
    assert Job((work,)).cells

    @ray.remote(num_cpus=1, max_calls=1)
    def worked(plain: list[Any], benchmark: Any) -> int:
        import sweep.worker  # noqa: F401  (as a worker of a sweep has it)
        from sweep import bundle
        from sweep.jobs import Job, from_plain
        from sweep.measure import peak

        bundle.prepare(1)
        list(bundle.train(Job((from_plain(plain),)), benchmark, device="cpu"))
        return peak()

    return int(ray.get(worked.remote(as_plain(work), given)))


def row(name: str, one: Space) -> dict[str, Any]:
    from sweep import estimate

    found = estimate.plan(one, workers=1)
    if found.cost is None:
        return {"case": name, "unknown": found.unknown}
    held = measured(one)
    return {
        "case": name,
        "foretold_mb": round(found.cost.memory / 2**20),
        "measured_mb": round(held / 2**20),
        "ratio": round(found.cost.memory / held, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=os.environ.get("NAI_DATA"), metavar="FOLDER")
    parser.add_argument("--only", nargs="*", default=[""], metavar="NAME")
    asked = parser.parse_args()
    environment.for_ray(local=True)
    import ray

    with environment.importable():
        ray.init(address="local", num_cpus=1, include_dashboard=False, logging_level="ERROR")
    rows = []
    for name, parts in CASES.items():
        if any(part in name for part in asked.only):
            rows.append(row(name, space(parts, asked.data)))
            print(rows[-1], flush=True)
    print(json.dumps({"cases": rows}))


if __name__ == "__main__":
    main()
