"""No Docker engine is needed: what docker-compose.yml names must exist in this project."""

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from unosat.ops.commands import QUEUES, beat_command, web_command, worker_command
from unosat.requests import PROBES

PROJECT = Path(__file__).resolve().parents[3]
TEXT = (PROJECT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
IMAGES = {"unosat-web", "unosat-worker"}
OURS = {name: service for name, service in SERVICES.items() if service["image"] in IMAGES}
# documented by the images themselves
OF_IMAGES = {
    "database": {"POSTGRES_PASSWORD"},
    "redis": {"REDISCLI_AUTH"},
}
OF_UVICORN = {("web", "FORWARDED_ALLOW_IPS")}
OF_MAKE_RUN = {"UNOSAT_HOST", "UNOSAT_PORT"}
NEVER_DEPLOYED = {"UNOSAT_DEBUG"}  # its pages show settings to strangers
SECRETS = {
    "UNOSAT_SECRET_KEY",
    "UNOSAT_DATABASE_PASSWORD",
    "UNOSAT_DATABASE_ADMIN_PASSWORD",
    "UNOSAT_REDIS_PASSWORD",
}


def test_every_part_of_the_application_is_a_service() -> None:
    assert set(SERVICES) == {"database", "redis", "migrate", "models", "web", "beat", *QUEUES}


@pytest.mark.parametrize("queue", QUEUES)
def test_a_worker_is_started_as_make_run_starts_it(queue: str) -> None:
    level = "WARNING" if queue == "light" else "INFO"

    command = worker_command([queue], name=queue, log_level=level)

    assert SERVICES[queue]["command"][1:] == command[1:]


def test_web_and_beat_are_started_as_make_run_starts_them() -> None:
    assert SERVICES["web"]["command"][1:] == web_command("0.0.0.0", 8000)[1:]  # noqa: S104
    assert SERVICES["beat"]["command"][1:] == beat_command()[1:]


@pytest.mark.parametrize("name", OURS)
def test_the_modules_and_scripts_of_a_command_exist(name: str) -> None:
    command = OURS[name]["command"]

    assert command[0] == "python"
    if command[1] == "-m":
        importlib.import_module(command[2])
    else:
        assert (PROJECT / command[1]).is_file()
    for module, _, attribute in (part.partition(":") for part in command if ":" in part):
        assert hasattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("name", OURS)
def test_the_options_of_a_command_exist(name: str) -> None:
    command = OURS[name]["command"]
    options = {part.split("=")[0] for part in command if part.startswith("--")}

    subcommand = [part for part in command[3:] if part in {"worker", "beat"}]
    if command[1] == "-m":
        help_command = [*command[1:3], *subcommand, "--help"]
    else:
        help_command = [*command[1:3], "--help"]
    answer = subprocess.run(
        [sys.executable, *help_command], cwd=PROJECT, capture_output=True, text=True, check=True
    )

    assert options <= set(re.findall(r"--[a-z][a-z-]+", answer.stdout))


@pytest.mark.parametrize("name", OURS)
def test_the_variables_of_our_processes_are_read_by_the_settings(name: str) -> None:
    settings = (PROJECT / "unosat" / "settings.py").read_text()
    readers = settings + (PROJECT / "detection" / "backends" / "__init__.py").read_text()

    for variable in OURS[name]["environment"]:
        assert f'"{variable}"' in readers or (name, variable) in OF_UVICORN


@pytest.mark.parametrize("name", OURS)
def test_a_variable_that_the_readme_offers_is_handed_over(name: str) -> None:
    offered = _variables_of_the_readme() - OF_MAKE_RUN - NEVER_DEPLOYED - {"UNOSAT_DEVICE"}

    assert offered <= set(OURS[name]["environment"])


def _variables_of_the_readme() -> set[str]:
    """Of the table under "Running it"; the first column may name several."""
    rows = re.findall(r"^\| (`UNOSAT_.+?) \|", (PROJECT / "README.md").read_text(), re.M)
    return set(re.findall(r"`(UNOSAT_[A-Z_]+)`", " ".join(rows)))


@pytest.mark.parametrize("name", OF_IMAGES)
def test_other_variables_are_those_of_the_images_or_of_our_script(name: str) -> None:
    script = (PROJECT / ".docker" / "make-database.sh").read_text()

    for variable in SERVICES[name]["environment"]:
        assert variable in OF_IMAGES[name] or f"${variable}" in script


def test_secrets_have_no_default() -> None:
    named = dict(re.findall(r"\$\{([A-Z_]+)(:?[-?]?)", TEXT))

    assert set(named) >= SECRETS
    assert {name for name, sign in named.items() if sign == ":?"} >= SECRETS


def test_the_files_that_are_built_from_and_mounted_exist() -> None:
    for service in SERVICES.values():
        if "build" in service:
            assert (PROJECT / service["build"]["dockerfile"]).is_file()
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (PROJECT / source).exists() if "/" in source else source in COMPOSE["volumes"]


def test_a_service_waits_only_for_services_that_exist() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)


@pytest.mark.parametrize("name", ["Dockerfile.web", "Dockerfile.worker"])
def test_what_a_dockerfile_copies_exists_and_is_not_ignored(name: str) -> None:
    allowed = (PROJECT / ".dockerignore").read_text().splitlines()
    copies = re.findall(
        r"^COPY (?!--from)(.+) \S+$", (PROJECT / ".docker" / name).read_text(), re.M
    )

    for source in " ".join(copies).split():
        assert (PROJECT / source).exists()
        top = source.split("/")[0]
        assert any(line.startswith(f"!{top}") for line in allowed)


def test_the_workers_image_takes_detectron2_from_its_folder_or_not_at_all() -> None:
    dockerfile = (PROJECT / ".docker" / "Dockerfile.worker").read_text()

    (install,) = re.findall(r"pip install (.*) detectron2;", dockerfile)
    assert "--no-index --find-links wheels" in install
    for lock in (PROJECT / "requirements").iterdir():
        assert "detectron2" not in lock.read_text()


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("wanted", ["", "torchvision"])
def test_a_worker_runs_detectron2_where_it_is_installed(
    tmp_path: Path,
    wanted: str,
    there: bool,  # noqa: FBT001
) -> None:
    python = tmp_path / "python"  # the image's, with or without the package
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    if there:
        (tmp_path / "detectron2.py").touch()
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": str(tmp_path)}

    answer = subprocess.run(
        [PROJECT / ".docker" / "worker.sh", "sh", "-c", "echo ${UNOSAT_DETECTOR:-none}"],
        env=environment | ({"UNOSAT_DETECTOR": wanted} if wanted else {}),
        capture_output=True,
        text=True,
        check=True,
    )

    assert answer.stdout.strip() == (wanted or ("detectron2" if there else "none"))


def test_the_web_image_holds_no_torch_and_the_worker_image_does() -> None:
    pinned = {
        name: (PROJECT / "requirements" / f"{name}.lock").read_text() for name in ("web", "worker")
    }

    assert "torch==" not in pinned["web"]
    assert "torch==" in pinned["worker"]
    for name in pinned:
        assert (
            f"requirements/{name}.lock" in (PROJECT / ".docker" / f"Dockerfile.{name}").read_text()
        )


WORKERS: dict[str, Any] = yaml.safe_load((PROJECT / "docker-compose.workers.yml").read_text())


WORKING = {name: one for name, one in WORKERS["services"].items() if name != "image"}


def _built(services: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """How each image is made; two ways of one name fail where Docker's images lie in containerd."""
    builders = [service for service in services.values() if "build" in service]
    made = {service["image"]: service["build"] for service in builders}
    assert len(made) == len(builders)
    return made


def test_each_image_is_built_once_and_alike_on_every_machine() -> None:
    assert set(_built(SERVICES)) == IMAGES
    assert _built(WORKERS["services"]) == _built(SERVICES)


def test_every_profile_builds_the_image_that_it_uses() -> None:
    builds = {
        (profile, service["image"])
        for service in WORKERS["services"].values()
        if "build" in service
        for profile in service["profiles"]
    }

    for service in WORKING.values():
        for profile in service["profiles"]:
            assert (profile, service["image"]) in builds


@pytest.mark.parametrize("name", WORKING)
def test_a_machine_that_only_works_starts_the_same_workers(name: str) -> None:
    service, queue = WORKING[name], name.partition("-")[0]

    assert service["command"] == SERVICES[queue]["command"]
    assert service["image"] == SERVICES[queue]["image"]
    assert service["stop_grace_period"] == SERVICES[queue]["stop_grace_period"]
    assert service["profiles"]
    assert "depends_on" not in service  # what it needs runs elsewhere


def test_the_two_files_keep_their_own_containers_and_volumes_whatever_their_folder() -> None:
    assert {COMPOSE["name"], WORKERS["name"]} == {"unosat", "unosat-workers"}


@pytest.mark.parametrize("service", [SERVICES["detect"], SERVICES["train"], *WORKING.values()])
def test_a_worker_with_a_gpu_gets_the_library_to_compute_on_it(service: dict[str, Any]) -> None:
    """Docker hands a container only what is named, once any of NVIDIA's capabilities is named."""
    resources = service.get("deploy", {}).get("resources", {})

    for device in resources.get("reservations", {}).get("devices", []):
        assert {"gpu", "compute", "utility"} <= set(device["capabilities"])


@pytest.mark.parametrize("name", WORKING)
def test_a_machine_that_only_works_has_no_store_that_nobody_named(name: str) -> None:
    """A folder, or with a bucket this machine's own; with neither Compose refuses to start."""
    (volume,) = WORKING[name]["volumes"]

    assert volume == "${UNOSAT_STORE_FOLDER:-${UNOSAT_STORAGE_URL:+store}}:/store"


@pytest.mark.parametrize("name", WORKING)
def test_a_machine_that_only_works_can_be_told_what_the_others_are(name: str) -> None:
    of_web_alone = {"UNOSAT_SECRET_KEY", "UNOSAT_ALLOWED_HOSTS", "UNOSAT_TRUSTED_ORIGINS"}
    of_web_alone |= {"UNOSAT_HTTPS", "UNOSAT_METRICS_TOKEN"}
    offered = _variables_of_the_readme() - OF_MAKE_RUN - NEVER_DEPLOYED - of_web_alone

    assert set(WORKING[name]["environment"]) == offered


def test_a_machine_that_only_works_is_told_where_everything_is() -> None:
    said = WORKERS["x-application"]

    for name in ("UNOSAT_DATABASE_URL", "UNOSAT_REDIS_URL"):
        assert said[name].startswith(f"${{{name}:?")
    assert "UNOSAT_SECRET_KEY" not in said  # which signs sessions: no business of a worker's


@pytest.mark.parametrize("file", [COMPOSE, WORKERS], ids=["whole", "workers"])
def test_no_service_fills_the_disk_with_its_log(file: dict[str, Any]) -> None:
    """Docker's own default keeps every line; said once, so that no service can differ."""
    kept = file["x-logging"]

    assert all(service.get("logging") == kept for service in file["services"].values())
    assert kept["driver"] == "json-file"
    megabytes = re.fullmatch(r"(\d+)m", kept["options"]["max-size"])
    files = kept["options"]["max-file"]
    assert isinstance(files, str)  # Docker refuses a number there
    assert megabytes is not None
    assert int(files) >= 2  # with one file, a full one takes the last minutes along
    in_all = int(megabytes[1]) * int(files) * len(file["services"])
    assert in_all <= 2000  # MB: small beside one image and its clean copy


def test_the_web_service_is_probed_at_the_address_that_tells_whether_it_can_work() -> None:
    (probe,) = [word for word in SERVICES["web"]["healthcheck"]["test"] if "urlopen" in word]

    assert "http://127.0.0.1:8000/readyz" in probe
    compile(probe, "probe", "exec")
    assert "/readyz" in PROBES
