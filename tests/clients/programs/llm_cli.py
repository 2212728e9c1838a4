"""`llm`, the command, with the router as an extra model of OpenAI's kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from cells import BASE, JSON, KEY, MODEL, NO_MODEL, PROMPT, SCHEMA, SECONDS, WRONG_KEY, run

HOME = Path(tempfile.mkdtemp(prefix="llm-"))
LLM = Path(sys.executable).with_name("llm")
NAMES = {"works": (MODEL, "right"), "gone": (NO_MODEL, "right"), "locked": (MODEL, "wrong")}
(HOME / "keys.json").write_text(json.dumps({"right": KEY, "wrong": WRONG_KEY}))
(HOME / "extra-openai-models.yaml").write_text(
    json.dumps(
        [
            {
                "model_id": name,
                "model_name": model,
                "api_base": BASE,
                "api_key_name": key,
                "supports_schema": True,
                "supports_tools": True,
            }
            for name, (model, key) in NAMES.items()
        ]
    )
)


class LlmError(Exception):
    """The words with which the command ended."""


def llm(*words: str) -> str:
    done = subprocess.run(
        [LLM, *words],
        env={**os.environ, "LLM_USER_PATH": str(HOME)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise LlmError(done.stderr.strip())
    return done.stdout.strip() if "-u" not in words else done.stderr.strip()


def chat(model: str = "works") -> str:
    return llm("-m", model, "--no-stream", "-o", "temperature", "0", PROMPT)


def usage() -> list[int]:
    words = llm("-m", "works", "-u", PROMPT)
    return [int(part) for part in words.replace(",", "").split() if part.isdigit()][:2]


def schema() -> Any:
    return json.loads(
        llm("-m", "works", "--schema", json.dumps(SCHEMA), "-o", "max_tokens", "64", JSON)
    )


run(
    {
        "chat": chat,
        "stream": lambda: llm("-m", "works", "-o", "temperature", "0", PROMPT),
        "JSON schema": schema,
        "usage": usage,
        "errors": lambda: chat("gone"),
        "keys": lambda: chat("locked"),
    },
    chat,
)
