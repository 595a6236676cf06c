"""`python -m tests.fuzz [--match TEXT] [--shard I/N]`: every mutation, or those whose name holds the text."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.registry import Mutation, all_mutations
from tests.fuzz.runner import carry_out


def main() -> int:
    """Run them, print what fails and a table of the families; 1 where something fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--match", default="", help="only mutations whose name holds this")
    parser.add_argument("--shard", default="0/1", help="I/N: every Nth from the Ith on (from 0)")
    parser.add_argument("--list", action="store_true", help="print the names and what is expected, and stop")
    parser.add_argument("--show", action="store_true", help="print how each one ended")
    options = parser.parse_args()
    first, count = (int(part) for part in options.shard.split("/"))
    chosen = [one for one in all_mutations() if options.match in one.name][first::count]
    if options.list:
        print("\n".join(one.name for one in chosen))
        return 0
    return _run(chosen, options.show)


def _run(chosen: list[Mutation], show: bool) -> int:
    began = time.perf_counter()
    tried: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    for mutation in chosen:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            try:
                problem, outcome = carry_out(mutation, Path(folder))
            except Exception as error:
                problem, outcome = f"CANNOT BE TRIED: {type(error).__name__}: {error}", None
        tried[mutation.family] += 1
        seconds[mutation.family] += time.perf_counter() - start  # type: ignore[assignment]
        if problem is not None:
            failed[mutation.family] += 1
            print(f"{mutation.name}: {problem}", flush=True)
        elif show and outcome is not None:
            said = " / ".join(outcome.stderr.strip().splitlines()[-2:])
            print(f"ok {outcome.code} {outcome.seconds:.2f} s {mutation.name}: {said}", flush=True)
    print(f"{'family':<14}{'mutations':>10}{'wrong':>8}{'seconds':>9}")
    for family, number in sorted(tried.items()):
        print(f"{family:<14}{number:>10}{failed[family]:>8}{seconds[family]:>9.1f}")
    print(f"{'all':<14}{tried.total():>10}{failed.total():>8}{time.perf_counter() - began:>9.1f}", flush=True)
    return 1 if failed.total() else 0


if __name__ == "__main__":
    sys.exit(main())
