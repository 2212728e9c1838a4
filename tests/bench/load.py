"""Load on a running router, by hand:

    python tests/bench/load.py http://127.0.0.1:8080 MODEL answers.json [--seconds 30]

answers.json is {prompt: {version: exact answer}}. Prints the figures as JSON; exits with 1 where one is bad.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from demo.load import Load


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("base_url")
    parser.add_argument("model")
    parser.add_argument("answers", type=Path)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--short-workers", type=int, default=4)
    parser.add_argument("--stream-workers", type=int, default=2)
    given = parser.parse_args()
    load = Load(
        given.base_url,
        given.model,
        json.loads(given.answers.read_text()),
        short_workers=given.short_workers,
        stream_workers=given.stream_workers,
    ).start()
    time.sleep(given.seconds)
    report = load.stop()
    print(json.dumps(report.as_json(), indent=2, ensure_ascii=False))
    return 1 if report.bad else 0


if __name__ == "__main__":
    sys.exit(main())
