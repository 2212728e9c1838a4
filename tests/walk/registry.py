"""docs/registry.md: a registry of one's own, in an empty directory."""

from __future__ import annotations

from tests.walk.walking import First, Says, Scene, Walk

NEWER = "It is Paris, and 10."


def write_registry(scene: Scene) -> None:
    scene.write("model_registry.yaml", scene.block.text)
    # No licence is allowed unless somebody says so.
    scene.type("(echo 'policy: {licences: {allowed: [apache-2.0]}}') >> model_registry.yaml")
    scene.type("toolkit registry check")


def permit(scene: Scene) -> None:
    """Write the permission, and what it permits, below the version; then take both out again."""
    scene.type("cp model_registry.yaml kept.yaml")
    text = scene.type("cat kept.yaml")
    serving = "        serving: {kv-transfer-config.kv_connector: LMCacheConnectorV1}\n"
    line = "        revision: a09a35458c702b33eeacc393d103063234e8bc28\n"
    without, permitted = text.replace(line, line + serving), f"        {scene.block.text}"
    scene.write("model_registry.yaml", without + "\n")
    refused = scene.terminal.type("toolkit registry check")
    assert refused.code == 2 and "kv-transfer-config" in refused.text, refused
    scene.write("model_registry.yaml", without.replace(serving, serving + permitted) + "\n")
    scene.type("toolkit registry check")
    assert "reviewed by Ada" in scene.type("toolkit registry show qwen-7b")
    scene.type("mv kept.yaml model_registry.yaml")


def publish(scene: Scene) -> None:
    """Make a commit, another one each time."""
    repo = "Qwen/Qwen2.5-7B-Instruct"
    count = len(scene.newcomer.hub.revisions(repo))
    scene.newcomer.hub.push(repo, f"{NEWER} {count}")


WALK = Walk(
    "docs/registry.md",
    files={
        "models:": First(write_registry, "a person writes it"),
        "permission: {options: [kv-transfer-config], reason: the cache is shared in the rack; reviewed by Ada}": First(
            permit, "a person writes it below a version"
        ),
    },
    first={
        "toolkit registry pin qwen-7b main --as 2.5.1": First(publish, "the owner makes a commit"),
        "toolkit update qwen-7b --as 2025-12": First(publish, "the owner makes another commit"),
    },
    says={
        "toolkit registry show qwen-7b": Says((r"2\.5\.1",)),
    },
)
