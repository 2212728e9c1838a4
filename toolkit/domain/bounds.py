"""The bounds on all that comes from outside: a Hub, a model's files, a bundle, a host, an engine, a package index.

No parser reads on beyond its bound, and no loop goes on beyond it. A bound is several times the largest value seen in
use, so that only a lie or a fault meets it. A value beyond its bound is refused by name; it is never cut to fit.
`toolkit.domain.outside` reads JSON within these bounds. `toolkit/hostside/bounds.py` has those of the program on hosts.

| bound | value | the largest seen |
|---|---|---|
| `JSON_DEPTH` | 64 levels of lists and mappings | 12, a tokenizer |
| `JSON_PARTS` | 5,000,000 lists, mappings and commas of one text | 1,200,000 |
| `TEXT` | 4,096 characters of one text that is kept or shown | 300 |
| `FACT` | 131,072 characters of one text in the facts of a host | 16,384, an option of a release |
| `WHOLE` | 2^53, any number: JSON's limit for whole numbers | 10^13 bytes |
| `ANSWER` | 16 MiB for an answer of the Hub's API | 1.5 MB, a page |
| `SMALL_FILE` | 64 MiB for a file that is read whole | 35 MB, a tokenizer |
| `CONFIG` | 4 MiB for a `config.json` | 200 kB |
| `INDEX` | 64 MiB for an index of weights | 12 MB |
| `HEADER` | 100 MB for a header of safetensors, as the format says | 15 MB |
| `TENSORS` | 100,000 tensors of one file | 3,000 |
| `MODEL_TENSORS` | 1,000,000 tensors of one model | 140,000 |
| `DIMENSIONS` | 16 of one tensor | 6 |
| `SHARDS` | 4,096 files of weights | 750 |
| `LAYERS` | 1,024 layers of a model | 126 |
| `WIDTH` | 2^24, any width in a `config.json`: of heads, layers, experts, a vocabulary | 262,208 |
| `CONTEXT` | 2^32 tokens of a context or a window | 10,485,760 |
| `PAGES` | 200 pages of a listing | 30 |
| `COMMIT_PAGES` | 20 pages of a branch's commits, which are read no further | 4 |
| `LISTED` | 100,000 files of a listing | 30,000 |
| `KEPT` | 25,000 files of a snapshot | 800 |
| `REDIRECTS` | 10 of one request | 2 |
| `PATH` | 1,024 bytes of a file's path in a snapshot | 140 |
| `PATH_PARTS` | 32 directories and names in such a path | 6 |
| `POINTER` | 1,024 bytes of a pointer of Git LFS, as its specification says | 135 |
| `RESTARTS` | 4 times that one download begins anew | 1 |
| `LEAST_GAIN` | 64 KiB that a try must bring to count as progress | |
| `SLOWEST` | 1,024 bytes per second, the floor of one connection | |
| `SLOW_SECONDS` | 20 s over which that floor is measured | |
| `SILENT_TRIES` | 2 times that a silent or slow server is asked for one answer | |
| `BEGIN_SECONDS` | 30 s until an answer begins, redirects included | |
| `ANSWER_SECONDS` | 60 s for the whole of one answer of the API | 5 |
| `LISTING_SECONDS` | 120 s for all pages of a listing | 40 |
| `FILE_SECONDS` | 3,600 s for a file that is read whole | 300 |
| `WAIT_SECONDS` | 86,400 s that a server may ask to wait | 300 |
| `BUNDLE` | 64 MiB for a text file of a bundle | 12 MB |
| `LINE` | 64 MiB for one line from a host | 2 MB |
| `WHEEL` | 16 GiB for a wheel, read by ranges | 4 GB |
| `WHEEL_CONTENTS` | 64 MiB for one part of a wheel | 3 MB |
| `READ_OF_WHEEL` | 1 GiB that is read of one wheel in all | 30 MB |
| `INDEX_MEMORY` | 4 GiB of memory for the program that reads a package index | 0.5 GB |
| `GOLDEN` | 16 MiB for a file of golden prompts, and for all images that it names | |
| `GOLDEN_PROMPTS` | 2,000 prompts of such a file | |
| `MATCH_SECONDS` | 1 s for the match of one pattern or schema | |
| `MATCH_MEMORY` | 1 GiB for the process that matches | |
"""

from __future__ import annotations

MIB = 2**20

JSON_DEPTH = 64
JSON_PARTS = 5_000_000
TEXT = 4096
FACT = 131_072
WHOLE = 2**53

ANSWER = 16 * MIB
SMALL_FILE = 64 * MIB
CONFIG = 4 * MIB
INDEX = 64 * MIB

HEADER = 100_000_000
TENSORS = 100_000
MODEL_TENSORS = 1_000_000
DIMENSIONS = 16
SHARDS = 4096

LAYERS = 1024
WIDTH = 2**24
CONTEXT = 2**32

PAGES = 200
COMMIT_PAGES = 20
LISTED = 100_000
KEPT = 25_000

PATH = 1024
PATH_PARTS = 32
POINTER = 1024

REDIRECTS = 10
RESTARTS = 4
LEAST_GAIN = 64 * 1024
SLOWEST = 1024
SLOW_SECONDS = 20.0
SILENT_TRIES = 2
BEGIN_SECONDS = 30.0
ANSWER_SECONDS = 60.0
LISTING_SECONDS = 120.0
FILE_SECONDS = 3600.0
WAIT_SECONDS = 86_400

BUNDLE = 64 * MIB
LINE = 64 * MIB
WHEEL = 16 * 2**30
WHEEL_CONTENTS = 64 * MIB
READ_OF_WHEEL = 2**30
INDEX_MEMORY = 4 * 2**30

GOLDEN = 16 * MIB
GOLDEN_PROMPTS = 2000
MATCH_SECONDS = 1.0
MATCH_MEMORY = 1024 * MIB
