"""The compose file is valid, complete and refuses to start half configured."""

from __future__ import annotations

import re

import pytest
import yaml

from tests import compose

EVERY_START = {"postgres", "redis", "migrate", "web", "sweeper", "worker"}
OTHERWISE = {"FRAMEVOTE_WORKERS": "4", "BIND": "0.0.0.0", "PORT": "80"}  # noqa: S104
FRAMEVOTE = ("migrate", "web", "sweeper", "worker")
TUNED = (
    "FRAMEVOTE_MAX_UPLOAD_MB",
    "FRAMEVOTE_MAX_MINUTES",
    "FRAMEVOTE_MAX_FILES_PER_UPLOAD",
    "FRAMEVOTE_MAX_OPEN_UPLOADS",
    "FRAMEVOTE_UPLOAD_HOURS",
    "FRAMEVOTE_RETENTION_DAYS",
    "FRAMEVOTE_MIN_FREE_MB",
    "FRAMEVOTE_LEASE_SECONDS",
    "FRAMEVOTE_HEARTBEAT_SECONDS",
    "FRAMEVOTE_TASK_SECONDS",
)


def test_a_plain_start_runs_everything_but_gpu_workers() -> None:
    services = compose.resolve()["services"]
    started = {name for name, service in services.items() if not service.get("profiles")}
    assert started == EVERY_START


@pytest.mark.parametrize("missing", sorted(compose.REQUIRED))
def test_a_missing_secret_or_host_stops_the_start_with_its_name(missing: str) -> None:
    environment = {name: value for name, value in compose.REQUIRED.items() if name != missing}
    done = compose.config(environment=environment)
    assert done.returncode != 0
    assert missing in done.stderr


def test_no_secret_has_a_value_in_the_file() -> None:
    text = (compose.ROOT / "docker-compose.yml").read_text()
    for name in compose.REQUIRED:
        assert f"${{{name}:?" in text
        assert f"${{{name}:-" not in text


def test_web_and_workers_share_database_broker_and_media() -> None:
    services = compose.resolve("gpus")["services"]
    seen = set()
    for name in (*FRAMEVOTE, "worker-gpu0", "worker-gpu1"):
        service = services[name]
        environment = service["environment"]
        volumes = [v if isinstance(v, str) else v["target"] for v in service["volumes"]]
        media = [v for v in volumes if "/data/media" in v]
        assert len(media) == 1, name
        seen.add((environment["DATABASE_URL"], environment["REDIS_URL"], environment["SECRET_KEY"]))
    assert seen == {
        ("postgres://framevote:pass@postgres:5432/framevote", "redis://redis:6379/0", "s" * 50)
    }


def test_everything_waits_for_the_migration() -> None:
    services = compose.resolve()["services"]
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    for name in ("web", "sweeper", "worker"):
        wanted = services[name]["depends_on"]["migrate"]["condition"]
        assert wanted == "service_completed_successfully"


def test_the_number_of_cpu_workers_is_one_variable() -> None:
    assert compose.resolve()["services"]["worker"]["deploy"]["replicas"] == 1
    four = compose.resolve(**OTHERWISE)
    assert four["services"]["worker"]["deploy"]["replicas"] == 4


def test_each_gpu_worker_has_one_card_of_its_own() -> None:
    services = compose.resolve("gpus")["services"]
    cards = []
    for name in ("worker-gpu0", "worker-gpu1"):
        assert services[name]["build"]["target"] == "cuda"
        assert services[name]["command"] == services["worker"]["command"]
        (device,) = services[name]["deploy"]["resources"]["reservations"]["devices"]
        cards += device["device_ids"]
    assert cards == ["0", "1"]


def test_pages_are_published_on_this_machine_only_unless_told_otherwise() -> None:
    def published(**environment: str) -> str:
        (port,) = compose.resolve(**environment)["services"]["web"]["ports"]
        if isinstance(port, str):
            return port
        return f"{port['host_ip']}:{port['published']}:{port['target']}"

    assert published().startswith("127.0.0.1:8000:8000")
    assert published(**OTHERWISE).startswith("0.0.0.0:80:8000")


def test_only_the_pages_reach_the_outside() -> None:
    file = compose.resolve()
    assert file["networks"]["inside"]["internal"] is True
    outside = {name for name, s in file["services"].items() if "outside" in s["networks"]}
    assert outside == {"web"}


def test_every_variable_of_the_file_is_explained() -> None:
    """Those the file passes on exist; nothing is set that nobody reads."""
    known = (compose.ROOT / ".env.example").read_text()
    environment = yaml.safe_load((compose.ROOT / "docker-compose.yml").read_text())
    unknown = [n for n in environment["x-framevote"]["environment"] if n not in known]
    assert not unknown


def test_what_the_file_passes_on_has_the_defaults_of_the_example() -> None:
    example = (compose.ROOT / ".env.example").read_text().splitlines()
    defaults = dict(line[2:].split("=") for line in example if line.startswith("# FRAMEVOTE_"))
    web, worker = (compose.resolve()["services"][name] for name in ("web", "worker"))
    for name in TUNED:
        assert str(web["environment"][name]) == defaults[name], name
        assert str(worker["environment"][name]) == defaults[name], name
    (other,) = {
        service["environment"]["FRAMEVOTE_TASK_SECONDS"]
        for name, service in compose.resolve(FRAMEVOTE_TASK_SECONDS="7200")["services"].items()
        if name in FRAMEVOTE
    }
    assert str(other) == "7200"


def test_the_image_may_copy_the_requirements_it_installs() -> None:
    copied = re.findall(r"^COPY (\S+\.txt) ", (compose.ROOT / "Dockerfile").read_text(), re.M)
    let_through = (compose.ROOT / ".dockerignore").read_text().splitlines()
    assert set(copied) == {"requirements.txt", "requirements-cuda.txt"}
    assert {f"!{name}" for name in copied} <= set(let_through)


def test_the_image_has_the_targets_that_the_file_names() -> None:
    stages = [
        line.split(" AS ")[1]
        for line in (compose.ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("FROM ") and " AS " in line
    ]
    services = compose.resolve("gpus")["services"].values()
    targets = {service["build"]["target"] for service in services if "build" in service}
    assert targets == {"cpu", "cuda"}
    assert targets <= set(stages)
