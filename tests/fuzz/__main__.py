"""python -m tests.fuzz TARGET [libFuzzer's options]: feed one of targets.py for as long as it is let.

Needs `pip install atheris`, which is no part of any extra: it has wheels for few platforms. What it finds it leaves in
build/fuzz/TARGET, from where it goes on the next time.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]  # noqa: PLC0415 - the rest runs without it

    with atheris.instrument_imports(include=["heartfly", "croniter", "email"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - instrumented as it is imported

    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"one of {', '.join(TARGETS)}")
    name = sys.argv.pop(1)
    target, corpus = TARGETS[name], Path("build/fuzz") / name
    corpus.mkdir(parents=True, exist_ok=True)
    for n, seed in enumerate(target.seeds):
        (corpus / f"seed-{n}").write_bytes(seed)
    options = ["-timeout=5", "-rss_limit_mb=2048", "-max_len=4096", f"-artifact_prefix=build/fuzz/{name}-"]
    atheris.Setup([sys.argv[0], *options, *sys.argv[1:], str(corpus)], target.run)
    atheris.Fuzz()


main()
