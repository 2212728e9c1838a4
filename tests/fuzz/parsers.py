"""Every parser of bytes from outside, with good inputs for it and the errors that it may raise.

The registry is here too: a bundle brings one.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict
from importlib import import_module

from tests.fuzz.of_hosts import (
    ANSWER,
    ANSWERS,
    DAMAGED,
    FACTS,
    GOLDEN,
    KEYS,
    METRICS,
    SMI,
    SSH,
    STREAM,
    complete,
    counts,
    devices,
    golden,
    keys,
    load,
    log,
    logs_of_engines,
    observed,
    owner,
    said,
    tokens,
    words_of_ssh,
)
from tests.fuzz.of_models import (
    COMMITS,
    CONFIGS,
    HEADER,
    HEADERS,
    INDEX,
    INFO,
    LISTING,
    MODULES,
    TEMPLATE,
    TOKENIZER,
    headers,
    predicted,
    safetensors,
    told,
    weights,
)
from tests.fuzz.of_pins import (
    ADAPTER,
    COSTS,
    LOCK,
    NOTIFY,
    REGISTRY,
    REQUIREMENTS,
    SCHEDULE,
    SOURCES,
    STORED,
    adapted,
    archive,
    bundled,
    costed,
    locked,
    notified,
    packages,
    registered,
    scheduled,
    sources,
    stored,
    wheel,
)
from tests.fuzz.of_records import (
    ACCESS,
    AUDIT,
    HANDED_OUT,
    HEADS,
    LEFTOVERS,
    LINES,
    NOTICE,
    PERIMETER,
    SERIES,
    SUMS,
    TOLD,
    accessed,
    audited,
    claimed,
    evidence_file,
    evidenced,
    handed_out,
    heads,
    left_over,
    noticed,
    prometheus,
    recorded,
    summed_up,
    tried,
)
from tests.fuzz.parser import Parser, hostside, packed
from tests.planning.test_bundle import WHOLE as BUNDLE
from toolkit import check_evidence
from toolkit.adapters.hub.answers import parse_commits, parse_listing, parse_repo_info
from toolkit.domain.files.tensors import parse_header
from toolkit.domain.files.weight_files import parse_index
from toolkit.domain.outside import parse_json
from toolkit.errors import ToolkitError
from toolkit.planning.upkeep.bundle import manifest_text

with hostside():
    completion = import_module("completion")
    use_sums = import_module("use_sums")

PARSERS = (
    Parser("json", lambda data: parse_json(data, 10**6), (packed(FACTS), packed(LISTING)), DAMAGED),
    Parser("weights", weights, (safetensors(HEADER, 16), safetensors({}, 0)), DAMAGED),
    Parser("header", lambda data: [asdict(t) for t in parse_header(data)], (packed(HEADER),), DAMAGED),
    Parser("config", predicted, CONFIGS, (*DAMAGED, ToolkitError)),
    Parser("small files of a model", told, (*CONFIGS, packed(TOKENIZER), packed(MODULES), TEMPLATE)),
    Parser("configuration of an adapter", adapted, (packed(ADAPTER),), DAMAGED),
    Parser("index", lambda data: sorted(parse_index(data)), (packed(INDEX),), DAMAGED),
    Parser("repository", lambda data: asdict(parse_repo_info(data)), (packed(INFO),), DAMAGED),
    Parser("listing", lambda data: [asdict(f) for f in parse_listing(data)], (packed(LISTING),), DAMAGED),
    Parser("commits", lambda data: [asdict(each) for each in parse_commits(data)], (packed(COMMITS),), DAMAGED),
    Parser("headers of answers", headers, HEADERS, DAMAGED),
    Parser("lock of the registry", locked, (packed(LOCK),)),
    Parser("schedule", scheduled, (SCHEDULE,), slow=True),
    Parser("settings of notifications", notified, (NOTIFY,), slow=True),
    Parser("costs", costed, (COSTS,), slow=True),
    Parser("registry", registered, (REGISTRY,), slow=True),
    Parser("manifest of the store", stored, (packed(STORED),), (ValueError, KeyError, TypeError)),
    Parser("manifest of a bundle", bundled, (manifest_text(BUNDLE).encode(),)),
    Parser("lock of an engine", packages, (REQUIREMENTS,), DAMAGED),
    Parser("wheel", wheel, (archive(zipfile.ZIP_DEFLATED), archive(zipfile.ZIP_LZMA), archive(zipfile.ZIP_STORED))),
    Parser("sources of an engine", sources, (SOURCES,), (SyntaxError,)),
    Parser("facts of a host", observed, (packed({"result": complete(FACTS)}),), (*DAMAGED, KeyError, ToolkitError)),
    Parser("keys of a host", keys, (packed({"result": KEYS}),), (*DAMAGED, KeyError, ToolkitError)),
    Parser("owner of a lock", owner, (packed({"result": FACTS["lock"]}),), (*DAMAGED, KeyError)),
    Parser("words of ssh", words_of_ssh, SSH),
    Parser("audit log", audited, (AUDIT,), slow=True),
    Parser("heads of a host", heads, (packed({"result": HEADS}),), (*DAMAGED, KeyError, TypeError, ToolkitError)),
    Parser("requests in an access log", accessed, (packed({"result": ACCESS}),),
           (*DAMAGED, KeyError, TypeError, ToolkitError)),
    Parser("perimeter of a host", tried, (packed({"result": PERIMETER}),),
           (*DAMAGED, KeyError, TypeError, ToolkitError)),
    Parser("leftovers of a host", left_over, (packed({"result": LEFTOVERS}),),
           (*DAMAGED, KeyError, TypeError, ToolkitError)),
    Parser("line of a replica's use", recorded, tuple(packed(each) for each in LINES)),
    Parser("use of a host", handed_out, (packed({"result": HANDED_OUT}),),
           (*DAMAGED, KeyError, TypeError, ToolkitError)),
    Parser("use of other hosts", lambda data: use_sums.told(json.loads(data)), (packed(TOLD),),
           (ValueError, RecursionError)),
    Parser("use that a host states", lambda data: use_sums.stated(json.loads(data)),
           (packed({"ledger": "a" * 16, **SUMS}),), (ValueError, RecursionError)),
    Parser("sums of a host", summed_up,
           (packed({"result": {"own": {"ledger": "b" * 16, **SUMS}, "elsewhere": TOLD}}),),
           (*DAMAGED, KeyError, TypeError, ToolkitError)),
    Parser("series of Prometheus", prometheus, (packed(SERIES),), (ValueError,)),
    Parser("headers of an answer", claimed, (b"HTTP/1.1 200 OK\r\nX-Request-Id: r1\r\nX-Toolkit-Release: 3\r\n",),
           (ToolkitError,)),
    Parser("evidence", evidenced, (evidence_file(),), (check_evidence.NotEvidence,)),
    Parser("notice in the outbox", noticed, (packed(NOTICE),), (ValueError, KeyError, TypeError, AttributeError)),
    Parser("devices", devices, SMI),
    Parser("completion", lambda data: completion.answer_in(data, False), (packed(ANSWER),),
           (ValueError, LookupError, TypeError, AttributeError, RecursionError)),
    Parser("stream", lambda data: completion.answer_in(data, True), (STREAM,),
           (ValueError, LookupError, TypeError, AttributeError, RecursionError)),
    Parser("golden prompts", golden, GOLDEN, slow=True),
    Parser("answers to golden prompts", said, (packed(ANSWER), *ANSWERS)),
    Parser("metrics of an engine", load, (METRICS,)),
    Parser("counters of an engine", counts, (METRICS,)),
    Parser("tokens of an answer", tokens, (packed(ANSWER), packed({"usage": {"completion_tokens": 9}}))),
    Parser("log of an engine", log, logs_of_engines()),
)  # fmt: skip
